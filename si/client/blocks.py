"""Large files of which this machine has an old copy: only what that lacks is fetched.

Stage 8, effects: reads old copies; runs on clients (Python 3.9). In: what has to be written, and
the version's lists of chunks; out: for each file of which the old copy has enough, the pieces that
it is put together from. Nothing of that is believed: the whole is hashed, and what is not the
manifest's file is fetched by whole frames.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Optional

from si.client.changes import Change
from si.client.folders import Folders
from si.client.frames import frames_of
from si.client.pack import Pack
from si.client.published import fetch_sealed
from si.client.ranges import Ranges
from si.version.blocks import (
    ENTRY,
    INDEX,
    LISTS,
    MAX_BYTES,
    Chunk,
    Span,
    digest_of,
    parse_chunks,
    parse_index,
)
from si.version.chunks import cut_chunks
from si.version.delta import SMALL
from si.version.manifest import Frame
from si.version.record import Record, escape

_READ = 4 << 20
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Piece(NamedTuple):
    """Bytes of a file. old: where in the old copy they are; None when they are fetched, and then
    they begin at `offset` of frame `frame`."""

    size: int
    old: Optional[int]  # noqa: UP045 - evaluated, by Python 3.9 too
    frame: int
    offset: int


class Patch(NamedTuple):
    """pieces: of the new file, in order; wanted: numbers of frames that hold what is lacking."""

    pieces: tuple[Piece, ...]
    wanted: frozenset[int]


def find_patches(
    folders: Folders,
    base: str,
    number: int,
    site_key: Path,
    frames: Sequence[Frame],
    changes: Sequence[Change],
) -> dict[bytes, Patch]:
    """By path, those of `changes` that an old copy spares frames of.

    base: the URL of the folder of version `number`. Raises ServerUnreachable, VersionSpoiled,
    ManifestInvalid.
    """
    large = [change for change in changes if _may_have_copy(change)]
    if not large:
        return {}
    told = f"the index of the blocks of version {number}"
    text = fetch_sealed(f"{base}/{INDEX}", told, site_key, most=MAX_BYTES)
    if text is None:
        return {}
    spans = parse_index(text, number, told)
    lists = Ranges(f"{base}/{LISTS}")
    found: dict[bytes, Patch] = {}
    try:
        for change in large:
            span = spans.get(change.record.content)
            copy = _open_old(folders, change.path) if span is not None else None
            if span is None or copy is None:
                continue
            try:
                chunks = _fetch_chunks(lists, span, change.record)
                patch = _match(chunks, _chunks_of(copy), change.record, frames)
            finally:
                os.close(copy)
            if len(patch.wanted) < len(frames_of(change.record, frames)):
                found[change.path] = patch
    finally:
        lists.close()
    return found


class Patched:
    """A file as its pieces make it up; what `Staging` reads in place of the pack."""

    def __init__(self, pack: Pack, copy: int, patch: Patch) -> None:
        self._pack = pack
        self._copy = copy
        self._pieces: Iterator[Piece] = iter(patch.pieces)
        self._old: int | None = None
        self._left = 0

    def seek(self, frame: int, offset: int) -> None:
        """Nothing to do: a file is read from its beginning."""

    def read(self, most: int) -> bytes:
        """At least one of the next bytes, at most `most`. Raises EOFError where the old copy is
        not what it was."""
        if not self._left:
            piece = next(self._pieces)
            self._old, self._left = piece.old, piece.size
            if piece.old is None:
                self._pack.seek(piece.frame, piece.offset)
        count = min(most, self._left)
        if self._old is None:
            data = self._pack.read(count)
        else:
            data = os.pread(self._copy, count, self._old)
            self._old += len(data)
        if not data:
            raise EOFError("the old copy was cut off meanwhile")
        self._left -= len(data)
        return data


def _may_have_copy(change: Change) -> bool:
    record = change.record
    return not change.is_new and record.size >= SMALL and record.extents is None


def _open_old(folders: Folders, path: bytes) -> int | None:
    """What is in the place of a file; None unless that is a file too."""
    place = folders.place(path)
    try:
        copy = os.open(place.name, _OLD_FILE, dir_fd=place.folder)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(copy).st_mode):
        return copy
    os.close(copy)
    return None


def open_old(folders: Folders, path: bytes) -> int:
    """The old copy once more. Raises EOFError when it is gone."""
    copy = _open_old(folders, path)
    if copy is None:
        raise EOFError("the old copy is gone")
    return copy


def _fetch_chunks(lists: Ranges, span: Span, record: Record) -> tuple[Chunk, ...]:
    size = span.entries * ENTRY
    with lists.open(span.begin, span.begin + size) as body:
        data = body.read(size)
    told = f"the list of blocks of {escape(record.path).decode()}"
    return parse_chunks(data, span, record.size, told)


def _chunks_of(copy: int) -> dict[bytes, tuple[int, int]]:
    """Where in an open file which chunk lies: (offset, size) by digest."""

    def blocks() -> Iterator[bytes]:
        while data := os.read(copy, _READ):
            yield data

    found: dict[bytes, tuple[int, int]] = {}
    at = 0
    for chunk in cut_chunks(blocks()):
        found.setdefault(digest_of(chunk), (at, len(chunk)))
        at += len(chunk)
    return found


def _match(
    chunks: Sequence[Chunk],
    old: Mapping[bytes, tuple[int, int]],
    record: Record,
    frames: Sequence[Frame],
) -> Patch:
    numbers = frames_of(record, frames)
    sizes = [frames[number].unpacked for number in numbers]
    sizes[0] -= record.offset
    begins = [0, *accumulate(sizes)]
    pieces: list[Piece] = []
    wanted: set[int] = set()
    at = 0
    for chunk in chunks:
        where = old.get(chunk.digest)
        part = bisect_right(begins, at) - 1
        offset = at - begins[part] + (record.offset if part == 0 else 0)
        is_here = where is not None and where[1] == chunk.size
        pieces.append(
            Piece(chunk.size, where[0] if where and is_here else None, numbers[part], offset)
        )
        at += chunk.size
        if not is_here:
            last = bisect_right(begins, at - 1) - 1
            wanted.update(numbers[part : last + 1])
    return Patch(tuple(pieces), frozenset(wanted))
