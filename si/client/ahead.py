"""A second process looks at the second half of the tree, while the first half is compared.

Stage 8, effects: reads, and forks; runs on clients (Python 3.9). What takes the time is asking the
kernel of each file, which two processors do in half of it. The process tells runs of files that
are as the manifest says; who compares then needs not look at those. It is a hint and no more: where
none came, or the process died, one process does it all, and what is told is the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, NamedTuple

from si.version.stream import ManifestReader

_WORTH = 5_000
"""Paths from which on a process pays."""
_CHUNK = 1 << 16
_BUFFER = 4096
"""Bytes of runs, about a hundred, that are told at once."""

_IsAlike = Callable[[bytes, bytes], bool]


class Run(NamedTuple):
    """Files of one folder that are alike: so many `files` from line `number` on, in the order of
    their names, from path `first` to `last`."""

    number: int
    files: int
    first: bytes
    last: bytes


class Ahead:
    """The runs that the other process has told so far, in a file that it writes on."""

    def __init__(self, told: IO[bytes]) -> None:
        self._told = told.fileno()
        self._at = 0
        self._text = b""
        self._runs: Iterator[Run] = iter(())
        self._run: Run | None = None

    def run_at(self, number: int) -> Run | None:
        """The run that begins at line `number`; to be asked for ever later lines."""
        while self._run is None or self._run.number < number:
            self._run = next(self._runs, None)
            if self._run is None and not self._read():
                return None
        return self._run if self._run.number == number else None

    def _read(self) -> bool:
        data = os.pread(self._told, _CHUNK, self._at)
        self._at += len(data)
        lines = (self._text + data).split(b"\n")
        self._text = lines.pop()
        self._runs = map(_parse_run, lines)
        return bool(data)


@contextlib.contextmanager
def look_ahead(reader: ManifestReader, top: bytes, is_alike: _IsAlike) -> Iterator[Ahead | None]:
    """What another process finds at `top`; None where that is not worth it.

    is_alike: whether a line certainly says all that there is at a place.
    """
    if reader.head.paths < _WORTH or len(os.sched_getaffinity(0)) < 2:
        yield None
        return
    # Not a pipe: one that is full would make the other wait, until this is half through.
    with tempfile.TemporaryFile(prefix="si-ahead-", buffering=_BUFFER) as told:
        process = os.fork()
        if process == 0:
            _work(reader, top, is_alike, told)
        try:
            yield Ahead(told)
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _work(reader: ManifestReader, top: bytes, is_alike: _IsAlike, told: IO[bytes]) -> None:
    """The other process; never returns."""
    try:
        parent = os.getppid()
        with reader.second_half() as (number, lines):
            for run in find_runs(lines, number, top, reader.first_names, is_alike):
                if os.getppid() != parent:
                    break
                told.write(b"%d %d %b %b\n" % run)
        told.flush()
    finally:
        os._exit(0)


def find_runs(
    lines: Iterable[bytes], number: int, top: bytes, several: frozenset[bytes], is_alike: _IsAlike
) -> Iterator[Run]:
    """The runs among `lines`, of which the first is line `number`, the last that of the end."""
    folder = first = last = b""
    count = 0
    for at, line in enumerate(lines, number):
        path = b"".join(line.rsplit(b" ", 2)[-2:-1])
        here = path.rpartition(b"/")[0]
        alike = path not in several and is_alike(line, top + path)
        if count and not (alike and here == folder and path > last):
            yield Run(at - count, count, first, last)
            count = 0
        if alike:
            folder, first, last = here, first if count else path, path
            count += 1


def _parse_run(line: bytes) -> Run:
    number, count, first, last = line.split(b" ")
    return Run(int(number), int(count), first, last)
