"""The archive that the kernel unpacks as its first file system.

Stage 6, pure. Entries go in, the bytes of a `newc` cpio archive come out. Written here and not by
the cpio program because the bytes must depend on names, modes and contents alone: paths sorted,
owner 0:0, time 0, inode numbers counted. Source: Linux,
Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_TRAILER = "TRAILER!!!"
_BLOCK = 512


class EntryInvalid(ValueError):
    """An entry that the format cannot hold or the kernel would not unpack."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of the archive; `path` is relative, without `.` or `..`."""

    path: str
    mode: int
    """File type and permissions, as in st_mode."""
    data: bytes = b""
    """Contents of a file, or what a symlink points to."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a device."""


def folder(path: str, mode: int = 0o755) -> Entry:
    """A directory."""
    return Entry(path, stat.S_IFDIR | mode)


def regular(path: str, data: bytes, *, executable: bool) -> Entry:
    """A file: 0755 or 0644."""
    return Entry(path, stat.S_IFREG | (0o755 if executable else 0o644), data)


def symlink(path: str, points_to: str) -> Entry:
    """A symbolic link."""
    return Entry(path, stat.S_IFLNK | 0o777, points_to.encode("utf-8", "surrogateescape"))


def character_device(path: str, mode: int, major: int, minor: int) -> Entry:
    """A character device."""
    return Entry(path, stat.S_IFCHR | mode, device=(major, minor))


def write_cpio(entries: Iterable[Entry]) -> bytes:
    """The archive of `entries`, in whatever order they come; missing directories are added.

    Raises EntryInvalid for a path that is absolute, climbs or comes twice, and for one that lies
    below something that is no directory.
    """
    parts: list[bytes] = []
    for number, entry in enumerate(_in_order(entries), start=1):
        parts.extend(_record(entry, number))
    parts.extend(_record(Entry(_TRAILER, 0), 0))
    size = sum(map(len, parts))
    parts.append(bytes(-size % _BLOCK))
    return b"".join(parts)


def _in_order(entries: Iterable[Entry]) -> list[Entry]:
    known: dict[str, Entry] = {}
    for entry in entries:
        _check_path(entry.path)
        if entry.path in known:
            raise EntryInvalid(f"{entry.path} comes twice")
        known[entry.path] = entry
    for path in list(known):
        for parent in _parents(path):
            if not stat.S_ISDIR(known.setdefault(parent, folder(parent)).mode):
                raise EntryInvalid(f"{path} lies below {parent}, which is no directory")
    return [known[path] for path in sorted(known)]


def _check_path(path: str) -> None:
    words = path.split("/")
    if path == _TRAILER or "\0" in path or any(word in {"", ".", ".."} for word in words):
        raise EntryInvalid(f"{path!r} cannot be a path of the archive")


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _record(entry: Entry, number: int) -> Iterator[bytes]:
    name = entry.path.encode("utf-8", "surrogateescape") + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (
        number,
        entry.mode,
        0,  # owner
        0,  # group
        links,
        0,  # time
        len(entry.data),
        0,  # device the file lies on
        0,
        *entry.device,
        len(name),
        0,  # checksum, unused in newc
    )
    if max(fields) > 0xFFFFFFFF:
        raise EntryInvalid(f"{entry.path} is too big for a cpio archive")
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    yield head + bytes(-len(head) % 4)
    yield entry.data + bytes(-len(entry.data) % 4)
