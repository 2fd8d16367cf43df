"""Which members share a frame of the pack: large files alone and cut, small ones together.

Stage 3. Pure. In: the records of a tree in their order; out: units in the order of the pack. Where
a frame ends depends on the names and sizes near it only, so the same tree is always cut the same
way, and after a change all frames but those nearby are what they were before and can be copied.
Folders come after files: tar makes them when it needs them, and nothing that is put into one later
disturbs its times or inherits its default ACL; and a folder's new time spoils no frame of files.
Links that lead out of the tree stand among the folders: tar makes those at its very end, and then
sets again the times of the folders around them, if it met those just before.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from si.version.record import (
    FILE,
    FOLDER,
    SYMLINK,
    Record,
    describe,
    dump_extents,
)
from si.version.tarform import BLOCK

PACKER = 3
"""Grows with every change of what follows, or of si.version.tarform: frames that were made by other
rules are not copied."""
LARGE = 128 << 10
"""A file with this many bytes of data has frames of its own."""
PART = 2 << 20
"""Data of one frame of a large file: what an update fetches for one changed byte. Of 475 MB of
programs and libraries 4 MiB make 0.5 % less, 1 MiB 1.1 % more."""
# Measured on the golden client's tree, against 102.8 MB of `tar c | zstd -3`: with these three
# 106.2 MB (1.033); with 64, 64 and 256 KiB 108.4 MB (1.055).
SMALLEST_GROUP = 128 << 10
LARGEST_GROUP = 384 << 10
_ENDS_ONE_IN = 8


@dataclass(frozen=True, slots=True)
class Unit:
    """Positions of records: of one large file, or of all members that share a frame."""

    positions: tuple[int, ...]
    large: bool = False


def cut_tree(records: Sequence[Record]) -> Iterator[Unit]:
    """Decide what shares a frame, in the order of the pack."""
    outward = {r.path for r in records if r.kind == SYMLINK and _leads_out(r.target)}
    files, folders = list[int](), list[int]()
    for number, record in enumerate(records):
        later = record.kind == FOLDER or not outward.isdisjoint((record.path, record.target))
        (folders if later else files).append(number)
    yield from _cut(records, files)
    yield from _cut(records, folders)


def _leads_out(target: bytes) -> bool:
    """Whether tar keeps a link with this target back until all else is unpacked."""
    return target.startswith(b"/") or b".." in target.split(b"/")


def _cut(records: Sequence[Record], positions: Iterable[int]) -> Iterator[Unit]:
    group: list[int] = []
    weight = 0
    for position in positions:
        record = records[position]
        size = record.packed if record.kind == FILE else 0
        if size >= LARGE:
            yield Unit((position,), large=True)
            continue
        if weight >= SMALLEST_GROUP and (
            weight + size > LARGEST_GROUP or zlib.crc32(record.path) % _ENDS_ONE_IN == 0
        ):
            yield Unit(tuple(group))
            group, weight = [], 0
        group.append(position)
        weight += size + BLOCK
    if group:
        yield Unit(tuple(group))


def count_parts(size: int) -> int:
    """How many frames a large file with `size` bytes of data has."""
    return max(1, -(-size // PART))


def group_key(lines: Iterable[bytes]) -> bytes:
    """What a shared frame is told by: the beginnings of its members' lines."""
    return hashlib.sha256(b"\n".join(lines)).digest()


def part_key(record: Record, part: int) -> bytes:
    """What a frame of a large file is told by. Only the first has the member's headers in it, so
    the others stay when a file is given another name, owner or time."""
    if part == 0:
        return hashlib.sha256(b"first\n" + describe(record)).digest()
    extents = b"-" if record.extents is None else dump_extents(record.extents)
    return hashlib.sha256(
        b"part %d\n%d %b %b" % (part, record.size, record.content.encode(), extents)
    ).digest()
