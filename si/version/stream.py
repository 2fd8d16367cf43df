"""Read a manifest line by line: in bounded memory, however many paths it has.

Stage 3. Pure but for reading the file it is given; Python 3.9 and the standard library only, for
it is what clients use. In: an open manifest; out: paths with their lines, in order. What concerns
the order of lines is checked here for each; a line itself is read, and so checked, by `read` - a
client finds most lines to be what its own tree says, and has no need to read those.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

from si.errors import ManifestInvalid
from si.version.manifest import (
    MAX_BYTES,
    Frame,
    dump_head,
    parse_frame,
    parse_head,
    told,
)
from si.version.record import Record, parse_line, unescape

_HEAD_BYTES = 64 * 1024
_COUNT_BYTES = 40
_BLOCK = 1 << 20
_TARGET = 6
"""The word of a further name's line that says the first."""


class ManifestReader:
    """A manifest in a file. head; first_names: paths that have further names.

    Raises ManifestInvalid for a file that is cut off, too large, or whose head is not right.
    """

    def __init__(self, file: IO[bytes], source: str) -> None:
        self._file = file
        self.source = source
        self.line = 1
        if file.seek(0, os.SEEK_END) > MAX_BYTES:
            raise ManifestInvalid(f"{source}: it is larger than {MAX_BYTES} bytes")
        file.seek(0)
        self.head = parse_head(file.read(_HEAD_BYTES), source)
        file.seek(len(dump_head(self.head)) + 1)
        self._count = self._count_frames()
        self._frames_begin = file.tell()
        self._begin = self._skip_frames()
        self._first = self._count + 12
        self._frames: tuple[Frame, ...] | None = None
        self.first_names = self._survey()

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames of the pack, read when they are first asked for. Raises ManifestInvalid."""
        if self._frames is None:
            stands = self._file.tell()
            self._frames = self._read_frames()
            self._file.seek(stands)
        return self._frames

    def entries(self) -> Entries:
        """(path, line without its end) of each record, from the beginning, in order.

        Iterating raises ManifestInvalid for a path out of order, in no folder, or a further name of
        what does not stand before it.
        """
        self._file.seek(self._begin)
        self.line = self._first
        lines = islice(self._file, self.head.paths)
        whole = next(lines)
        if not whole.startswith(b"d ") or self.path_of(whole) != b"/":
            raise self.fault("the first path is the folder /")
        self.line -= 1
        return Entries(self, whole, lines)

    @contextlib.contextmanager
    def second_half(self) -> Iterator[tuple[int, IO[bytes]]]:
        """The file opened anew, so that another process may read it, where the second half of the
        records begins; and the number of the line that comes there. Raises OSError."""
        with Path(f"/proc/self/fd/{self._file.fileno()}").open("rb") as file:
            left = (file.seek(0, os.SEEK_END) - self._begin) // 2
            file.seek(self._begin)
            number = self._first
            while left > 0 and (part := file.read(min(left, _BLOCK))):
                number += part.count(b"\n")
                left -= len(part)
            file.readline()
            yield number + 1, file

    def read(self, line: bytes) -> Record:
        """The record of the line that `entries` gave last. Raises ManifestInvalid."""
        try:
            record = parse_line(line)
        except ManifestInvalid as error:
            raise self.fault(error.message) from None
        if record.frame >= len(self.frames) or record.offset > self.frames[record.frame].unpacked:
            raise self.fault("the place is outside of the pack")
        return record

    def fault(self, message: str) -> ManifestInvalid:
        """The error for the line that is being read."""
        return ManifestInvalid(
            f"{self.source}:{self.line}: {message}",
            hint="the version is spoiled: publish the image again, or take another version",
        )

    def _count_frames(self) -> int:
        self.line = 10
        key, _, count = self._file.readline(_COUNT_BYTES).rstrip(b"\n").partition(b" ")
        if key != b"frames" or not count.isdigit() or not 0 < int(count) <= MAX_BYTES:
            raise self.fault("here stands frames COUNT")
        return int(count)

    def _skip_frames(self) -> int:
        """Where the first record begins."""
        for _ in islice(self._file, self._count):
            pass
        self.line = self._count + 11
        if self._file.readline(_COUNT_BYTES) != b"paths\n":
            raise self.fault("here stands paths")
        return self._file.tell()

    def _read_frames(self) -> tuple[Frame, ...]:
        self._file.seek(self._frames_begin)
        found = []
        with told(self.source) as at:
            for at.line, line in enumerate(islice(self._file, self._count), 11):
                found.append(parse_frame(line.rstrip(b"\n")))
            at.line = 8
            if sum(frame.packed for frame in found) != self.head.pack_size:
                raise ManifestInvalid("the frames do not make up the pack")
        return tuple(found)

    def _survey(self) -> frozenset[bytes]:
        """Look through all lines once: is the whole there, and what has further names?"""
        found = set()
        lines = 0
        block = b""
        while part := self._file.read(_BLOCK):
            block = part + self._file.readline()
            if block.startswith(b"h ") or b"\nh " in block:
                for number, line in enumerate(block.split(b"\n"), self._first + lines):
                    self.line = number
                    if line.startswith(b"h "):
                        found.add(self.first_name_of(line))
            lines += block.count(b"\n")
        self.line = self._first + lines
        if lines != self.head.paths + 1 or not block.endswith(b"\nend\n"):
            raise self.fault(f"it does not end after {self.head.paths} paths, as it says")
        return frozenset(found)

    def path_of(self, line: bytes) -> bytes:
        """The path of a line, which need not be right. Raises ManifestInvalid."""
        return self._name(line.rsplit(b" ", 2)[-2:][0])

    def first_name_of(self, line: bytes) -> bytes:
        """Of a further name's line: the path of the first. Raises ManifestInvalid."""
        words = line.split(b" ", _TARGET + 1)
        return self._name(words[_TARGET]) if len(words) > _TARGET else b""

    def pass_on(self, count: int = 1) -> None:
        """`count` more lines were read."""
        self.line += count

    def _name(self, word: bytes) -> bytes:
        try:
            return unescape(word) if b"%" in word else word
        except ManifestInvalid as error:
            raise self.fault(error.message) from None


class Entries(Iterator[tuple[bytes, bytes]]):
    """What `ManifestReader.entries` gives. lines: the lines that are still to come, each with its
    end, for who may tell by other means than reading them what they say; `pass_over` then."""

    def __init__(self, reader: ManifestReader, whole: bytes, lines: Iterator[bytes]) -> None:
        self.lines = lines
        self._reader = reader
        self._whole = whole
        """The line that comes next, b"" where it is not read yet."""
        self._folders, self._lasts = [b""], [b""]
        """The folders that lead to where the next line may stand, and what was last in each."""
        self._known = set[bytes]()

    def __next__(self) -> tuple[bytes, bytes]:
        whole = self.take_line()
        if not whole:
            raise StopIteration
        line = whole[:-1]
        self._reader.pass_on()
        path = self._reader.path_of(line)
        self._step_to(path)
        if line.startswith(b"d "):
            self._folders.append(path)
            self._lasts.append(b"")
        elif line.startswith(b"h "):
            if self._reader.first_name_of(line) not in self._known:
                raise self._reader.fault("a further name of a file that does not stand before it")
        elif path in self._reader.first_names:
            self._known.add(path)
        return path, line

    @property
    def number(self) -> int:
        """Of the line that comes next."""
        return self._reader.line + 1

    def take_line(self) -> bytes:
        """The next line with its end, b"" at the end of all. Give it back with `pass_over`."""
        whole, self._whole = self._whole, b""
        return whole or next(self.lines, b"")

    def pass_over(self, prefix: bytes, names: Sequence[bytes], whole: bytes) -> None:
        """The lines of `names`, each once and in order, behind `prefix`, were taken without reading
        them: of files in one folder that have no further names. whole: the line taken behind them.

        Raises ManifestInvalid where the first of them does not follow what stands before it.
        """
        self._whole = whole
        if names:
            self._reader.pass_on()
            self._step_to(prefix + names[0])
            self._reader.pass_on(len(names) - 1)
            self._lasts[-1] = prefix + names[-1]

    def _step_to(self, path: bytes) -> None:
        """Leave folders until that of `path` is looked at; it has to follow what was last there."""
        folders, lasts = self._folders, self._lasts
        parent = path.rpartition(b"/")[0]
        while folders[-1] != parent:
            folders.pop()
            lasts.pop()
            if not folders:
                raise self._reader.fault("the path is in no folder")
        if path <= lasts[-1]:
            raise self._reader.fault("the paths are not in order")
        lasts[-1] = path
