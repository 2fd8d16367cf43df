"""Directories of this machine, opened one in the other and never through a link.

Stage 8, effects; runs on clients (Python 3.9). An update writes as root into directories that
others may write to. So a path is never given to the kernel as a whole: each part of it is opened in
the one before, and a link that stands where a directory was is an error, whenever it came.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import NamedTuple

from si.errors import UpdateRefused

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BAD = (errno.ENOTDIR, errno.ELOOP)


class Place(NamedTuple):
    """A name in an open directory."""

    folder: int
    name: bytes


class Folders:
    """The directories below one, the last one used and those above it held open."""

    def __init__(self, top: bytes) -> None:
        self._open = [(b"", os.open(top or b"/", _FOLDER))]

    def __enter__(self) -> Folders:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            os.close(self._open.pop()[1])

    def place(self, path: bytes) -> Place:
        """Where `path` (like b"/etc/motd") is: its directory is opened.

        Raises UpdateRefused where something that is no directory stands in the way, OSError.
        """
        folder, _, name = path.rpartition(b"/")
        return Place(self._descend(folder), name)

    def folder(self, path: bytes) -> int:
        """The directory `path` itself, b"/" for the top. Raises as `place`."""
        return self._descend(path.rstrip(b"/"))

    def _descend(self, folder: bytes) -> int:
        while not _is_in(folder, self._open[-1][0]):
            os.close(self._open.pop()[1])
        here, descriptor = self._open[-1]
        for part in folder[len(here) :].split(b"/")[1:]:
            here += b"/" + part
            try:
                descriptor = os.open(part, _FOLDER, dir_fd=descriptor)
            except OSError as error:
                if error.errno in _BAD:
                    raise UpdateRefused(
                        f"{os.fsdecode(here)} is no directory, though it was one or should be",
                        hint="nothing is ever written through a link; if it became one while the "
                        "update ran, run it again",
                    ) from None
                raise
            self._open.append((here, descriptor))
        return descriptor


def list_below(folder: int, path: bytes) -> Iterator[tuple[bytes, bool]]:
    """(path, is it a directory) of all that is in the open directory `folder`, which is `path`:
    a directory after what is in it. Raises OSError."""
    with os.scandir(folder) as entries:
        listed = sorted((os.fsencode(entry.name), _is_folder(entry)) for entry in entries)
    for name, is_folder in listed:
        inner = path + b"/" + name
        if is_folder:
            descriptor = os.open(name, _FOLDER, dir_fd=folder)
            try:
                yield from list_below(descriptor, inner)
            finally:
                os.close(descriptor)
        yield inner, is_folder


def look_at(place: Place) -> os.stat_result | None:
    """What lstat(2) says of it; None when nothing is there."""
    try:
        return os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _is_in(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")
