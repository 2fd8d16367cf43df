"""Which frames of a pack hold the files that are wanted, and which of them are fetched together.

Stage 8. Pure; runs on clients (Python 3.9). Frames lie in the pack one after the other, so what is
wanted of it is a few stretches of bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from si.errors import ManifestInvalid
from si.version.manifest import MAX_FRAME, Frame
from si.version.record import Record, escape

NEAR = 64 << 10
"""Frames between two wanted ones are fetched with them, when they have no more bytes than this: a
request of its own costs the server more."""
_MOST_PACKED = MAX_FRAME + (1 << 20)


class Stretch(NamedTuple):
    """Bytes of the pack from `begin` up to `end`: the frames from `first` up to `last`."""

    begin: int
    end: int
    first: int
    last: int


def frames_of(record: Record, frames: Sequence[Frame]) -> range:
    """The frames that hold the data of a file. Raises ManifestInvalid."""
    if not record.packed:
        return range(0)
    number, left = record.frame, record.packed
    room = frames[number].unpacked - record.offset
    while left > room:
        left -= room
        number += 1
        if number >= len(frames):
            name = escape(record.path).decode()
            raise ManifestInvalid(f"the data of {name} pass the pack's end")
        room = frames[number].unpacked
    return range(record.frame, number + 1)


def wanted_frames(records: Iterable[Record], frames: Sequence[Frame]) -> tuple[int, ...]:
    """Numbers of all frames that `records` need, in order. Raises ManifestInvalid."""
    found: set[int] = set()
    for record in records:
        found.update(frames_of(record, frames))
    for number in found:
        if max(frames[number].packed, frames[number].unpacked) > _MOST_PACKED:
            raise ManifestInvalid(f"frame {number} is larger than any frame may be")
    return tuple(sorted(found))


def join_frames(wanted: Sequence[int], frames: Sequence[Frame]) -> tuple[Stretch, ...]:
    """What to fetch for the frames `wanted`, which are in order."""
    begins = [0, *accumulate(frame.packed for frame in frames)]
    found: list[Stretch] = []
    for number in wanted:
        begin, end = begins[number], begins[number + 1]
        if found and begin - found[-1].end <= NEAR:
            found[-1] = found[-1]._replace(end=end, last=number + 1)
        else:
            found.append(Stretch(begin, end, number, number + 1))
    return tuple(found)
