"""All rules of what is left alone on this machine, in their order, each with its source.

Stage 8, effects (reads this machine, changes nothing); runs on clients (Python 3.9). First what no
list can switch off; then --exclude; then the client's own list, or the defaults where it has none;
last the image's list, which comes with the image and so is the one of the last update.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from si.client.excludes import DEFAULT_LIST, builtin_rules
from si.client.places import Places
from si.client.rules import Rule, parse_rules
from si.client.surroundings import (
    find_mounts,
    find_swap_files,
    foreign_mounts,
    running_databases,
)
from si.errors import ConfigInvalid

_log = logging.getLogger(__name__)


class Guarding(NamedTuple):
    """builtin: what no list can switch off; lists: of the administrator, the client, the image."""

    builtin: tuple[Rule, ...]
    lists: tuple[Rule, ...]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All of them, in their order."""
        return self.builtin + self.lists


def gather_rules(
    places: Places, excludes: Sequence[str], is_empty: Callable[[str], bool]
) -> Guarding:
    """The rules for the tree of `places`.

    excludes: patterns of --exclude; is_empty: whether the image has nothing below a path. Raises
    ConfigInvalid for a list that cannot be read, with the line.
    """
    defaults = parse_rules(DEFAULT_LIST, "default list")
    own = _read_list(places.local_excludes)
    image = _read_list(places.image_excludes) or ()
    given = [rule for text in excludes for rule in parse_rules(text, "--exclude")]
    given = [rule._replace(source="--exclude") for rule in given]
    return Guarding(
        _builtin(places, is_empty), (*given, *(defaults if own is None else own), *image)
    )


def _builtin(places: Places, is_empty: Callable[[str], bool]) -> tuple[Rule, ...]:
    """What no list can switch off, said aloud where a user may not expect it."""
    mounts = find_mounts(places.root, Path("/proc/self/mountinfo"))
    pseudo, disks = foreign_mounts(mounts, is_empty)
    for path in disks:
        _log.info("leaves %r alone: a disk of its own, and the image has nothing there", path)
    databases = running_databases(Path("/proc")) if places.root == Path("/") else {}
    for name, directories in databases.items():
        _log.info("leaves %s alone: %s is running", " and ".join(directories), name)
    used = {path: f"a mount of type {mounts[path].type}" for path in pseudo}
    used.update(dict.fromkeys(disks, "a disk that the image knows nothing about"))
    swaps = find_swap_files(places.root, Path("/proc/swaps"))
    used.update(dict.fromkeys(swaps, "this machine swaps to it"))
    return builtin_rules(used, databases)


def _read_list(file: Path) -> tuple[Rule, ...] | None:
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigInvalid(f"cannot read {file}: {error.strerror}") from error
    return parse_rules(text, str(file))
