"""What differs between a path of this machine and its record in a manifest.

Stage 8, effects: reads; runs on clients (Python 3.9). Most paths are equal, and that is found out
without reading the record: its line has to begin with what this machine says of the path. The
manifest's form has one way to write everything, so equal bytes mean equal paths.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import NamedTuple, Optional

from si.client.attributes import read_xattrs
from si.client.rules import Rule
from si.version.record import (
    BLOCK_DEVICE,
    CHAR_DEVICE,
    DEVICES,
    FIFO,
    FILE,
    FOLDER,
    SYMLINK,
    Record,
)

CHANGED, MISSING, EXTRA = "changed", "missing", "extra"
MODE, OWNER, ATTRIBUTES, CAPABILITY_LOST = "mode", "owner", "attributes", "capability lost"
CLASSES = (CHANGED, MISSING, EXTRA, MODE, OWNER, ATTRIBUTES, CAPABILITY_LOST)

_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: FOLDER,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHAR_DEVICE,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}
_HASH = 64
_CAPABILITY = b"security.capability"
_COARSE_NS = 2_000_000_000
_READ = 1 << 20


class Difference(NamedTuple):
    """One path. classes: of CLASSES; what: of a changed one, what of it ("contents", "time", ...);
    rule: what protects it."""

    path: bytes
    is_folder: bool
    classes: tuple[str, ...]
    what: tuple[str, ...] = ()
    rule: Optional[Rule] = None  # noqa: UP045 - evaluated, by Python 3.9 too


def agrees(line: bytes, about: os.stat_result, place: bytes) -> bool:
    """Whether `line` certainly says of a file or directory what there is at `place`.

    Of the contents of a file the size is compared. False also means: not worth a shortcut.
    """
    mode = about.st_mode
    if stat.S_ISREG(mode):
        begin = b"f %04o %d %d %d %d " % (
            mode & 0o7777,
            about.st_uid,
            about.st_gid,
            about.st_mtime_ns,
            about.st_size,
        )
        behind = len(begin) + _HASH
        if not line.startswith(begin) or line[behind : behind + 3] != b" - ":
            return False
    elif stat.S_ISDIR(mode):
        begin = b"d %04o %d %d %d 0 - - " % (
            mode & 0o7777,
            about.st_uid,
            about.st_gid,
            about.st_mtime_ns,
        )
        if not line.startswith(begin):
            return False
    else:
        return False
    try:
        return not os.listxattr(place, follow_symlinks=False)
    except OSError:
        return False  # `compare` knows file systems without attributes


class Leniency(NamedTuple):
    """How a path is compared. is_coarse: its file system keeps neither owners nor modes nor exact
    times (FAT); ignores_time: its time says nothing; is_unread: its contents are none of our
    business; reads_all: files are read even where size and time are the record's."""

    is_coarse: bool = False
    ignores_time: bool = False
    is_unread: bool = False
    reads_all: bool = False


def compare(
    record: Record, about: os.stat_result, place: bytes, leniency: Leniency
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(classes, what) of the differences; both empty where there is none.

    record: of any kind but a further name. A file whose time alone differs is read, to say whether
    that is all. Where a file has holes does not count. Raises OSError.
    """
    if _KINDS.get(stat.S_IFMT(about.st_mode)) != record.kind:
        return (CHANGED,), ("type",)
    what = _compare_contents(record, about, place)
    is_late = not leniency.ignores_time and not _same_time(record, about, leniency)
    is_in_doubt = record.kind == FILE and not what and not leniency.is_unread
    if is_in_doubt and (is_late or leniency.reads_all) and hash_file(place) != record.content:
        what.append("contents")
    if is_late:
        what.append("time")
    classes = [CHANGED] if what else []
    if not leniency.is_coarse:
        classes += _compare_inode(record, about, place)
    return tuple(classes), tuple(what)


def hash_file(place: bytes) -> str:
    """SHA-256 of a file, hex. Raises OSError."""
    digest = hashlib.sha256()
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while True:
            data = os.read(descriptor, _READ)
            if not data:
                return digest.hexdigest()
            digest.update(data)
    finally:
        os.close(descriptor)


def _compare_contents(record: Record, about: os.stat_result, place: bytes) -> list[str]:
    if record.kind == FILE:
        return [] if about.st_size == record.size else ["contents"]
    if record.kind == SYMLINK:
        return [] if os.readlink(place) == record.target else ["target"]  # noqa: PTH115 - bytes
    if record.kind in DEVICES:
        device = (os.major(about.st_rdev), os.minor(about.st_rdev))
        return [] if device == record.device else ["device"]
    return []


def _same_time(record: Record, about: os.stat_result, leniency: Leniency) -> bool:
    apart = abs(about.st_mtime_ns - record.mtime_ns)
    return apart < _COARSE_NS if leniency.is_coarse else apart == 0


def _compare_inode(record: Record, about: os.stat_result, place: bytes) -> list[str]:
    found = []
    if stat.S_IMODE(about.st_mode) != record.mode:
        found.append(MODE)
    if (about.st_uid, about.st_gid) != (record.uid, record.gid):
        found.append(OWNER)
    wanted, present = dict(record.xattrs), dict(read_xattrs(place))
    if _CAPABILITY in wanted and _CAPABILITY not in present:
        found.append(CAPABILITY_LOST)
        del wanted[_CAPABILITY]
    if wanted != present:
        found.append(ATTRIBUTES)
    return found
