"""Everything new is made beside its place, under a hidden name, checked, and only then renamed.

Stage 8, effects; runs on clients (Python 3.9). So a machine that loses its power, its server or its
patience before the first rename is what it was; names that were left are no names of any version,
so the next update removes them like whatever else is too much.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from typing import Any

from si.client.blocks import Patched
from si.client.changes import MAKE, Change
from si.client.dress import dress
from si.client.folders import Folders, Place, look_at
from si.client.itemize import quote_path
from si.client.pack import Pack
from si.client.removal import remove_trees
from si.errors import NoSpace, UpdateRefused, VersionSpoiled
from si.system.exchange import exchange
from si.version.record import BLOCK_DEVICE, FIFO, FILE, SYMLINK, Record, escape

PREFIX = b".si-update."
"""What hidden names begin with."""
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_THERE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
_ZEROS = bytes(1 << 16)


class Staging:
    """What is made and not in its place yet. coarse: devices of file systems that keep times alone
    of all that `dress` sets."""

    def __init__(self, folders: Folders, coarse: frozenset[int]) -> None:
        self._folders = folders
        self._coarse = coarse
        self._token = os.urandom(4).hex().encode()
        self._names: dict[bytes, bytes] = {}
        """Paths under their hidden names, by their own."""
        self.retired: list[bytes] = []
        """What has lost its name to something of another type."""
        self._numbers = itertools.count()
        self._times: dict[bytes, tuple[int, int]] = {}
        """Of directories that something was made in, as they were."""

    def make(self, change: Change, pack: Pack | None) -> None:
        """Make the new directory, file, link or device of `change`.

        Raises VersionSpoiled when the bytes are not the record's, and what `pack` raises.
        """
        path, record = self._staged_path(change), change.record
        place = self._folders.place(path)
        if not change.inside:
            self._names[change.path] = path
        if change.action == MAKE:
            os.mkdir(place.name, 0o700, dir_fd=place.folder)
        elif record.kind == FILE:
            _write_checked(place, record, pack)
        else:
            _make_node(place, record)
        self.dress(place, record)

    def patch(self, change: Change, patched: Patched) -> bool:
        """Make a file of an old copy and what that lacks; False, and nothing is left, when it
        turned out to be another file than the record's. Raises what the pack raises."""
        path, record = self._staged_path(change), change.record
        place = self._folders.place(path)
        self._names[change.path] = path
        try:
            is_right = _write_file(place, record, patched) == record.content
        except EOFError:
            is_right = False
        if is_right:
            self.dress(place, record)
        else:
            os.unlink(place.name, dir_fd=place.folder)
            del self._names[change.path]
        return is_right

    def put(self, change: Change) -> None:
        """Give what was made its own name, in one step, whatever has that name now."""
        path = self._names[change.path]
        new, name = self._folders.place(path), change.path.rpartition(b"/")[2]
        there = look_at(Place(new.folder, name))
        was_folder = there is not None and stat.S_ISDIR(there.st_mode)
        if was_folder and change.action == MAKE:
            raise UpdateRefused(
                f"{escape(change.path).decode()} was made while the update ran",
                hint="run it again",
            )
        if there is not None and was_folder != (change.action == MAKE):
            self.retired.append(path)
            _swap(new, name)
        else:
            os.rename(new.name, name, src_dir_fd=new.folder, dst_dir_fd=new.folder)
        del self._names[change.path]

    def link(self, change: Change) -> None:
        """Make the path of `change` a further name of its source, which is in its place."""
        source = self._folders.place(change.source)
        # The descriptor has to outlive the way to the other directory.
        folder = os.dup(source.folder)
        try:
            hidden = self._hide(change.path)
            place = self._folders.place(hidden)
            os.link(
                source.name, place.name,
                src_dir_fd=folder, dst_dir_fd=place.folder, follow_symlinks=False,
            )  # fmt: skip
        finally:
            os.close(folder)
        self._names[change.path] = hidden
        self.put(change)
        if hidden not in self.retired:
            # rename(2) leaves both names where they are of one file already.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place.name, dir_fd=place.folder)

    def dress(self, place: Place, record: Record) -> None:
        """`dress`, by what the file system there keeps."""
        is_coarse = bool(self._coarse) and os.fstat(place.folder).st_dev in self._coarse
        dress(place, record, is_coarse=is_coarse)

    def undo(self) -> None:
        """Take away what has not got its name yet, as far as that is possible."""
        with contextlib.suppress(OSError, UpdateRefused):
            remove_trees(self._folders, self._names.values())
        for folder, times in self._times.items():
            with contextlib.suppress(OSError, UpdateRefused):
                os.utime(self._folders.folder(folder), ns=times)

    def _staged_path(self, change: Change) -> bytes:
        if change.inside:
            return self._names[change.inside] + change.path[len(change.inside) :]
        return self._hide(change.path)

    def _hide(self, path: bytes) -> bytes:
        folder, _, _ = path.rpartition(b"/")
        if folder not in self._times:
            about = os.fstat(self._folders.folder(folder))
            self._times[folder] = (about.st_atime_ns, about.st_mtime_ns)
        return folder + b"/" + PREFIX + self._token + b".%d" % next(self._numbers)


@contextlib.contextmanager
def doing(path: bytes) -> Iterator[None]:
    """Say at which path the machine refused what."""
    try:
        yield
    except OSError as error:
        said = f"{quote_path(path)}: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(said, hint="make room and run the same command again") from error
        raise UpdateRefused(said, hint="put it right and run the same command again") from error


def _swap(new: Place, name: bytes) -> None:
    try:
        exchange(new.name, name, folder=new.folder)
        return
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
    aside = new.name + b"-"
    os.rename(name, aside, src_dir_fd=new.folder, dst_dir_fd=new.folder)
    os.rename(new.name, name, src_dir_fd=new.folder, dst_dir_fd=new.folder)
    os.rename(aside, new.name, src_dir_fd=new.folder, dst_dir_fd=new.folder)


def _make_node(place: Place, record: Record) -> None:
    folder, name = place
    if record.kind == SYMLINK:
        os.symlink(record.target, name, dir_fd=folder)
    elif record.kind == FIFO:
        os.mkfifo(name, 0o600, dir_fd=folder)
    else:
        kind = stat.S_IFBLK if record.kind == BLOCK_DEVICE else stat.S_IFCHR
        os.mknod(name, kind | 0o600, os.makedev(*record.device), dir_fd=folder)


def _write_checked(place: Place, record: Record, pack: Pack | None) -> None:
    if _write_file(place, record, pack) != record.content:
        raise VersionSpoiled(
            f"{escape(record.path).decode()} of the pack is not what the manifest says",
            hint="publish the image again, or take another version",
        )


def _write_file(place: Place, record: Record, pack: Pack | Patched | None) -> str:
    """Write a new file; gives the SHA-256 of its contents."""
    descriptor = os.open(place.name, _NEW_FILE, 0o600, dir_fd=place.folder)
    try:
        return _write_data(descriptor, record, pack)
    finally:
        os.close(descriptor)


def _write_data(descriptor: int, record: Record, pack: Pack | Patched | None) -> str:
    """Write the contents of a file, holes left out; gives their SHA-256."""
    digest = hashlib.sha256()
    if record.packed:
        assert pack is not None
        pack.seek(record.frame, record.offset)
    end = 0
    for offset, length in _extents(record):
        _hash_zeros(digest, offset - end)
        os.lseek(descriptor, offset, os.SEEK_SET)
        end = offset + length
        while length:
            assert pack is not None
            data = pack.read(length)
            digest.update(data)
            _write_all(descriptor, data)
            length -= len(data)
    _hash_zeros(digest, record.size - end)
    if record.extents is not None:
        os.ftruncate(descriptor, record.size)
    return digest.hexdigest()


def _extents(record: Record) -> tuple[tuple[int, int], ...]:
    if record.extents is not None:
        return record.extents
    return ((0, record.size),) if record.size else ()


def _hash_zeros(digest: Any, count: int) -> None:
    while count:
        part = min(count, len(_ZEROS))
        digest.update(_ZEROS[:part])
        count -= part


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
