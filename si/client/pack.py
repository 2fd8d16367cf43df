"""The pack of a version, read from the server: the frames that are wanted, as one stream of files.

Stage 8, effects; runs on clients (Python 3.9), which have the zstd program but no module for it. A
thread fetches, checks each frame against the manifest and feeds it to the one zstd there is,
while the caller writes what comes out. Nothing that the site did not sign is ever unpacked.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

from si.client.frames import join_frames
from si.client.ranges import Ranges
from si.errors import CommandFailed, SIError, VersionSpoiled
from si.system.run import PIPE, find_tool, start
from si.version.manifest import Frame

_BLOCK = 1 << 20


class Source(NamedTuple):
    """What is fetched: the frames `wanted`, numbers in order, of those in the file at `url`. told:
    what that file is, for people."""

    told: str
    url: str
    frames: Sequence[Frame]
    wanted: tuple[int, ...]


class Pack:
    """Frames unpacked in their order. `seek` and `read` go forward only."""

    def __init__(self, stream: IO[bytes], source: Source, ranges: Ranges) -> None:
        self._stream = stream
        self._told = source.told
        self._frames = source.frames
        self._wanted = iter(source.wanted)
        self._ranges = ranges
        self._number = -1
        self._left = 0
        """Bytes of the present frame that were not read yet."""

    @property
    def fetched(self) -> int:
        """Bytes that came so far."""
        return self._ranges.fetched

    def seek(self, frame: int, offset: int) -> None:
        """Go to a byte of a frame that is wanted. Raises VersionSpoiled when it lies behind."""
        while self._number < frame:
            self._advance()
        stands = self._frames[self._number].unpacked - self._left
        if self._number > frame or stands > offset:
            raise VersionSpoiled(f"files lie over one another in {self._told}")
        self._skip(offset - stands)

    def read(self, most: int) -> bytes:
        """At least one of the next bytes, at most `most`; frames follow one another."""
        while not self._left:
            self._advance()
        data = self._stream.read(min(most, self._left, _BLOCK))
        if not data:
            raise VersionSpoiled(f"frame {self._number} of {self._told} ends too early")
        self._left -= len(data)
        return data

    def _advance(self) -> None:
        self._skip(self._left)
        self._number = next(self._wanted)
        self._left = self._frames[self._number].unpacked

    def _skip(self, count: int) -> None:
        while count:
            count -= len(self.read(count))


class _Feeder(threading.Thread):
    """Fetches frames and writes them, packed as they are, to zstd."""

    def __init__(self, ranges: Ranges, source: Source, sink: int) -> None:
        super().__init__(daemon=True)
        self.error: Exception | None = None
        self._ranges = ranges
        self._told = source.told
        self._frames = source.frames
        self._wanted = source.wanted
        self._sink = sink

    def run(self) -> None:
        """Until all is fed, or something fails: then zstd sees the end."""
        try:
            with os.fdopen(self._sink, "wb", buffering=0) as sink:
                self._feed(sink)
        except Exception as error:
            self.error = error

    def _feed(self, sink: IO[bytes]) -> None:
        wanted = frozenset(self._wanted)
        for stretch in join_frames(self._wanted, self._frames):
            with self._ranges.open(stretch.begin, stretch.end) as body:
                for number in range(stretch.first, stretch.last):
                    data = body.read(self._frames[number].packed)
                    if number not in wanted:
                        continue
                    if hashlib.sha256(data).hexdigest() != self._frames[number].sha256:
                        raise VersionSpoiled(
                            f"frame {number} of {self._told} is not what this site signed",
                            hint="the server's copy, or one on the way, is spoiled",
                        )
                    _write_all(sink, data)


@contextlib.contextmanager
def open_pack(source: Source) -> Iterator[Pack]:
    """The frames that `source` wants.

    Raises ToolMissing (zstd), and while it is read ServerUnreachable, VersionNotFound,
    VersionSpoiled, CommandFailed.
    """
    zstd = find_tool("zstd")
    ranges = Ranges(source.url)
    outlet, sink = os.pipe()
    with os.fdopen(outlet, "rb") as stdin:
        process = start([zstd, "-dcq"], stdin=stdin, stdout=PIPE)
    feeder = _Feeder(ranges, source, sink)
    feeder.start()
    assert process.stdout is not None

    def stop() -> None:
        process.kill()
        ranges.close()
        feeder.join()

    try:
        yield Pack(process.stdout, source, ranges)
    except VersionSpoiled:
        # When the stream ends early, why it did is the better word.
        stop()
        _raise_first(feeder)
        raise
    finally:
        stop()
        process.stdout.close()
        process.wait()


def _raise_first(feeder: _Feeder) -> None:
    if isinstance(feeder.error, SIError):
        raise feeder.error
    if feeder.error is not None and not isinstance(feeder.error, BrokenPipeError):
        raise CommandFailed(f"fetching the pack broke off: {feeder.error}")


def _write_all(sink: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[sink.write(view) :]
