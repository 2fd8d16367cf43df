"""Which layout a captured image gets: the administrator's document, else what the facts say.

Stage 4. Pure. A document that was left in the golden client's /etc/systemimager wins over
inference; one that contradicts the facts is taken only when that is wanted.
"""

from __future__ import annotations

from dataclasses import dataclass

from si.client.record import Facts
from si.errors import LayoutContradictsFacts, LayoutNotFound
from si.layout.contradict import contradictions
from si.layout.document import load_layout
from si.layout.dump import dump_layout
from si.layout.infer import infer_layout
from si.layout.model import Layout


@dataclass(frozen=True, slots=True)
class ChosenLayout:
    """text: the document to keep, an administrator's as it was written. source: where it comes
    from, for people. contradicts: what the facts deny, when it was taken nevertheless."""

    layout: Layout
    text: bytes
    source: str
    contradicts: tuple[str, ...] = ()


def choose_layout(
    facts: Facts | None, document: tuple[str, bytes] | None, *, accept_contradictions: bool
) -> ChosenLayout:
    """The layout of an image; `document` is name and text of the one that was left on the client.

    Raises DocumentInvalid (the document, or a machine whose disks no layout can describe yet),
    LayoutContradictsFacts unless `accept_contradictions`, LayoutNotFound without both.
    """
    if document is not None:
        return _take(document, facts, accept_contradictions=accept_contradictions)
    if facts is None:
        raise LayoutNotFound(
            "there are no facts to make a layout of, and no layout document",
            hint="write one, see si-layout(5), and run si-mkautoinstallscript",
        )
    layout = infer_layout(facts)
    return ChosenLayout(layout, dump_layout(layout).encode(), f"the facts of {facts.hostname}")


def _take(
    document: tuple[str, bytes], facts: Facts | None, *, accept_contradictions: bool
) -> ChosenLayout:
    name, text = document
    layout = load_layout(text, name)
    denied = contradictions(layout, facts) if facts is not None else ()
    if denied and not accept_contradictions:
        raise LayoutContradictsFacts(
            f"{name} does not describe the golden client: {'; '.join(denied)}",
            hint=f"correct or remove /etc/systemimager/{name} there, or take it with --yes",
        )
    return ChosenLayout(layout, text, f"{name} of the golden client", denied)
