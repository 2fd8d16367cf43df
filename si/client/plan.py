"""Find out, by dry runs of rsync, exactly what an update would change.

Stage 8, effects (reads this machine and the server, changes nothing); runs on clients
(Python 3.9). The image is the first pass, each override one more, from the least to the most
important. A path that an override has is hidden from the passes before it, so that a second
update changes nothing; directories cannot be hidden without what is in them, so of those the last
pass's word counts.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from si.client.bootmenu import is_menu_pending, touches_boot
from si.client.excludes import (
    DEFAULT_LIST,
    builtin_rules,
    folders_with_protected,
    held_rules,
    list_rules,
    parse_excludes,
)
from si.client.itemize import Item, merge_passes, retype_existing
from si.client.passes import Pass, list_tree, preview
from si.client.places import Places
from si.client.server import Update
from si.client.surroundings import (
    find_mounts,
    find_swap_files,
    foreign_mounts,
    running_databases,
)
from si.errors import ConfigInvalid

_log = logging.getLogger(__name__)


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
    builtin = _builtin_rules(places, update)
    rules = _administrators_rules(places, excludes)
    urls = [f"{update.rsync}/override-{name}/" for name in update.overrides]
    held = [_listed(url, builtin + rules) for url in urls]
    passes = []
    for number, url in enumerate([_image_url(update), *urls]):
        hidden = _hide(held[number:])
        passes.append(Pass(url, builtin + hidden + rules, is_removing=number == 0))
    previews = [preview(work, places.root) for work in passes]
    previews[1:] = [_without_top(items) for items in previews[1:]]
    merged = merge_passes(previews, [frozenset(item.path for item in items) for items in held])
    merged = _without_churn(merged, folders_with_protected(builtin + rules))
    items = retype_existing(merged, _existing(merged, places.root))
    needs_menu = with_boot_menu and (touches_boot(items) or is_menu_pending(places))
    return Plan(update, tuple(passes), items, needs_menu)


def _image_url(update: Update) -> str:
    return f"{update.rsync}/{update.image}/"


def _builtin_rules(places: Places, update: Update) -> tuple[str, ...]:
    """What no list can switch off, said aloud where a user may not expect it."""
    mounts = find_mounts(places.root, Path("/proc/self/mountinfo"))
    image = Pass(_image_url(update), (), is_removing=False)
    pseudo, disks = foreign_mounts(mounts, image)
    for path in disks:
        _log.info("leaves %r alone: a disk of its own, and the image has nothing there", path)
    databases = running_databases(Path("/proc")) if places.root == Path("/") else {}
    for name, directories in databases.items():
        _log.info("leaves %s alone: %s is running", " and ".join(directories), name)
    data = [directory for directories in databases.values() for directory in directories]
    swaps = find_swap_files(places.root, Path("/proc/swaps"))
    return builtin_rules([*pseudo, *disks, *swaps], data)


def _administrators_rules(places: Places, excludes: Sequence[str]) -> tuple[str, ...]:
    """--exclude and updateclient.local.exclude, or the defaults where there is no such file."""
    file = places.local_excludes
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        text = DEFAULT_LIST
    except OSError as error:
        raise ConfigInvalid(f"cannot read {file}: {error.strerror}") from error
    given = parse_excludes("\n".join(excludes), "--exclude")
    return list_rules((*given, *parse_excludes(text, str(file))))


def _without_churn(items: Iterable[Item], folders: frozenset[bytes]) -> tuple[Item, ...]:
    """Without directories that differ only in their time, and hold what is protected."""
    return tuple(
        item
        for item in items
        if not (item.is_directory and item.what == ("times",) and item.path in folders)
    )


def _listed(url: str, rules: tuple[str, ...]) -> tuple[Item, ...]:
    """What an override has, as far as no rule protects it."""
    return _without_top(list_tree(Pass(url, rules, is_removing=False)))


def _without_top(items: Iterable[Item]) -> tuple[Item, ...]:
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


def _existing(items: Sequence[Item], root: Path) -> frozenset[bytes]:
    """Which of the paths that rsync calls new are there already, as something else."""
    top = os.fsencode(root)
    new = (item.path for item in items if item.kind == "add")
    return frozenset(path for path in new if os.path.lexists(top + b"/" + path))
