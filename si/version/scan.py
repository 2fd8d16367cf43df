"""Look at every path of a tree, and later whether it still is what it was.

Stage 3. In: a tree; out: `Found` paths in the order of a manifest, their contents not yet read, and
the sockets, which no version can carry. Files are known again by what their inode says, and
that is also how a change under way is noticed: every path is looked at once more at the end.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from si.client.attributes import read_xattrs
from si.errors import CannotCarry, TreeChanged
from si.version.record import (
    BLOCK_DEVICE,
    CHAR_DEVICE,
    FIFO,
    FILE,
    FOLDER,
    HARD_LINK,
    MAX_EXTENTS,
    MAX_PATH,
    SYMLINK,
    Extents,
    Record,
    escape,
)

_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: FOLDER,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHAR_DEVICE,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}
_BLOCK = 512
_NAMED = 5


class Stamp(NamedTuple):
    """What an inode says of itself; when it is the same, so is the file."""

    inode: int
    mtime_ns: int
    ctime_ns: int
    size: int
    mode: int


class Found(NamedTuple):
    """A path: its record (of a file: without the content), and the stamp of its inode."""

    record: Record
    stamp: Stamp


class Scan(NamedTuple):
    """A tree: what was found in the order of a manifest, and paths of sockets."""

    root: bytes
    found: list[Found]
    sockets: tuple[bytes, ...]

    @property
    def unpacked(self) -> int:
        """Bytes of all its files."""
        return sum(one.record.size for one in self.found)

    def place(self, record: Record) -> bytes:
        """Where a path of the tree lies."""
        return self.root + record.path


def scan_tree(tree: bytes) -> Scan:
    """Look at every path of `tree`, never across a link.

    Raises TreeChanged for a path that vanishes under way, CannotCarry, OSError.
    """
    found: list[Found] = []
    sockets: list[bytes] = []
    first_names: dict[int, Record] = {}
    device = os.lstat(tree).st_dev
    for path, about in _walk(tree):
        if stat.S_ISSOCK(about.st_mode):
            sockets.append(path)
            continue
        if about.st_dev != device:
            raise CannotCarry(f"{_show(path)} lies on another file system than the image")
        record = _look(tree, path, about, first_names)
        found.append(Found(record, stamp_of(about)))
    return Scan(tree, found, tuple(sockets))


def stamp_of(about: os.stat_result) -> Stamp:
    """The stamp of an inode."""
    return Stamp(about.st_ino, about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_mode)


def changed_since(scan: Scan) -> Iterator[Found]:
    """The paths whose inodes no longer say what they said, or that are gone.

    A name that came or went shows in the stamp of its folder.
    """
    root, lstat = scan.root, os.lstat
    for found in scan.found:
        try:
            now = lstat(root + found.record.path)
        except OSError:
            yield found
            continue
        stamp = found.stamp
        if (
            now.st_ctime_ns != stamp.ctime_ns
            or now.st_ino != stamp.inode
            or now.st_mtime_ns != stamp.mtime_ns
            or now.st_size != stamp.size
            or now.st_mode != stamp.mode
        ):
            yield found


def look_again(scan: Scan, found: Found) -> bool:
    """Whether a path is, but for its ctime, still what it was.

    A link to a file that is removed elsewhere changes the ctime alone. Contents are not compared.
    """
    path = found.record.path
    try:
        about = os.lstat(scan.root + path)
        if stamp_of(about)._replace(ctime_ns=0) != found.stamp._replace(ctime_ns=0):
            return False
        record = _look(scan.root, path, about, {})
    except OSError:
        return False
    if found.record.kind == HARD_LINK:
        return True  # its first name is looked at
    return record == found.record._replace(content="", frame=0, offset=0)


def tree_changed(paths: Iterable[bytes]) -> TreeChanged:
    """The error that names paths that changed."""
    names = [_show(path) for path in paths]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return TreeChanged(
        f"the tree changed while it was published: {', '.join(names[:_NAMED])}{more}",
        hint="end what writes there, then publish again; no version was made",
    )


def _walk(tree: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """Paths below `tree`, itself as b"/", a folder before what is in it, names as bytes."""
    yield b"/", os.lstat(tree)
    todo = [_read_folder(tree, b"")]
    while todo:
        for path, about in todo[-1]:
            yield path, about
            if stat.S_ISDIR(about.st_mode):
                todo.append(_read_folder(tree, path))
                break
        else:
            todo.pop()


def _read_folder(tree: bytes, folder: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    try:
        with os.scandir(tree + folder + b"/") as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            yield folder + b"/" + entry.name, entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        raise tree_changed([folder or b"/"]) from None


def _look(
    tree: bytes, path: bytes, about: os.stat_result, first_names: dict[int, Record]
) -> Record:
    """The record of a path. Further names of a file are told by its inode."""
    place = tree + path
    kind = _KINDS[stat.S_IFMT(about.st_mode)]
    if len(path) > MAX_PATH:
        raise CannotCarry(f"{_show(path[:80])}... is longer than {MAX_PATH} bytes")
    if about.st_nlink > 1 and kind != FOLDER:
        first = first_names.get(about.st_ino)
        if first is not None:
            return first._replace(
                path=path, kind=HARD_LINK, target=first.path, size=0, xattrs=(), extents=None,
                device=(0, 0),
            )  # fmt: skip
    record = Record(
        path,
        kind,
        stat.S_IMODE(about.st_mode),
        about.st_uid,
        about.st_gid,
        about.st_mtime_ns,
        about.st_size if kind == FILE else 0,
        "",
        os.readlink(place) if kind == SYMLINK else b"",  # noqa: PTH115 - a Path holds no bytes
        (os.major(about.st_rdev), os.minor(about.st_rdev))
        if kind in (CHAR_DEVICE, BLOCK_DEVICE)
        else (0, 0),
        _xattrs(place),
        _extents(place, about)
        if kind == FILE and about.st_blocks * _BLOCK < about.st_size
        else None,
    )
    if about.st_nlink > 1 and kind != FOLDER:
        first_names[about.st_ino] = record
    return record


def _xattrs(place: bytes) -> tuple[tuple[bytes, bytes], ...]:
    try:
        return read_xattrs(place)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOENT):
            raise tree_changed([place]) from None
        raise


def _extents(place: bytes, about: os.stat_result) -> Extents | None:
    """Where the file has data; None when it has no hole after all."""
    size = about.st_size
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = []
        end = 0
        while end < size:
            try:
                begin = os.lseek(descriptor, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break
            end = min(os.lseek(descriptor, begin, os.SEEK_HOLE), size)
            if begin >= end:
                break
            found.append((begin, end - begin))
    finally:
        os.close(descriptor)
    if len(found) > MAX_EXTENTS:
        raise CannotCarry(f"{_show(place)} has data in more than {MAX_EXTENTS} places")
    return None if found == [(0, size)] else tuple(found)


def _show(path: bytes) -> str:
    return escape(path).decode()
