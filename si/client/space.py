"""Does what an update brings fit on this machine's file systems?

Stage 8, effects: asks lstat and statvfs, changes nothing; runs on clients (Python 3.9). An
update to a version writes all new files before the first old one goes: that is the room it needs.
rsync renames each file when it is written, and removes last: it needs the growth of everything that
travels, and the largest file once more. There a sparse file counts whole, for the server does not
say which parts are holes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from si.client.itemize import Item
from si.errors import NoSpace, UpdateRefused

_BLOCK = 4096
_STAT_BLOCK = 512


@dataclass
class _Need:
    """What one file system has to take."""

    directory: bytes
    size: int = 0
    largest: int = 0
    inodes: int = 0


def check_space(items: Iterable[Item], destination: Path, *, keeps_old: bool) -> None:
    """Raises NoSpace, with the numbers, for the first file system that is too small, and
    UpdateRefused for one that is mounted read-only.

    keeps_old: no old file goes before all new ones are there.
    """
    needs: dict[int, _Need] = {}
    top = os.fsencode(destination)
    for item in items:
        _count(needs, item, top, keeps_old=keeps_old)
    for need in needs.values():
        _compare(need)


def format_size(size: int) -> str:
    """Bytes for people: `12 B`, `3.4 MB`."""
    if size < 1000:
        return f"{size} B"
    amount = float(size)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 1000:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} TB"


def _count(needs: dict[int, _Need], item: Item, top: bytes, *, keeps_old: bool) -> None:
    path = os.path.join(top, item.path)  # noqa: PTH118 - bytes
    directory = _existing_parent(path, top)
    need = needs.setdefault(os.lstat(directory).st_dev, _Need(directory))
    if item.kind == "remove" or not (item.is_data or item.kind == "add"):
        return
    if item.kind == "add" or keeps_old:
        need.inodes += 1
    new = _round(item.size) if item.is_data or item.is_directory else 0
    if keeps_old:
        need.size += new
        return
    need.size += max(0, new - _allocated(path)) if item.kind == "change" else new
    need.largest = max(need.largest, new)


def _existing_parent(path: bytes, top: bytes) -> bytes:
    directory = os.path.dirname(path)  # noqa: PTH120 - bytes
    while directory != top and not os.path.isdir(directory):  # noqa: PTH112 - bytes
        directory = os.path.dirname(directory)  # noqa: PTH120 - bytes
    return directory


def _allocated(path: bytes) -> int:
    try:
        return os.lstat(path).st_blocks * _STAT_BLOCK
    except OSError:
        return 0


def _round(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _compare(need: _Need) -> None:
    free = os.statvfs(need.directory)
    room = free.f_bavail * free.f_frsize
    wanted = need.size + need.largest
    where = os.fsdecode(need.directory)
    if free.f_flag & os.ST_RDONLY:
        raise UpdateRefused(
            f"the file system of {where!r} is read-only", hint="mount it writable, then run again"
        )
    if wanted > room:
        raise NoSpace(
            f"the update needs {format_size(wanted)} on the file system of {where!r}, "
            f"{format_size(room)} are free",
            hint="make room there; --no-space-check goes on all the same "
            "(sparse files need less than is counted)",
        )
    if free.f_files and need.inodes > free.f_favail:
        raise NoSpace(
            f"the update needs {need.inodes} inodes on the file system of {where!r}, "
            f"{free.f_favail} are free"
        )
