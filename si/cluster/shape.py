"""The structure of a document: which attributes and elements may stand where.

Stage: none. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import cast

from lxml import etree

from si.cluster.draft import Draft


@dataclass(frozen=True, slots=True)
class Shape:
    """What one element may hold."""

    attributes: Set[str] = frozenset()
    children: Set[str] = frozenset()
    required: Set[str] = frozenset()
    """Attributes or elements that must be there."""
    text: bool = False


def check_shape(element: etree._Element, draft: Draft, shapes: Mapping[str, Shape]) -> None:
    """Note every unknown or missing attribute and element, and text where none belongs."""
    tag, line = str(element.tag), line_of(element)
    shape = shapes[tag]
    for name in element.keys():  # noqa: SIM118 - an element is no mapping
        if name not in shape.attributes:
            draft.problem(line, f"<{tag}> has no attribute {name!r}{_choice(shape.attributes)}")
    present = {str(child.tag) for child in elements(element)} | set(element.keys())
    for name in sorted(shape.required - present):
        draft.problem(line, f"<{tag}> lacks its {name}")
    if text_of(element) and not shape.text:
        draft.problem(line, f"text in <{tag}>, which takes none: {text_of(element)[:40]!r}")
    if shape.text and not text_of(element):
        draft.problem(line, f"<{tag}> is empty")
    for child in elements(element):
        if child.tag in shape.children:
            check_shape(child, draft, shapes)
        else:
            place = line_of(child)
            draft.problem(place, f"<{child.tag}> cannot stand in <{tag}>{_choice(shape.children)}")


def elements(parent: etree._Element, tag: str | None = None) -> Iterator[etree._Element]:
    """Child elements (of one name), without comments and the like."""
    for child in parent:
        if isinstance(child.tag, str) and tag in (None, child.tag):
            yield child


def text_of(element: etree._Element) -> str:
    """Text that stands directly in an element, around comments, stripped."""
    return ((element.text or "") + "".join(child.tail or "" for child in element)).strip()


def line_of(element: etree._Element) -> int:
    """Line that an element begins at."""
    return int(cast(int | None, element.sourceline) or 1)


def _choice(names: Set[str]) -> str:
    return f" (it may have: {', '.join(sorted(names))})" if names else ""
