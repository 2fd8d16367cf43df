"""What is mounted, and what of it belongs to an image.

Stage 1 and 8. Pure; runs on clients (Python 3.9). Text of /proc/self/mountinfo in, mounts out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

DISK_TYPES = frozenset(("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "f2fs", "jfs", "reiserfs"))
"""File systems that hold an image's files. What is mounted of any other type is left alone, at
capture and at update (reference 7.2, 7.3)."""

COARSE_TYPES = frozenset(("vfat", "msdos"))
"""Those of them that keep neither owners, nor modes, nor times finer than two seconds."""

REMOTE_TYPES = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "ceph", "fuse.sshfs", "fuse.glusterfs", "9p")
)

_ESCAPE = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One mount: where (bytes, names need not be UTF-8), of which type, from which device."""

    target: bytes
    type: str
    source: bytes


def parse_mountinfo(text: bytes) -> tuple[Mount, ...]:
    """The mounts of /proc/self/mountinfo (proc(5)), in its order; later ones cover earlier."""
    mounts = []
    for line in text.splitlines():
        left, mark, right = line.partition(b" - ")
        words = left.split(b" ")
        kinds = right.split(b" ")
        if mark and len(words) >= 6 and len(kinds) >= 2:
            kind = kinds[0].decode("ascii", "replace")
            mounts.append(Mount(_unescape(words[4]), kind, _unescape(kinds[1])))
    return tuple(mounts)


def parse_swap_files(text: bytes) -> tuple[bytes, ...]:
    """The files among the active swaps of /proc/swaps (proc(5))."""
    lines = (line.split() for line in text.splitlines()[1:])
    return tuple(_unescape(words[0]) for words in lines if words[1:2] == [b"file"])


def top_mounts(mounts: tuple[Mount, ...]) -> dict[bytes, Mount]:
    """What is seen at each mount point: the last that was mounted there."""
    return {mount.target: mount for mount in mounts}


def _unescape(word: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes([int(found.group(1), 8)]), word)
