"""SystemImager's own cluster.xml, read as it stands.

Stage: none. Pure. Its clients are names in groups; MACs are not in it. Refused: `dynamic_node`,
because it ran any command as root on the server, and `base_image`, which SystemImager itself
called obsolete.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lxml import etree

from si.cluster.draft import ClientDraft, Draft, GroupDraft
from si.cluster.model import Network
from si.cluster.ranges import expand_addresses
from si.cluster.shape import Shape, elements, line_of, text_of
from si.errors import RangeInvalid

ANCESTOR_SHAPES: Mapping[str, Shape] = {
    "xml": Shape(children={"master", "name", "override", "group"}, required={"name", "override"}),
    "group": Shape(
        children={
            *("name", "priority", "image", "override", "node"),
            *("dynamic_node", "ip-range", "domain", "base_image"),
        },
        required={"name"},
    ),
    **{
        name: Shape(text=True)
        for name in (
            *("master", "name", "override", "priority", "image", "node"),
            *("dynamic_node", "ip-range", "domain", "base_image"),
        )
    },
}
_ONCE = ("name", "priority", "image", "ip-range", "domain", "master")


def read_ancestor(root: etree._Element, draft: Draft) -> None:
    """Read the document below `<xml>` into `draft`, noting its faults."""
    _check_once(root, draft)
    draft.all_name = draft.name("group", *_one(root, "name")) or draft.all_name
    draft.overrides = _names(root, "override", draft)
    for element in elements(root, "group"):
        _check_once(element, draft)
        _read_group(element, draft)


def _read_group(element: etree._Element, draft: Draft) -> None:
    group = GroupDraft(
        name=draft.name("group", *_one(element, "name")) or "",
        line=line_of(element),
        priority=draft.number("priority", *_one(element, "priority")),
        overrides=_names(element, "override", draft),
    )
    group.choices.image = draft.name("image", *_one(element, "image"))
    for node in elements(element, "node"):
        group.clients.extend(draft.range(text_of(node), line_of(node)))
    for refused in elements(element, "dynamic_node"):
        draft.problem(
            line_of(refused),
            "<dynamic_node> is refused, since it runs a command as root: list the names in <node>",
        )
    for obsolete in elements(element, "base_image"):
        draft.problem(line_of(obsolete), "<base_image> is obsolete: write <image>")
    draft.groups.append(group)
    _read_addresses(element, group, draft)


def _read_addresses(element: etree._Element, group: GroupDraft, draft: Draft) -> None:
    """Pair the addresses of an ip-range, in numeric order, with the group's sorted clients."""
    text, line = _one(element, "ip-range")
    domain = draft.name("domain", *_one(element, "domain"))
    if text is None:
        return
    try:
        addresses = expand_addresses(text)
    except RangeInvalid as error:
        draft.problem(line, error.message)
        return
    names = sorted(set(group.clients))
    if len(addresses) != len(names):
        draft.problem(
            line,
            f"<ip-range> has {len(addresses)} addresses for the {len(names)} clients of group "
            f"{group.name!r}: the numbers must be equal",
        )
        return
    network = replace(Network(), domain=domain.lower() if domain else None)
    for name, address in zip(names, addresses, strict=True):
        draft.clients.append(ClientDraft(name=name, line=line, ip=address, network=network))


def _check_once(element: etree._Element, draft: Draft) -> None:
    for tag in _ONCE:
        for extra in list(elements(element, tag))[1:]:
            draft.problem(line_of(extra), f"a second <{tag}> in <{element.tag}>: write one")


def _one(element: etree._Element, tag: str) -> tuple[str | None, int]:
    """Text and line of the first child of that name; an empty one is noted elsewhere."""
    for child in elements(element, tag):
        return text_of(child) or None, line_of(child)
    return None, line_of(element)


def _names(element: etree._Element, tag: str, draft: Draft) -> list[str]:
    found = [
        draft.name(tag, text_of(child), line_of(child))
        for child in elements(element, tag)
        if text_of(child)
    ]
    return [name for name in found if name]
