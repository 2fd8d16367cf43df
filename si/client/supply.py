"""Where the bytes of new files come from: a delta, frames of the pack, and old copies here.

Stage 8, effects: may ask the server for indexes and read old copies; runs on clients (Python 3.9).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from si.client.blocks import Patch, find_patches
from si.client.changes import Change
from si.client.delta import cut_by_delta, fetch_delta, is_worth_asking
from si.client.folders import Folders
from si.client.frames import wanted_frames
from si.client.pack import Source
from si.version.manifest import Frame

BY_DELTA, BY_BLOCKS, BY_FRAMES = "delta", "blocks", "frames"

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
    """Files that come together. way: BY_DELTA, BY_BLOCKS or BY_FRAMES; source: of their bytes;
    changes: in their order there, their records' places being those in its frames; patches: by
    path, how they are put together, of BY_BLOCKS."""

    way: str
    source: Source
    changes: tuple[Change, ...]
    patches: Mapping[bytes, Patch]


def list_supplies(origin: Origin, folders: Folders, changes: Sequence[Change]) -> Iterator[Supply]:
    """How the files of `changes`, all of which have bytes, come into the tree of `folders`.

    Raises ServerUnreachable, VersionSpoiled, ManifestInvalid.
    """
    if origin.held is not None and is_worth_asking(changes, origin.frames):
        found = fetch_delta(origin.base, origin.held, origin.number, origin.site_key)
        if found is not None:
            cut, changes = cut_by_delta(origin.base, found, changes)
            if cut.changes:
                told = f"the delta from version {origin.held}"
                yield _supply(BY_DELTA, told, cut.url, cut.frames, cut.changes)
    patches = find_patches(
        folders, origin.base, origin.number, origin.site_key, origin.frames, changes
    )
    if patches:
        wanted = sorted({number for patch in patches.values() for number in patch.wanted})
        patched = [change for change in changes if change.path in patches]
        whole = supply_whole(origin, patched)
        lacking = whole.source._replace(wanted=tuple(wanted))
        yield Supply(BY_BLOCKS, lacking, whole.changes, patches)
    rest = [change for change in changes if change.path not in patches]
    if rest:
        yield supply_whole(origin, rest)


def supply_whole(origin: Origin, changes: Sequence[Change]) -> Supply:
    """All frames of the pack that hold the files of `changes`. Raises ManifestInvalid."""
    return _supply(BY_FRAMES, "the pack", f"{origin.base}/{_PACK}", origin.frames, changes)


def _supply(
    way: str, told: str, url: str, frames: Sequence[Frame], changes: Sequence[Change]
) -> Supply:
    ordered = tuple(sorted(changes, key=_place))
    wanted = wanted_frames((change.record for change in ordered), frames)
    return Supply(way, Source(told, url, frames, wanted), ordered, {})


def _place(change: Change) -> tuple[int, int]:
    return change.record.frame, change.record.offset
