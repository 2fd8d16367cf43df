"""Write `image.tar.zst`: a tar of many independent zstd frames, and say where everything lies.

Stage 3. In: a scanned tree, what is known of its files, the last version's pack; out: the file,
its frames and the lines of the manifest. Frames are made in threads and written in the order of the
plan, so that the bytes depend on the tree alone. A frame whose members are all as they were is
copied from the last pack, after its hash was checked, and its files are not read.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from si.version.frames import Built, FrameMaker, OldFrame, OldPack
from si.version.manifest import Frame
from si.version.plan import LARGE, count_parts, cut_tree, group_key, part_key
from si.version.record import Record, parse_line
from si.version.scan import Scan
from si.version.tarform import END
from si.version.torrent import PieceHasher, Pieces

_AHEAD = 48
"""Frames that may wait to be written: what bounds the memory."""
_FLUSH = 16 << 20
"""Bytes after which the disk is set to work, so that the last fsync does not wait for all."""


@dataclass(frozen=True, slots=True)
class Packed:
    """contents, lines: for each path of the scan its content and its line of the manifest.
    copied_bytes: of `size`, what was taken over from the last pack. pieces: of its torrent."""

    frames: tuple[Frame, ...]
    contents: list[str]
    lines: list[bytes]
    size: int
    copied_bytes: int
    pieces: Pieces


def write_pack(path: Path, scan: Scan, old: OldPack, *, on_bytes: Callable[[int], None]) -> Packed:
    """Write the pack of a tree; contents that `scan` has are believed, the others are read.

    on_bytes: called with the number of unpacked bytes of each frame. Raises TreeChanged for a file
    that has another size now, CannotCarry, OSError.
    """
    maker = FrameMaker(scan, old)
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 2, thread_name_prefix="pack")
    with path.open("wb", buffering=0) as file, _Sink(file.fileno(), scan.unpacked) as sink:
        try:
            return _write(sink, _submit_all(pool, maker, scan), scan, on_bytes)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def read_old(descriptor: int, frames: tuple[Frame, ...], lines: list[bytes]) -> OldPack:
    """The frames of a version by key; `lines` are its records, as its manifest has them."""
    begins = [0]
    for frame in frames:
        begins.append(begins[-1] + frame.packed)
    found: dict[bytes, OldFrame] = {}
    groups: dict[int, tuple[list[bytes], list[int]]] = {}
    for line in lines:
        beginning, _, place = line.rpartition(b" ")
        number, _, offset = place.partition(b":")
        first = int(number)
        if line.startswith(b"f ") and (record := _large(line)) is not None:
            for part in range(count_parts(record.packed)):
                offsets = (int(offset),) if part == 0 else ()
                found[part_key(record, part)] = OldFrame(
                    begins[first + part], frames[first + part], offsets
                )
            continue
        members, places = groups.setdefault(first, ([], []))
        members.append(beginning)
        places.append(int(offset))
    for number_, (members, places) in groups.items():
        found[group_key(members)] = OldFrame(begins[number_], frames[number_], tuple(places))
    return OldPack(descriptor, found)


def _large(line: bytes) -> Record | None:
    """The record of a line, when it is a large file's."""
    if len(line.split(b" ", 6)[5]) < len(str(LARGE)):
        return None
    record = parse_line(line)
    return record if record.packed >= LARGE else None


@dataclass(frozen=True, slots=True)
class _Job:
    """A frame under way, and the positions in the scan of the members that begin in it."""

    built: Future[Built]
    positions: tuple[int, ...]


def _submit_all(pool: ThreadPoolExecutor, maker: FrameMaker, scan: Scan) -> Iterator[_Job]:
    """All frames in the order of the pack; the next is submitted when it is asked for."""
    found = scan.found
    for unit in cut_tree([one.record for one in found]):
        if unit.large:
            parts = maker.start_large(pool, found[unit.positions[0]].record)
            yield _Job(next(parts), unit.positions)
            for part in parts:
                yield _Job(part, ())
        else:
            group = [found[position] for position in unit.positions]
            yield _Job(maker.start_group(pool, group), unit.positions)
    yield _Job(pool.submit(maker.make_end, END), ())


def _write(
    sink: _Sink, jobs: Iterator[_Job], scan: Scan, on_bytes: Callable[[int], None]
) -> Packed:
    contents = [""] * len(scan.found)
    lines = [b""] * len(scan.found)
    frames: list[Frame] = []
    copied = 0
    for job in _keep_ahead(jobs):
        built = job.built.result()
        sink.write(built.data)
        number = len(frames)
        for at, position in enumerate(job.positions):
            contents[position] = built.contents[at]
            lines[position] = b"%b %d:%d" % (built.lines[at], number, built.offsets[at])
        frames.append(built.frame)
        copied += built.frame.packed if built.copied else 0
        on_bytes(built.frame.unpacked)
    assert all(lines), "a path is in no frame"
    return Packed(tuple(frames), contents, lines, sink.size, copied, sink.finish())


class _Sink:
    """The pack's file. Flushing it and hashing its pieces have a thread each, and are never far
    behind."""

    def __init__(self, descriptor: int, unpacked: int) -> None:
        self.size = 0
        self._descriptor = descriptor
        self._hasher = PieceHasher(unpacked)
        self._hashing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hash")
        self._flushing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="flush")
        self._flushed = 0
        self._last: Future[None] | None = None

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, *_: object) -> None:
        for threads in (self._hashing, self._flushing):
            threads.shutdown(wait=True, cancel_futures=True)

    def write(self, data: bytes) -> None:
        """Write the next bytes. Raises OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        hashed = self._hashing.submit(self._hasher.add, data)
        self.size += len(data)
        if self.size - self._flushed > _FLUSH:
            self._flushed = self.size
            self._flushing.submit(os.fdatasync, self._descriptor)
            if self._last is not None:
                self._last.result()
            self._last = hashed

    def finish(self) -> Pieces:
        """The pieces, when all is written."""
        return self._hashing.submit(self._hasher.finish).result()


def _keep_ahead(jobs: Iterator[_Job]) -> Iterator[_Job]:
    """The jobs in order, with some more of them already under way."""
    waiting: deque[_Job] = deque()
    for job in jobs:
        waiting.append(job)
        if len(waiting) >= _AHEAD:
            yield waiting.popleft()
    yield from waiting
