"""Where the bytes of new files come from: the delta between two versions, or frames of the pack.

Stage 8, effects: may ask the server for the index of a delta; runs on clients (Python 3.9).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from si.client.changes import Change
from si.client.delta import cut_by_delta, fetch_delta, is_worth_asking
from si.client.frames import wanted_frames
from si.version.manifest import Frame

BY_DELTA, BY_FRAMES = "delta", "frames"

_PACK = "image.tar.zst"


class Origin(NamedTuple):
    """Where a version is. base: the URL of its folder; number: its number; frames: of its pack;
    held: the version that this machine has, as far as is known; site_key: the file with the key
    that versions are signed with."""

    base: str
    number: int
    frames: Sequence[Frame]
    held: Optional[int]  # noqa: UP045 - evaluated, by Python 3.9 too
    site_key: Path


class Supply(NamedTuple):
    """Files that come together. way: BY_DELTA or BY_FRAMES; told: what they are in, for people;
    wanted: numbers of the frames, in order; changes: in their order there, their records' places
    being those in `frames`."""

    way: str
    told: str
    url: str
    frames: Sequence[Frame]
    wanted: tuple[int, ...]
    changes: tuple[Change, ...]


def list_supplies(origin: Origin, changes: Sequence[Change]) -> Iterator[Supply]:
    """How the files of `changes`, all of which have bytes, come.

    Raises ServerUnreachable, VersionSpoiled, ManifestInvalid.
    """
    if origin.held is not None and is_worth_asking(changes, origin.frames):
        found = fetch_delta(origin.base, origin.held, origin.number, origin.site_key)
        if found is not None:
            cut, changes = cut_by_delta(origin.base, found, changes)
            told = f"the delta from version {origin.held}"
            yield from _supply(BY_DELTA, told, cut.url, cut.frames, cut.changes)
    url = f"{origin.base}/{_PACK}"
    yield from _supply(BY_FRAMES, "the pack", url, origin.frames, changes)


def _supply(
    way: str, told: str, url: str, frames: Sequence[Frame], changes: Sequence[Change]
) -> Iterator[Supply]:
    if changes:
        ordered = tuple(sorted(changes, key=_place))
        wanted = wanted_frames((change.record for change in ordered), frames)
        yield Supply(way, told, url, frames, wanted, ordered)


def _place(change: Change) -> tuple[int, int]:
    return change.record.frame, change.record.offset
