"""What lstat does not say of a path: its extended attributes.

Stage 3 and 8, effects: reads; Python 3.9 and the standard library only. ACLs and capabilities are
extended attributes, in the kernel's form.
"""

from __future__ import annotations

import errno
import os

_NO_ATTRIBUTES = (errno.EOPNOTSUPP, errno.ENOSYS)
_XFS_ACL_PREFIX = "trusted.SGI_ACL_"
"""XFS shows root each ACL a second time, under a name of its own."""


def read_xattrs(place: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """(name, value) of each extended attribute, sorted; none where the file system has none.

    Raises OSError, also for an attribute that goes between being listed and being read.
    """
    try:
        names = os.listxattr(place, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return ()
        raise
    if not names:
        return ()
    return tuple(
        sorted(
            (os.fsencode(name), os.getxattr(place, name, follow_symlinks=False))
            for name in names
            if not name.startswith(_XFS_ACL_PREFIX)
        )
    )
