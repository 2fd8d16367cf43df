"""The delta from the version that this machine has to the one that it should be.

Stage 8, effects; runs on clients (Python 3.9). In: what has to be written; out: those of it that a
delta has, and where. A server that has no such delta is no fault: older versions have none, nor
does one that differs too much. One whose index the site did not sign is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from si.client.changes import Change
from si.client.frames import wanted_frames
from si.client.published import fetch_sealed
from si.errors import ManifestInvalid, VersionSpoiled
from si.version import delta
from si.version.delta import Delta, Place, delta_name, index_name, parse_delta
from si.version.manifest import Frame
from si.version.record import Record, escape

_WORTH = 256 << 10
"""Bytes that the pack's frames must bring beyond those that are wanted, before a delta is asked
for."""


class Cut(NamedTuple):
    """url, frames: of a file of frames; changes: what is in it, their records' places there."""

    url: str
    frames: Sequence[Frame]
    changes: tuple[Change, ...]


def is_worth_asking(changes: Sequence[Change], frames: Sequence[Frame]) -> bool:
    """Whether the pack's frames would bring much besides the files of `changes`.

    Raises ManifestInvalid.
    """
    small = [change.record for change in changes if change.record.packed < delta.SMALL]
    brought = sum(frames[number].packed for number in wanted_frames(small, frames))
    wanted = sum(_share(record, frames[record.frame]) for record in small)
    return brought - wanted > _WORTH


def fetch_delta(base: str, start: int, number: int, site_key: Path) -> Delta | None:
    """The index of the delta from version `start` to `number`, whose files are below the URL
    `base`; None when the server has none.

    Raises ServerUnreachable, VersionSpoiled, ManifestInvalid, ConfigInvalid.
    """
    told = f"the index of the delta from version {start} to {number}"
    text = fetch_sealed(f"{base}/{index_name(start)}", told, site_key, most=delta.MAX_BYTES)
    if text is None:
        return None
    found = parse_delta(text, told)
    if (found.start, found.number) != (start, number):
        raise ManifestInvalid(f"{told} is that from {found.start} to {found.number}")
    return found


def cut_by_delta(base: str, found: Delta, changes: Sequence[Change]) -> tuple[Cut, list[Change]]:
    """What of `changes` the delta has, and what it has not. Raises VersionSpoiled."""
    places = {content: list(places) for content, places in found.places.items()}
    inside, outside = [], []
    for change in changes:
        record = change.record
        here = places.get(record.content)
        if not here or record.extents is not None:
            outside.append(change)
            continue
        place = here.pop(0)
        _check_size(change, place)
        moved = record._replace(frame=place.frame, offset=place.offset)
        inside.append(change._replace(record=moved))
    return Cut(f"{base}/{delta_name(found.start)}", found.frames, tuple(inside)), outside


def _share(record: Record, frame: Frame) -> int:
    """What of a packed frame is about a small file's."""
    return frame.packed * record.packed // frame.unpacked


def _check_size(change: Change, place: Place) -> None:
    if place.size != change.record.packed:
        raise VersionSpoiled(
            f"the delta says {place.size} bytes of {escape(change.path).decode()}, the manifest "
            f"{change.record.packed}",
            hint="publish the image again, or take another version",
        )
