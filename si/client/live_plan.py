"""Find out, by dry runs of rsync, exactly what an update from the editable image would change.

Stage 8, effects (reads this machine and the server, changes nothing); runs on clients
(Python 3.9). The image is the first pass, each override one more, from the least to the most
important. A path that an override has is hidden from the passes before it, so that a second
update changes nothing; directories cannot be hidden without what is in them, so of those the last
pass's word counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from si.client.bootmenu import is_menu_pending, touches_boot
from si.client.estimate import Cost
from si.client.excludes import folders_with_protected
from si.client.files import kept_attributes
from si.client.guard import Guarding, gather_rules
from si.client.itemize import Item, merge_passes, retype_existing
from si.client.overlaid import list_overrides, without_top
from si.client.passes import Pass, is_empty_below, perform, preview
from si.client.places import Places
from si.client.plan import Fetched, Plan, Step
from si.client.server import Update


class LiveSource:
    """The editable image on the server, for the tree of `places`."""

    def __init__(self, places: Places, update: Update, excludes: Sequence[str]) -> None:
        self._places = places
        self._update = update
        self._excludes = excludes
        self._url = f"{update.rsync}/{update.image}/"

    @cached_property
    def guarding(self) -> Guarding:
        """All rules of what is left alone. Raises as `make_plan`."""
        image = Pass(self._url, (), is_removing=False)
        return gather_rules(self._places, self._excludes, lambda path: is_empty_below(image, path))

    def make_plan(self, *, with_boot_menu: bool) -> Plan:
        """The plan for bringing the tree to the image.

        Raises ConfigInvalid (an exclude list), ServerUnreachable, ImageNotFound, CommandFailed.
        """
        guarding, root, update = self.guarding, self._places.root, self._update
        builtin, lists = (tuple(rule.text for rule in rules) for rules in guarding)
        overlaid = list_overrides(update, guarding)
        rules = builtin + overlaid.hidden[0] + lists
        passes = (Pass(self._url, rules, is_removing=True), *overlaid.passes)
        previews = [preview(work, root) for work in passes]
        previews[1:] = [without_top(items) for items in previews[1:]]
        merged = merge_passes(
            previews, [frozenset(item.path for item in items) for items in overlaid.held]
        )
        merged = _without_churn(merged, folders_with_protected(guarding.rules))
        items = retype_existing(merged, _existing(merged, root))
        needs_menu = with_boot_menu and (touches_boot(items) or is_menu_pending(self._places))
        # At most: of a file that is here in another form, rsync fetches only what it lacks.
        size = sum(item.size for item in items if item.is_data)

        def bring(step: Step) -> tuple[Fetched, ...]:
            _count(passes[0], root, step)
            lay_over(passes[1:], root, step)
            return ()

        return Plan(
            name=f"{update.image}, captured {update.captured}",
            version=None,
            items=items,
            needs_menu=needs_menu,
            keeps_old=False,
            cost=lambda: Cost(size, size, len(items)),
            perform=bring,
        )


def lay_over(passes: Iterable[Pass], root: Path, step: Step) -> None:
    """Lay overrides over a tree. Raises as `perform`."""
    for work in passes:
        # An override's own top directory says nothing about `/`.
        with kept_attributes(root):
            _count(work, root, step)


def _count(work: Pass, root: Path, step: Step) -> None:
    perform(work, root, lambda _: step())


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
