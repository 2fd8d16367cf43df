"""Two names change places in one step.

Stage: none. Runs on clients too, hence Python 3.9 and the standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import Union

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

Name = Union[bytes, Path]


def exchange(one: Name, other: Name, *, folder: int = _AT_FDCWD) -> None:
    """Exchange two names of the open directory `folder` (renameat2(2), RENAME_EXCHANGE).

    Raises OSError, with ENOSYS or EINVAL where the kernel or the file system cannot do it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    function = getattr(libc, "renameat2", None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(
        folder, os.fsencode(one), folder, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE)
    ):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one), None, str(other))
