"""The frames of one pack while it is made: read, hash, compress, or copied from the last pack.

Stage 3. In: found paths and the pack of the last version; out: `Built` frames, made in threads.
Only what is large is read there. Small files are read by the caller's thread alone: threads that
open and read thousands of files wait for each other's turn at the interpreter more than they work.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import zstandard

from si.version.manifest import Frame
from si.version.plan import PART, count_parts, group_key, part_key
from si.version.record import FILE, Record, describe
from si.version.scan import Found, Scan, tree_changed
from si.version.tarform import BLOCK, member_headers, padding

LEVEL = 3
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class OldFrame:
    """A frame of the last version: where it begins in its pack, and its members' offsets."""

    begin: int
    frame: Frame
    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OldPack:
    """The pack of the last version, open, and its frames by key."""

    descriptor: int = -1
    frames: dict[bytes, OldFrame] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Built:
    """A frame ready to be written; what is said of each member that begins in it: its content, its
    line without the place, its offset."""

    data: bytes
    frame: Frame
    copied: bool
    contents: Sequence[str] = ()
    lines: Sequence[bytes] = ()
    offsets: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class _Small:
    """Members that share a frame. bodies: None for a file that was not read, for it is known."""

    group: Sequence[Found]
    bodies: list[bytes | None]
    contents: list[str]
    lines: list[bytes]

    def add(self, record: Record, body: bytes | None) -> None:
        content = record.content
        if body is not None and record.kind == FILE:
            content = hashlib.sha256(body).hexdigest()
        self.bodies.append(body)
        self.contents.append(content)
        self.lines.append(describe(record, content))

    def set_content(self, number: int, record: Record, body: bytes) -> None:
        self.contents[number] = hashlib.sha256(body).hexdigest()
        self.lines[number] = describe(record, self.contents[number])


class FrameMaker:
    """Makes the frames of a scanned tree."""

    def __init__(self, scan: Scan, old: OldPack) -> None:
        self._scan = scan
        self._old = old
        self._threads = threading.local()

    def hash_file(self, record: Record) -> str:
        """SHA-256 of a file of the tree, holes read as zeros."""
        digest = hashlib.sha256()
        descriptor = self._open(record)
        try:
            count = 0
            while data := os.read(descriptor, _READ):
                digest.update(data)
                count += len(data)
        finally:
            os.close(descriptor)
        if count != record.size:
            raise tree_changed([record.path])
        return digest.hexdigest()

    def start_large(self, pool: ThreadPoolExecutor, record: Record) -> Iterator[Future[Built]]:
        """Start making the frames of a large file.

        What is known of its content is believed only when no byte has to be read: a manifest never
        says one thing and the pack another.
        """
        parts = range(count_parts(record.packed))
        if self._old.frames and not (record.content and self._has_all(record, parts)):
            record = record._replace(content=pool.submit(self.hash_file, record).result())
        for part in parts:
            yield pool.submit(self._make_part, record, part)

    def start_group(self, pool: ThreadPoolExecutor, group: Sequence[Found]) -> Future[Built]:
        """Start making a frame that small members share; those that must be read are read now."""
        small = _Small(group, [], [], [])
        for record, _ in group:
            small.add(record, None if record.content else self._read(record))
        if self._old.frames and group_key(small.lines) in self._old.frames:
            return pool.submit(self._copy_group, small)
        return pool.submit(self._build_group, *self._assemble(small))

    def _has_all(self, record: Record, parts: Iterable[int]) -> bool:
        return all(part_key(record, part) in self._old.frames for part in parts)

    def _make_part(self, record: Record, part: int) -> Built:
        if part == 0 and not record.content:
            record = record._replace(content=self.hash_file(record))
        contents = (record.content,) if part == 0 else ()
        lines = (describe(record),) if part == 0 else ()
        if self._old.frames:
            copied = self._copy(part_key(record, part), contents, lines)
            if copied is not None:
                return copied
        pieces = [self._read_part(record, part)]
        offsets: tuple[int, ...] = ()
        if part == 0:
            headers = member_headers(record)
            offsets = (len(headers),)
            pieces.insert(0, headers)
        if (part + 1) * PART >= record.packed and record.packed % BLOCK:
            pieces.append(padding(record.packed))
        return self._build(pieces, contents, lines, offsets)

    def _copy_group(self, small: _Small) -> Built:
        copied = self._copy(group_key(small.lines), small.contents, small.lines)
        if copied is not None:
            return copied
        return self._build_group(*self._assemble(small))

    def _assemble(self, small: _Small) -> tuple[_Small, list[bytes], list[int]]:
        """The members as bytes, and their offsets. Files that were not read yet are read."""
        pieces: list[bytes] = []
        offsets: list[int] = []
        at = 0
        for number, (record, _) in enumerate(small.group):
            body = small.bodies[number]
            if body is None:
                body = self._read(record)
                small.set_content(number, record, body)
            if record.extents is not None:
                body = b"".join(body[a : a + length] for a, length in record.extents)
            headers = member_headers(record)
            offsets.append(at + len(headers))
            at += len(headers) + len(body)
            pieces += (headers, body)
            if len(body) % BLOCK:
                pieces.append(padding(len(body)))
                at += len(pieces[-1])
        return small, pieces, offsets

    def _build_group(self, small: _Small, pieces: Sequence[bytes], offsets: Sequence[int]) -> Built:
        return self._build(pieces, small.contents, small.lines, offsets)

    def make_end(self, data: bytes) -> Built:
        """The frame that ends the archive."""
        return self._build([data], (), (), ())

    def _copy(self, key: bytes, contents: Sequence[str], lines: Sequence[bytes]) -> Built | None:
        """The last pack's frame, when it has it and its bytes are still right."""
        old = self._old.frames.get(key)
        if old is None:
            return None
        data = os.pread(self._old.descriptor, old.frame.packed, old.begin)
        if hashlib.sha256(data).hexdigest() != old.frame.sha256:
            return None
        return Built(data, old.frame, True, contents, lines, old.offsets)

    def _build(
        self,
        pieces: Sequence[bytes],
        contents: Sequence[str],
        lines: Sequence[bytes],
        offsets: Sequence[int],
    ) -> Built:
        raw = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        data = self._compressor().compress(raw)
        frame = Frame(len(raw), len(data), hashlib.sha256(data).hexdigest())
        return Built(data, frame, False, contents, lines, offsets)

    def _compressor(self) -> zstandard.ZstdCompressor:
        """One a thread, for it must not be used by two."""
        found: zstandard.ZstdCompressor | None = getattr(self._threads, "compressor", None)
        if found is None:
            found = zstandard.ZstdCompressor(
                level=LEVEL, write_checksum=True, write_content_size=True
            )
            self._threads.compressor = found
        return found

    def _open(self, record: Record) -> int:
        try:
            return os.open(
                self._scan.place(record), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise tree_changed([record.path]) from None
            raise

    def _read(self, record: Record) -> bytes:
        """A whole file, holes read as zeros; nothing for what is no file."""
        if record.kind != FILE or record.size == 0:
            return b""
        descriptor = self._open(record)
        try:
            data = os.pread(descriptor, record.size + 1, 0)
        finally:
            os.close(descriptor)
        if len(data) != record.size:
            raise tree_changed([record.path])
        return data

    def _read_part(self, record: Record, part: int) -> bytes:
        begin, end = part * PART, min((part + 1) * PART, record.packed)
        extents = record.extents if record.extents is not None else ((0, record.size),)
        descriptor = self._open(record)
        try:
            pieces = [os.pread(descriptor, size, at) for at, size in _slice(extents, begin, end)]
        finally:
            os.close(descriptor)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(data) != end - begin:
            raise tree_changed([record.path])
        return data


def _slice(extents: Sequence[tuple[int, int]], begin: int, end: int) -> Iterator[tuple[int, int]]:
    """What of the data in `extents`, laid end to end, lies from `begin` to `end`: (offset in the
    file, length)."""
    at = 0
    for offset, length in extents:
        first, last = max(at, begin), min(at + length, end)
        if first < last:
            yield offset + first - at, last - first
        at += length
