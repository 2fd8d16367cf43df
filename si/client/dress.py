"""Owner, mode, attributes and time of a path, as its record has them.

Stage 8, effects; runs on clients (Python 3.9). What is set is what differs, in the order that the
kernel asks for: a new owner clears the set-uid bit and capabilities, an ACL changes the mode.
"""

from __future__ import annotations

import os
import stat

from si.client.attributes import read_xattrs
from si.client.folders import Place
from si.version.record import SYMLINK, Record


def dress(place: Place, record: Record, *, is_coarse: bool) -> None:
    """Make what is at `place` look as `record` says. Nothing is followed.

    is_coarse: the file system keeps times alone. Raises OSError.
    """
    descriptor = os.open(
        place.name or b".", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.folder
    )
    try:
        # Of all these calls only some take a descriptor that is good for a link as well.
        handle = f"/proc/self/fd/{descriptor}"
        if not is_coarse:
            _own(handle, os.fstat(descriptor), record)
        about = os.fstat(descriptor)
        if about.st_mtime_ns != record.mtime_ns:
            os.utime(handle, ns=(about.st_atime_ns, record.mtime_ns))
    finally:
        os.close(descriptor)


def _own(handle: str, about: os.stat_result, record: Record) -> None:
    has_new_owner = (about.st_uid, about.st_gid) != (record.uid, record.gid)
    if has_new_owner:
        os.chown(handle, record.uid, record.gid)
    has_new_attributes = _set_xattrs(handle, record)
    if record.kind == SYMLINK:
        return
    if has_new_owner or has_new_attributes or stat.S_IMODE(about.st_mode) != record.mode:
        os.chmod(handle, record.mode)  # noqa: PTH101 - of a descriptor


def _set_xattrs(handle: str, record: Record) -> bool:
    """Gives whether anything was changed."""
    wanted, present = dict(record.xattrs), dict(read_xattrs(handle, follow_symlinks=True))
    for name in present.keys() - wanted.keys():
        os.removexattr(handle, name)
    for name, value in wanted.items():
        if present.get(name) != value:
            os.setxattr(handle, name, value)
    return present != wanted
