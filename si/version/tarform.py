"""What a member of the pack looks like: ustar headers, PAX records where ustar has no room.

Stage 3. Pure. In: a `Record`; out: the bytes before its data. POSIX.1-2017 pax, with GNU tar's
records for holes (GNU.sparse, format 1.0), ACLs (SCHILY.acl.*) and attributes (SCHILY.xattr.*).
Written here because tarfile takes 60 microseconds a member, which is half of the time that a
publish may take in all. A record is written only where it is needed: each costs a kilobyte.
"""

from __future__ import annotations

import struct
from zlib import adler32

from si.errors import CannotCarry
from si.version.record import (
    BLOCK_DEVICE,
    CHAR_DEVICE,
    FIFO,
    FILE,
    FOLDER,
    HARD_LINK,
    SYMLINK,
    Record,
    escape,
)

BLOCK = 512
END = bytes(2 * BLOCK)
"""What ends an archive."""

_FLAGS = {
    FILE: b"0", HARD_LINK: b"1", SYMLINK: b"2", CHAR_DEVICE: b"3", BLOCK_DEVICE: b"4",
    FOLDER: b"5", FIFO: b"6",
}  # fmt: skip
_SECOND = 1_000_000_000
_MOST_ID = 0o7777777
_MOST_TIME = 0o77777777777
_MOST_SIZE = 0o77777777777
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_ACLS = {
    b"system.posix_acl_access": b"SCHILY.acl.access",
    b"system.posix_acl_default": b"SCHILY.acl.default",
}
_ACL_VERSION = 2
_ACL_TAGS = {
    1: b"user", 2: b"user", 4: b"group", 8: b"group", 16: b"mask", 32: b"other",
}  # fmt: skip
_ACL_NAMED = (2, 8)
_PERMISSIONS = (b"---", b"--x", b"-w-", b"-wx", b"r--", b"r-x", b"rw-", b"rwx")


def member_name(record: Record) -> bytes:
    """The path as tar has it: ./etc/passwd, with a slash at the end of a folder."""
    if record.path == b"/":
        return b"./"
    return b"." + record.path + (b"/" if record.kind == FOLDER else b"")


def member_headers(record: Record) -> bytes:
    """All that stands before the data: PAX records, header, the map of a file with holes.

    Raises CannotCarry for an ACL in a form that is not the kernel's.
    """
    name = member_name(record)
    pax: list[tuple[bytes, bytes]] = []
    holes = b""
    if record.extents is not None:
        holes = _sparse_map(record)
        pax += [
            (b"GNU.sparse.major", b"1"),
            (b"GNU.sparse.minor", b"0"),
            (b"GNU.sparse.name", name),
            (b"GNU.sparse.realsize", b"%d" % record.size),
        ]
        name = b"./GNUSparseFile.0/data"
    short, prefix = _split_name(name)
    if short is None:
        pax.append((b"path", name))
        short = name[:100]
    link = _link_name(record)
    if len(link) > 100:
        pax.append((b"linkpath", link))
    size = record.packed + len(holes)
    pax += _numbers(record, size)
    for attribute, value in record.xattrs:
        pax.append(_attribute(record, attribute, value))
    head = b"" if not pax else _pax(pax)
    seconds = record.mtime_ns // _SECOND
    header = _header(
        short, prefix, _FLAGS[record.kind], link[:100], record.mode,
        record.uid if record.uid <= _MOST_ID else 0,
        record.gid if record.gid <= _MOST_ID else 0,
        size if size <= _MOST_SIZE else 0,
        seconds if 0 <= seconds <= _MOST_TIME else 0,
        record.device,
    )  # fmt: skip
    return head + header + holes


def padding(size: int) -> bytes:
    """What fills data up to whole blocks."""
    return bytes(-size % BLOCK)


def format_acl(value: bytes) -> bytes:
    """An ACL of the kernel (linux/posix_acl_xattr.h) as acl(5) writes it, ids as numbers.

    Raises ValueError.
    """
    if len(value) < 4 or len(value) % 8 != 4 or struct.unpack_from("<I", value)[0] != _ACL_VERSION:
        raise ValueError("no ACL of version 2")
    entries = []
    for tag, permissions, number in struct.iter_unpack("<HHI", value[4:]):
        if tag not in _ACL_TAGS or permissions > 7:
            raise ValueError("an entry that is not known")
        who = b"%d" % number if tag in _ACL_NAMED else b""
        letters = b"".join(
            letter if permissions & bit else b"-"
            for letter, bit in ((b"r", 4), (b"w", 2), (b"x", 1))
        )
        entries.append(_ACL_TAGS[tag] + b":" + who + b":" + letters)
    return b",".join(entries)


def _attribute(record: Record, name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if name in _ACLS:
        try:
            return _ACLS[name], format_acl(value)
        except ValueError as error:
            raise CannotCarry(f"{escape(record.path).decode()}: {name.decode()}: {error}") from None
    return b"SCHILY.xattr." + name.replace(b"%", b"%25").replace(b"=", b"%3D"), value


def _link_name(record: Record) -> bytes:
    if record.kind == HARD_LINK:
        return b"." + record.target
    return record.target


def _split_name(name: bytes) -> tuple[bytes | None, bytes]:
    """(name, prefix) as ustar has them; (None, b"") when it has no room."""
    if len(name) <= 100:
        return name, b""
    at = name.rfind(b"/", 0, 156)
    while at > 0 and at + 1 == len(name):
        at = name.rfind(b"/", 0, at)
    if at <= 0 or len(name) - at - 1 > 100:
        return None, b""
    return name[at + 1 :], name[:at]


def _numbers(record: Record, size: int) -> list[tuple[bytes, bytes]]:
    """Records for what does not fit into the octal digits of a header."""
    pax = []
    seconds, nanoseconds = divmod(record.mtime_ns, _SECOND)
    if nanoseconds or not 0 <= seconds <= _MOST_TIME:
        pax.append((b"mtime", _decimal(record.mtime_ns)))
    if record.uid > _MOST_ID:
        pax.append((b"uid", b"%d" % record.uid))
    if record.gid > _MOST_ID:
        pax.append((b"gid", b"%d" % record.gid))
    if size > _MOST_SIZE:
        pax.append((b"size", b"%d" % size))
    if max(record.device) > _MOST_ID:
        raise CannotCarry(f"{escape(record.path).decode()}: device numbers beyond {_MOST_ID}")
    return pax


def _decimal(time_ns: int) -> bytes:
    seconds, nanoseconds = divmod(abs(time_ns), _SECOND)
    fraction = (b".%09d" % nanoseconds).rstrip(b"0") if nanoseconds else b""
    return (b"-" if time_ns < 0 else b"") + b"%d" % seconds + fraction


def _sparse_map(record: Record) -> bytes:
    assert record.extents is not None
    numbers = [number for extent in record.extents for number in extent]
    if not record.extents or sum(record.extents[-1]) != record.size:
        numbers += [record.size, 0]
    text = b"%d\n" % (len(numbers) // 2) + b"".join(b"%d\n" % number for number in numbers)
    return text + padding(len(text))


def _pax(records: list[tuple[bytes, bytes]]) -> bytes:
    data = b"".join(_pax_record(key, value) for key, value in records)
    header = _header(b"././@PaxHeader", b"", b"x", b"", 0o644, 0, 0, len(data), 0, (0, 0))
    return header + data + padding(len(data))


def _pax_record(key: bytes, value: bytes) -> bytes:
    """ "LENGTH KEY=VALUE\\n", where LENGTH counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if length - rest != len(str(length)):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def _header(
    name: bytes, prefix: bytes, flag: bytes, link: bytes, mode: int, uid: int, gid: int,
    size: int, mtime: int, device: tuple[int, int],
) -> bytes:  # fmt: skip
    block = _HEADER.pack(
        name, b"%07o" % mode, b"%07o" % uid, b"%07o" % gid, b"%011o" % size, b"%011o" % mtime,
        b"        ", flag, link, b"ustar\x0000", b"", b"",
        b"%07o" % device[0], b"%07o" % device[1], prefix,
    )  # fmt: skip
    # The low half of an Adler-32 is one more than the sum of up to 256 bytes, and got in no time.
    total = (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2
    return block[:148] + b"%06o\0 " % total + block[156:]
