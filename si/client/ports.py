"""Which processes listen on a TCP port, and whether anybody is connected to it.

Stage 1. Reads /proc/net/tcp and /proc/PID/fd (proc(5)); runs on clients (Python 3.9).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ESTABLISHED = "01"
_LISTEN = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]")


@dataclass(frozen=True)
class Listener:
    """A process that listens: its id and name."""

    pid: int
    name: str


@dataclass(frozen=True)
class Socket:
    """One line of /proc/net/tcp: local port, state, inode."""

    port: int
    state: str
    inode: int


def find_listeners(port: int, proc: Path = Path("/proc")) -> tuple[Listener, ...]:
    """Processes that listen on `port`, as far as this user may see them."""
    inodes = {s.inode for s in _sockets(proc) if s.port == port and s.state == _LISTEN}
    if not inodes:
        return ()
    return tuple(
        Listener(int(process.name), _name(process))
        for process in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name))
        if not inodes.isdisjoint(_inodes(process))
    )


def is_taken(port: int, proc: Path = Path("/proc")) -> bool:
    """Whether anything listens on `port`, seen or not."""
    return any(s.port == port and s.state == _LISTEN for s in _sockets(proc))


def is_in_use(port: int, proc: Path = Path("/proc")) -> bool:
    """Whether anybody is connected to this machine's `port`."""
    return any(s.port == port and s.state == _ESTABLISHED for s in _sockets(proc))


def parse_sockets(text: str) -> Iterator[Socket]:
    """The lines of /proc/net/tcp or tcp6."""
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > 9:
            yield Socket(int(words[1].rpartition(":")[2], 16), words[3], int(words[9]))


def _sockets(proc: Path) -> Iterator[Socket]:
    for name in ("tcp", "tcp6"):
        try:
            text = (proc / "self/net" / name).read_text()
        except OSError:
            continue
        yield from parse_sockets(text)


def _inodes(process: Path) -> Iterator[int]:
    try:
        for handle in (process / "fd").iterdir():
            found = _SOCKET.fullmatch(str(handle.readlink()))
            if found is not None:
                yield int(found.group(1))
    except OSError:
        return  # it ended, or is not ours to look into


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return "?"
