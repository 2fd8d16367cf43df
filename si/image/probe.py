"""Whether the store's file system can hold all that an image needs, tried before copying.

Stage 2. In: the images folder; out: nothing, or StoreCannotKeep with everything that is missing
at once. Tried on real files in a hidden folder, since mount options, network file systems and
containers take away what a file system's name promises.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from si.config import Settings
from si.errors import PrivilegeMissing, StoreCannotKeep
from si.image.lock import make_store
from si.image.swap import PROBE_PREFIX
from si.system.exchange import exchange

_CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service=ep
_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, permissions, number)
    for tag, permissions, number in (
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 4, 12345),
        (0x04, 4, 0xFFFFFFFF),
        (0x10, 4, 0xFFFFFFFF),
        (0x20, 4, 0xFFFFFFFF),
    )
)  # user::rw-,user:12345:r--,group::r--,mask::r--,other::r-- (acl(5), xattr form)
_OLD_NS = 946_684_800_123_456_789
_HOLE = 4 * 1024 * 1024


def check_store(settings: Settings) -> None:
    """Raise PrivilegeMissing when not root, StoreCannotKeep naming all that would be lost."""
    if os.geteuid() != 0:
        raise PrivilegeMissing(
            "only root can keep owners, devices and capabilities", hint="run it as root"
        )
    lost = [name for name, reason in probe(make_store(settings)) if reason is not None]
    if lost:
        raise StoreCannotKeep(
            f"the file system of {settings.images} cannot keep {', '.join(lost)}",
            hint="put the store on ext4, xfs or btrfs of this machine",
        )


def probe(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Each property with None when `folder` keeps it, else with the reason why not."""
    place = Path(tempfile.mkdtemp(prefix=f"{PROBE_PREFIX}{os.getpid()}-", dir=folder))
    try:
        for name, trial in _TRIALS:
            inner = place / trial.__name__
            inner.mkdir()
            try:
                yield name, None if trial(inner) else "it is not there afterwards"
            except OSError as error:
                yield name, error.strerror
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _user_xattr(folder: Path) -> bool:
    return _keeps_xattr(folder, "user.si", b"value\0\xff")


def _trusted_xattr(folder: Path) -> bool:
    return _keeps_xattr(folder, "trusted.si", b"value")


def _capability(folder: Path) -> bool:
    return _keeps_xattr(folder, "security.capability", _CAPABILITY)


def _acl(folder: Path) -> bool:
    return _keeps_xattr(folder, "system.posix_acl_access", _ACL)


def _keeps_xattr(folder: Path, name: str, value: bytes) -> bool:
    path = folder / "f"
    path.touch()
    os.setxattr(path, name, value)
    return os.getxattr(path, name) == value


def _device(folder: Path) -> bool:
    path = folder / "d"
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    return path.is_char_device()


def _special(folder: Path) -> bool:
    os.mkfifo(folder / "p")
    os.mknod(folder / "s", 0o600 | stat.S_IFSOCK)
    return (folder / "p").is_fifo() and (folder / "s").is_socket()


def _links(folder: Path) -> bool:
    path = folder / "f"
    path.touch()
    (folder / "hard").hardlink_to(path)
    (folder / "soft").symlink_to("f")
    return path.stat().st_nlink == 2 and (folder / "soft").is_symlink()


def _times(folder: Path) -> bool:
    path = folder / "f"
    path.touch()
    os.utime(path, ns=(_OLD_NS, _OLD_NS))
    return path.stat().st_mtime_ns == _OLD_NS


def _holes(folder: Path) -> bool:
    path = folder / "f"
    with path.open("wb") as stream:
        stream.truncate(_HOLE)
    return path.stat().st_blocks * 512 < _HOLE


def _odd_names(folder: Path) -> bool:
    names = (b"\xff\xfe", b"new\nline", b"Case", b"case", b"n" * 255)
    for name in names:
        (folder / os.fsdecode(name)).touch()
    return {os.fsencode(path.name) for path in folder.iterdir()} == set(names)


def _owners(folder: Path) -> bool:
    path = folder / "f"
    path.touch()
    os.chown(path, 12345, 54321)
    path.chmod(0o6755)
    found = path.stat()
    return (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 54321, 0o6755)


def _exchange(folder: Path) -> bool:
    (folder / "one").mkdir()
    (folder / "two").touch()
    with contextlib.suppress(AttributeError):
        exchange(folder / "one", folder / "two")
    return (folder / "two").is_dir()


_TRIALS: tuple[tuple[str, Callable[[Path], bool]], ...] = (
    ("owners and modes", _owners),
    ("user xattrs", _user_xattr),
    ("trusted xattrs", _trusted_xattr),
    ("capabilities", _capability),
    ("ACLs", _acl),
    ("device nodes", _device),
    ("sockets and pipes", _special),
    ("hard and symbolic links", _links),
    ("times to the nanosecond", _times),
    ("holes in sparse files", _holes),
    ("every byte in a name", _odd_names),
    ("the exchange of two names in one step", _exchange),
)
