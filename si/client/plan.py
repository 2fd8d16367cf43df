"""Find out, by dry runs of rsync, exactly what an update would change.

Stage 8, effects (reads this machine and the server, changes nothing); runs on clients
(Python 3.9). The image is the first pass, each override one more, from the least to the most
important. A path that an override has is hidden from the passes before it, so that a second
update changes nothing; directories cannot be hidden without what is in them, so of those the last
pass's word counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from si.client.bootmenu import is_menu_pending, touches_boot
from si.client.excludes import folders_with_protected
from si.client.guard import Guarding, gather_rules
from si.client.itemize import Item, merge_passes, retype_existing
from si.client.overlaid import list_overrides, without_top
from si.client.passes import Pass, is_empty_below, preview
from si.client.places import Places
from si.client.server import Update


@dataclass(frozen=True)
class Plan:
    """The passes of one update, what will be different at the end, and whether the boot menu
    has to be made anew."""

    update: Update
    passes: tuple[Pass, ...]
    items: tuple[Item, ...]
    needs_menu: bool


def make_plan(
    places: Places, update: Update, *, excludes: Sequence[str], with_boot_menu: bool
) -> Plan:
    """The plan for bringing the tree of `places` to `update`.

    Raises ConfigInvalid (an exclude list), ServerUnreachable, ImageNotFound, CommandFailed.
    """
    guarding = guard_tree(places, update, excludes)
    builtin, lists = (tuple(rule.text for rule in rules) for rules in guarding)
    overlaid = list_overrides(update, guarding)
    rules = builtin + overlaid.hidden[0] + lists
    passes = (Pass(_image_url(update), rules, is_removing=True), *overlaid.passes)
    previews = [preview(work, places.root) for work in passes]
    previews[1:] = [without_top(items) for items in previews[1:]]
    merged = merge_passes(
        previews, [frozenset(item.path for item in items) for items in overlaid.held]
    )
    merged = _without_churn(merged, folders_with_protected(guarding.rules))
    items = retype_existing(merged, _existing(merged, places.root))
    needs_menu = with_boot_menu and (touches_boot(items) or is_menu_pending(places))
    return Plan(update, passes, items, needs_menu)


def guard_tree(places: Places, update: Update, excludes: Sequence[str]) -> Guarding:
    """All rules of what an update to the image of `update` leaves alone. Raises as `make_plan`."""
    image = Pass(_image_url(update), (), is_removing=False)
    return gather_rules(places, excludes, lambda path: is_empty_below(image, path))


def _image_url(update: Update) -> str:
    return f"{update.rsync}/{update.image}/"


def _without_churn(items: Iterable[Item], folders: frozenset[bytes]) -> tuple[Item, ...]:
    """Without directories that differ only in their time, and hold what is protected."""
    return tuple(
        item
        for item in items
        if not (item.is_directory and item.what == ("times",) and item.path in folders)
    )


def _existing(items: Sequence[Item], root: Path) -> frozenset[bytes]:
    """Which of the paths that rsync calls new are there already, as something else."""
    top = os.fsencode(root)
    new = (item.path for item in items if item.kind == "add")
    return frozenset(path for path in new if os.path.lexists(top + b"/" + path))
