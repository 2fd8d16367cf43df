"""Make the delta from one version to the next: the small files that are new, by themselves.

Stage 3. In: the lines of two manifests and the new version's pack, which is complete; out: two
files beside it, `delta-M` and its signed index, or none where a delta would not be worth its room.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import NamedTuple

import zstandard

from si.config import Settings
from si.errors import SIError, VersionSpoiled
from si.version.delta import (
    FRAME,
    SMALL,
    Delta,
    Place,
    delta_name,
    dump_delta,
    index_name,
    parse_delta,
)
from si.version.diff import without_place
from si.version.frames import LEVEL
from si.version.manifest import Frame
from si.version.signature import read_sealed, sign

_WORTH = 256 << 10
"""A delta that spares clients fewer bytes of other files than this is not made."""


class Contents(NamedTuple):
    """What is asked of a version: its number, the frames of its pack, its lines."""

    number: int
    frames: Sequence[Frame]
    lines: Sequence[bytes]


class _File(NamedTuple):
    """A file in the pack: its data lie in one frame."""

    frame: int
    offset: int
    size: int
    content: str


def make_delta(settings: Settings, pack: Path, old: Contents, new: Contents) -> bool:
    """Write the delta from `old` to `new` beside the pack of `new`; gives whether there is one.

    There is none where the frames of the pack that hold what is new hold little else. Raises
    VersionSpoiled for a pack that is not what its lines say, OSError.
    """
    files = sorted(_new_files(old.lines, new.lines))
    in_frames = _files_of(new.lines, {file.frame for file in files})
    if sum(one.size for one in in_frames) - sum(one.size for one in files) < _WORTH:
        return False
    path = pack.with_name(delta_name(old.number))
    places: dict[str, list[Place]] = {}
    frames: list[Frame] = []
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
    with path.open("wb") as out:
        for group in _gather(_read_files(pack, new.frames, files)):
            at = 0
            for content, body in group:
                place = Place(len(frames), at, len(body))
                places.setdefault(content, []).append(place)
                at += len(body)
            packed = compressor.compress(b"".join(body for _, body in group))
            frames.append(Frame(at, len(packed), hashlib.sha256(packed).hexdigest()))
            out.write(packed)
    text = dump_delta(Delta(old.number, new.number, tuple(frames), places))
    path.with_name(index_name(old.number)).write_bytes(text + sign(settings, text))
    return True


def check_deltas(settings: Settings, folder: Path, number: int) -> Iterator[str]:
    """What is wrong with the deltas of version `number`, which lies in `folder`."""
    indexes = {path.stem: path for path in sorted(folder.glob("delta-*.index"))}
    for path in sorted(folder.glob("delta-*")):
        if path.suffix != ".index" and path.name not in indexes:
            yield f"{path.name} has no index"
    for name, index in indexes.items():
        try:
            delta = load_delta(settings, index)
        except SIError as error:
            yield error.message
            continue
        if (index_name(delta.start), delta.number) != (index.name, number):
            yield f"{index.name} is that from {delta.start} to {delta.number}"
        yield from _check_frames(folder / name, delta.frames)


def load_delta(settings: Settings, index: Path) -> Delta:
    """The index of a delta. Raises VersionSpoiled, ManifestInvalid."""
    return parse_delta(read_sealed(settings, index), index.name)


def _check_frames(path: Path, frames: Iterable[Frame]) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            for number, frame in enumerate(frames):
                if hashlib.sha256(file.read(frame.packed)).hexdigest() != frame.sha256:
                    yield f"{path.name} is spoiled in frame {number}"
            if file.read(1):
                yield f"{path.name} is longer than it was published"
    except OSError as error:
        yield f"{path.name}: {error.strerror}"


def _new_files(old: Iterable[bytes], new: Sequence[bytes]) -> Iterator[_File]:
    """The small files of a version that another has not, not in that place."""
    before = {*map(without_place, old)}
    fresh = [line for line in new if without_place(line) not in before]
    known = {_named(line) for line in before.difference(map(without_place, new))}
    return (file for line in fresh if _named(line) not in known and (file := _small_file(line)))


def _files_of(lines: Iterable[bytes], frames: Container[int]) -> Iterator[_File]:
    """The small files that lie in `frames`."""
    for line in lines:
        if int(line[line.rfind(b" ") + 1 : line.rfind(b":")]) in frames:
            file = _small_file(line)
            if file is not None:
                yield file


def _small_file(line: bytes) -> _File | None:
    """The file of a line; None when it is not a small one with bytes."""
    words = line.split(b" ", 10)
    size = int(words[5])
    if words[0] != b"f" or not 0 < size < SMALL or words[8] != b"-":
        return None
    frame, _, offset = words[10].partition(b":")
    return _File(int(frame), int(offset), size, words[6].decode())


def _named(line: bytes) -> tuple[bytes, bytes]:
    """Content and path of a record."""
    words = line.split(b" ", 10)
    return words[6], words[9]


def _read_files(
    pack: Path, frames: Sequence[Frame], files: Iterable[_File]
) -> Iterator[tuple[str, bytes]]:
    """Content and data of each file, in the order of the pack."""
    begins = [0, *accumulate(frame.packed for frame in frames)]
    unpacker = zstandard.ZstdDecompressor()
    with pack.open("rb") as source:
        for number, inside in groupby(files, key=lambda file: file.frame):
            packed = os.pread(source.fileno(), frames[number].packed, begins[number])
            data = unpacker.decompress(packed)
            for file in inside:
                body = data[file.offset : file.offset + file.size]
                if hashlib.sha256(body).hexdigest() != file.content:
                    raise VersionSpoiled(f"frame {number} of {pack} is not what was packed")
                yield file.content, body


def _gather(files: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    """The files of each frame of a delta."""
    group: list[tuple[str, bytes]] = []
    size = 0
    for content, body in files:
        group.append((content, body))
        size += len(body)
        if size >= FRAME:
            yield group
            group, size = [], 0
    if group:
        yield group
