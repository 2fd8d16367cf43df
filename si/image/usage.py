"""Who uses a tree: processes whose root or working directory lies in it, and mounts below it.

Stage 2. In: a directory; out: who is there, from /proc. Asked before a tree is moved or removed:
an rsync daemon that serves an install stands in the tree with its root (`use chroot`), and a
tree that has /proc or a disk mounted in it must never meet `rm -r`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from si.errors import ImageInUse

_PROC = Path("/proc")
_OCTAL = re.compile(r"\\([0-7]{3})")
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Reader:
    """A process that stands in a tree."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


def readers_of(tree: Path) -> tuple[Reader, ...]:
    """Processes whose root or working directory is `tree` or lies below it.

    Told by path and by inode, since a process in another mount namespace sees other paths.
    """
    real = os.path.realpath(tree)
    try:
        at = Path(real).stat()
    except FileNotFoundError:
        return ()
    found = []
    for process in _processes():
        if any(_stands_in(process / place, real, at) for place in ("root", "cwd")):
            found.append(Reader(int(process.name), _command_of(process)))
    return tuple(found)


def mounts_in(tree: Path) -> tuple[str, ...]:
    """Mount points at or below `tree`, as this process sees them."""
    real = os.path.realpath(tree)
    text = (_PROC / "self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    return tuple(point for point in parse_mount_points(text) if _is_within(point, real))


def parse_mount_points(mountinfo: str) -> tuple[str, ...]:
    """The mount points in the text of /proc/PID/mountinfo (proc(5)), octal escapes undone."""
    points = []
    for line in mountinfo.splitlines():
        words = line.split(" ")
        if len(words) > 4:
            points.append(_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), words[4]))
    return tuple(points)


def refuse_mounts(tree: Path, name: str) -> None:
    """Raise ImageInUse when something is mounted at or below `tree`."""
    points = mounts_in(tree)
    if points:
        raise ImageInUse(
            f"image {name} has mounts in it: {_list(points)}",
            hint="unmount them (umount), then run the command again",
        )


def refuse_use(tree: Path, name: str) -> None:
    """Raise ImageInUse when a process stands in `tree`, or something is mounted there."""
    refuse_mounts(tree, name)
    readers = readers_of(tree)
    if readers:
        raise ImageInUse(
            f"image {name} is in use by {_list(tuple(map(str, readers)))}",
            hint="wait for installs to end, and leave the directory in other shells",
        )


def _processes() -> Iterator[Path]:
    return (entry for entry in _PROC.iterdir() if entry.name.isdigit())


def _stands_in(link: Path, real: str, at: os.stat_result) -> bool:
    try:
        if _is_within(str(link.readlink()), real):
            return True
        place = link.stat()
    except OSError:  # it ended, or is another user's
        return False
    return (place.st_dev, place.st_ino) == (at.st_dev, at.st_ino)


def _is_within(path: str, tree: str) -> bool:
    return path == tree or path.startswith(tree.rstrip("/") + "/")


def _command_of(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return "?"


def _list(items: tuple[str, ...]) -> str:
    more = len(items) - _NAMED
    return ", ".join(items[:_NAMED]) + (f" and {more} more" if more > 0 else "")
