"""Files that not even root can replace: chattr +i and +a.

Stage 8, effects: reads; runs on clients (Python 3.9). Such a file is found before anything is done,
for else it would stop an update in the middle.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import stat
from collections.abc import Iterable

from si.client.folders import Folders, look_at
from si.client.itemize import quote_path
from si.errors import UpdateRefused

_GET_FLAGS = 0x80086601 if array.array("l").itemsize == 8 else 0x80046601
"""FS_IOC_GETFLAGS of linux/fs.h."""
_KEPT = 0x10 | 0x20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NAMED = 5


def refuse_immutable(folders: Folders, paths: Iterable[bytes]) -> None:
    """Raise UpdateRefused, naming them, when any of `paths` must not be changed."""
    found = [path for path in paths if _is_immutable(folders, path)]
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise UpdateRefused(
            f"immutable: {', '.join(map(quote_path, found[:_NAMED]))}{more}",
            hint="nothing was changed; chattr -i -a them, or protect them with --exclude",
        )


def _is_immutable(folders: Folders, path: bytes) -> bool:
    with contextlib.suppress(OSError):
        place = folders.place(path)
        about = look_at(place)
        if about is None or not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            return False
        descriptor = os.open(place.name or b".", _READ, dir_fd=place.folder)
        try:
            flags = array.array("l", [0])
            fcntl.ioctl(descriptor, _GET_FLAGS, flags)
            return bool(flags[0] & _KEPT)
        finally:
            os.close(descriptor)
    return False
