"""rsync: its arguments, what its exit codes mean, its progress.

Stage: none. Runs on clients too, hence Python 3.9 and the standard library only. In: the words of
a command; out: a `Transfer`. Every tree moves with FIDELITY, at capture, install and update
alike, for a copy that lost a capability or a hard link is not a copy (decision 5).
"""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Callable

from si.errors import ToolMissing
from si.system.run import PIPE, Arg, run, start

FIDELITY = ("-aHAXS", "--numeric-ids")
"""Type, mode, owner, times, hard links, ACLs, xattrs, capabilities, holes, devices, sockets."""

EXACT_TIMES = ("--modify-window=-1",)
"""Compare times to the nanosecond when deciding what is unchanged: rsync alone compares seconds,
and takes a file that was rewritten within one for the old one when its size is the same."""

OLDEST_VERSION = (3, 1, 3)
"""The oldest rsync that knows every option used here (Debian 10, EL 8)."""

UNREACHABLE = frozenset({5, 10, 30, 35, 255})
"""Exit codes of a peer that is not there, or does not let us in."""

PARTIAL = 23
VANISHED = 24
_WRITE_FAILED = 11

_MEANINGS = {
    1: "it was called wrongly",
    2: "the two rsync versions do not understand each other",
    3: "a directory could not be entered or created",
    4: "the other side's rsync cannot do what was asked",
    5: "the other side's rsync daemon refused",
    6: "a log file could not be written",
    10: "the other side could not be reached",
    11: "a file could not be read or written",
    12: "the connection broke",
    13: "a program that rsync talks to failed",
    14: "communication between processes failed",
    19: "it was stopped by a signal",
    20: "it was stopped by a signal",
    21: "a child process failed",
    22: "it ran out of memory",
    23: "some files could not be read or written whole",
    24: "some files vanished while they were copied",
    25: "it stopped at the limit of deletions",
    30: "the other side was silent for too long",
    35: "the other side's daemon did not answer in time",
    127: "a program that it needs is not installed",
    255: "ssh could not reach the other side, or was not let in",
}
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")
_VANISHED_LINE = re.compile(r'(?:file|directory) has vanished: "(.*)"')
_VERSION = re.compile(r"rsync\s+version v?(\d+)\.(\d+)(?:\.(\d+))?")
_PROGRESS = re.compile(rb"\s*([\d,.]+)\s+(\d+)%\s+(\S+/s)")
_STATS = {
    b"Number of files": "paths",
    b"Total file size": "total_bytes",
    b"Total transferred file size": "transferred_bytes",
    b"Number of regular files transferred": "transferred_files",
}
_ITEM = re.compile(rb"(\*deleting  |[<>ch.*][fdLDS][^ ]{9}) (.*)", re.DOTALL)
_ESCAPED = re.compile(rb"\\#([0-7]{3})")
_STAT_LINE = re.compile(rb"([A-Z][A-Za-z ]+): ([\d,]+)")
_KEPT_COMPLAINTS = 40
_KEPT_VANISHED = 1000


@dataclass(frozen=True)
class Progress:
    """How far a transfer is: bytes of files done, per cent of all, and rsync's words for speed."""

    done_bytes: int
    percent: int
    speed: str


@dataclass(frozen=True)
class Transfer:
    """What an rsync that has ended left behind.

    complaints: the last lines of its standard error. vanished: files that went away under it.
    paths, total_bytes: all that the source holds; transferred_*: what had to travel (or, in a
    dry run, would have to). Zero where rsync ended too early to say.
    """

    exit_code: int
    complaints: tuple[str, ...]
    vanished: tuple[str, ...]
    paths: int
    total_bytes: int
    transferred_bytes: int
    transferred_files: int

    @property
    def no_space(self) -> bool:
        """Whether it ended for want of room."""
        return self.exit_code != 0 and any(_NO_SPACE.search(line) for line in self.complaints)

    @property
    def reason(self) -> str:
        """Why it failed, in words, with rsync's own first complaint."""
        first = next((line for line in self.complaints if line.strip()), "")
        return meaning(self.exit_code) + (f" ({first.strip()})" if first else "")


def meaning(exit_code: int) -> str:
    """An exit code of rsync in words (rsync(1), EXIT VALUES)."""
    if exit_code < 0:
        return f"it was killed by signal {-exit_code}"
    return _MEANINGS.get(exit_code, f"it ended with exit code {exit_code}")


def parse_version(text: str) -> tuple[int, int, int] | None:
    """The version in the text of `rsync --version`, None when there is none."""
    found = _VERSION.search(text)
    if found is None:
        return None
    return int(found[1]), int(found[2]), int(found[3] or 0)


def require_rsync() -> str:
    """The version of this machine's rsync as text.

    Raises ToolMissing when there is none, or one older than OLDEST_VERSION.
    """
    version = parse_version(run(["rsync", "--version"]).text)
    if version is None or version < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise ToolMissing(f"rsync is older than {oldest}", hint="install a newer package of rsync")
    return ".".join(map(str, version))


def parse_item(line: bytes) -> tuple[str, bytes] | None:
    """What --itemize-changes says of one path: its code (`>f+++++++++`, or `*deleting`) and the
    path as its bytes are, with rsync's `\\#ooo` undone. None for any other line."""
    found = _ITEM.fullmatch(line)
    if found is None:
        return None
    path = _ESCAPED.sub(lambda octal: bytes([int(octal[1], 8) & 0xFF]), found[2])
    return found[1].decode("ascii", "replace").strip(), path


def parse_progress(line: bytes) -> Progress | None:
    """A line of --info=progress2, None for any other line."""
    found = _PROGRESS.match(line)
    if found is None:
        return None
    digits = re.sub(rb"\D", b"", found[1])
    return Progress(int(digits), int(found[2]), found[3].decode("ascii", "replace"))


class Running:
    """An rsync that was started; `finish` reads it to its end, `cancel` stops it."""

    def __init__(self, argv: Sequence[Arg]) -> None:
        self._process = start(argv, stdout=PIPE, stderr=PIPE)
        assert self._process.stdout is not None and self._process.stderr is not None
        self._output: IO[bytes] = self._process.stdout
        self._complaints = _Complaints(self._process.stderr)

    def finish(
        self,
        *,
        on_line: Callable[[bytes], None] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Transfer:
        """Wait for the end, whatever that is: the caller judges the exit code.

        on_line gets each line of output that is neither progress nor statistics (with
        --itemize-changes one a path).
        """
        numbers: dict[str, int] = {}
        try:
            for line in _split(self._output):
                _sort_line(line, numbers, on_line, on_progress)
            exit_code = self._process.wait()
        finally:
            self.cancel()
        return Transfer(
            exit_code=exit_code,
            complaints=tuple(self._complaints.last),
            vanished=tuple(self._complaints.vanished),
            paths=numbers.get("paths", 0),
            total_bytes=numbers.get("total_bytes", 0),
            transferred_bytes=numbers.get("transferred_bytes", 0),
            transferred_files=numbers.get("transferred_files", 0),
        )

    def cancel(self) -> None:
        """Stop it, if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        self._complaints.finish()
        self._output.close()


def begin(
    words: Sequence[Arg], *, progress: bool = False, die_with_parent: bool = False
) -> Running:
    """Start `rsync WORDS` and return at once.

    With die_with_parent rsync is told to stop (and keeps what it has) when this process is
    killed; that needs setpriv of util-linux. Raises ToolMissing.
    """
    argv: list[Arg] = ["rsync", "--no-human-readable", "--stats"]
    if die_with_parent:
        argv = ["setpriv", "--pdeathsig", "TERM", "--", *argv]
    if progress:
        argv.append("--info=progress2")
    return Running([*argv, *words])


def transfer(
    words: Sequence[Arg],
    *,
    on_line: Callable[[bytes], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    die_with_parent: bool = False,
) -> Transfer:
    """Run `rsync WORDS` to its end; see `begin` and `Running.finish`. Raises ToolMissing."""
    running = begin(words, progress=on_progress is not None, die_with_parent=die_with_parent)
    return running.finish(on_line=on_line, on_progress=on_progress)


class _Complaints(threading.Thread):
    """Reads standard error beside standard output, so that neither pipe can fill and stall."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.last: deque[str] = deque(maxlen=_KEPT_COMPLAINTS)
        self.vanished: list[str] = []
        self.start()

    def run(self) -> None:
        for raw in self._stream:
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            found = _VANISHED_LINE.search(line)
            if found is None:
                self.last.append(line)
            elif len(self.vanished) < _KEPT_VANISHED:
                self.vanished.append(found[1])

    def finish(self) -> None:
        self.join()
        self._stream.close()


def _split(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines as they come; progress ends each of its lines with a carriage return alone."""
    rest = b""
    while True:
        chunk = os.read(stream.fileno(), 65536)
        if not chunk:
            break
        *lines, rest = re.split(rb"[\r\n]", rest + chunk)
        yield from (line for line in lines if line)
    if rest:
        yield rest


def _sort_line(
    line: bytes,
    numbers: dict[str, int],
    on_line: Callable[[bytes], None] | None,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    stat = _STAT_LINE.match(line)
    if stat is not None and stat[1] in _STATS:
        numbers[_STATS[stat[1]]] = int(stat[2].replace(b",", b""))
        return
    if on_progress is not None:
        progress = parse_progress(line)
        if progress is not None:
            on_progress(progress)
            return
    if on_line is not None:
        on_line(line)
