"""The overrides that lie over this machine's image: what they have, and what of it differs here.

Stage 8, effects (reads this machine and the server, changes nothing); runs on clients (Python 3.9).
Overrides are directories of the server, which has no versions of them: rsync lists and compares
them. A path that a later override has is hidden from the passes before it; directories cannot be
hidden without what is in them, so of those the last pass's word counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from si.client.excludes import held_rules
from si.client.guard import Guarding
from si.client.itemize import Item
from si.client.passes import Pass, list_tree, preview
from si.client.server import Update


class Overlaid(NamedTuple):
    """passes: one an override, from the least to the most important; held: for each what it has, as
    far as no rule protects it; hidden: for the image and each override the rules that hide what
    lies over it."""

    passes: tuple[Pass, ...]
    held: tuple[tuple[Item, ...], ...]
    hidden: tuple[tuple[str, ...], ...]


def list_overrides(update: Update, guarding: Guarding) -> Overlaid:
    """Ask the server what the overrides have. Raises ServerUnreachable, CommandFailed."""
    builtin, lists = (tuple(rule.text for rule in rules) for rules in guarding)
    urls = [f"{update.rsync}/override-{name}/" for name in update.overrides]
    held = tuple(
        without_top(list_tree(Pass(url, builtin + lists, is_removing=False))) for url in urls
    )
    hidden = tuple(_hide(held[number:]) for number in range(len(urls) + 1))
    passes = tuple(
        Pass(url, builtin + hidden[number] + lists, is_removing=False)
        for number, url in enumerate(urls, 1)
    )
    return Overlaid(passes, held, hidden)


def preview_overrides(overlaid: Overlaid, root: Path) -> Iterator[Item]:
    """What of them differs in the tree at `root`. Raises ServerUnreachable, CommandFailed."""
    for number, work in enumerate(overlaid.passes):
        later = {item.path for items in overlaid.held[number + 1 :] for item in items}
        for item in without_top(preview(work, root)):
            if item.path not in later:
                yield item


def without_top(items: Iterable[Item]) -> tuple[Item, ...]:
    """An override's own top directory says nothing about `/`."""
    return tuple(item for item in items if item.path != b".")


def _hide(later: Sequence[tuple[Item, ...]]) -> tuple[str, ...]:
    """Rules for a pass about what the overrides after it have."""
    folders = {item.path for items in later for item in items if item.is_directory}
    files = {item.path for items in later for item in items} - folders
    return held_rules(
        (os.fsdecode(b"/" + path) for path in files),
        (os.fsdecode(b"/" + path) for path in folders),
    )
