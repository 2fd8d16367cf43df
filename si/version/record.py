"""One path of a version: the record, and its line of a manifest in both directions.

Stage 3. Pure; Python 3.9 and the standard library only, so that clients can use it. In and out:
`Record`s and lines of bytes. Names are bytes; whatever is not plain printable ASCII is written as
%XX, so that a line has eleven words whatever a path is called. A line that comes from outside
is believed in nothing: each word has one form, and what `dump_line` would not write is refused.
The words before the last say all that makes the member's bytes in the pack, so two equal
beginnings of lines mean equal members: publishing and comparing rest on that.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple, Optional

from si.errors import ManifestInvalid

MAX_PATH = 4096
MAX_NAME = 255
MAX_XATTR = 65536
MAX_XATTRS = 1024
MAX_EXTENTS = 1_000_000
_MAX_ID = 2**32 - 2
_MAX_SIZE = 2**63 - 1

FILE, FOLDER, SYMLINK, HARD_LINK = "f", "d", "l", "h"
CHAR_DEVICE, BLOCK_DEVICE, FIFO = "c", "b", "p"
KINDS = frozenset("fdlhcbp")
DEVICES = (CHAR_DEVICE, BLOCK_DEVICE)

Extents = tuple[tuple[int, int], ...]


class Record(NamedTuple):
    """kind: one letter of KINDS. target: text of a symlink; path of the first name, for a further
    name of a file. device: (major, minor). content: SHA-256 of a file, hex. xattrs: sorted, ACLs
    and capabilities among them in the kernel's form. extents: where a file with holes has data, as
    (offset, length); None for one without. frame, offset: the place of the member's data in the
    pack, see si-version(5). A named tuple: a tree has tens of thousands, and these are made in C.
    """

    path: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    content: str = ""
    target: bytes = b""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    extents: Optional[Extents] = None  # noqa: UP045 - evaluated, by Python 3.9 too
    frame: int = 0
    offset: int = 0

    @property
    def packed(self) -> int:
        """How many bytes of data the member has, without the map of a file with holes."""
        return self.size if self.extents is None else sum(length for _, length in self.extents)


def sort_key(path: bytes) -> bytes:
    """The order of records: a folder, then all that is in it, names as bytes."""
    return path.replace(b"/", b"\0")


_PLAIN = re.compile(rb"[!-$&-~]+")  # printable, but neither space nor %
_ODD = re.compile(rb"[^!-$&-~]")
_PLAIN_NAME = re.compile(rb"[!-$&-+\--<>-~]+")  # neither , nor = either
_ODD_NAME = re.compile(rb"[^!-$&-+\--<>-~]")
_ESCAPE = re.compile(rb"%([0-9A-F]{2})")
_HEX = [b"%%%02X" % byte for byte in range(256)]


def escape(text: bytes) -> bytes:
    """`text` as one word: all but plain printable ASCII as %XX. Empty text has no such word."""
    if _PLAIN.fullmatch(text):
        return text
    return _ODD.sub(lambda odd: _HEX[odd[0][0]], text)


def unescape(word: bytes) -> bytes:
    """Undo `escape`. Raises ManifestInvalid for a word that it would not have made."""
    if b"%" not in word:
        return word
    text = _ESCAPE.sub(lambda code: bytes((int(code[1], 16),)), word)
    if escape(text) != word:
        raise ManifestInvalid(f"{word[:80]!r} is not how a name is written")
    return text


def describe(record: Record, content: str = "") -> bytes:
    """All words of the record's line but the place. content: in place of the record's own."""
    kind = record.kind
    if kind == FILE:
        told = (content or record.content).encode()
    elif kind in (SYMLINK, HARD_LINK):
        told = escape(record.target)
    elif kind in DEVICES:
        told = b"%d:%d" % record.device
    else:
        told = b"-"
    return b"%b %04o %d %d %d %d %b %b %b %b" % (
        kind.encode(),
        record.mode,
        record.uid,
        record.gid,
        record.mtime_ns,
        record.size,
        told,
        _dump_xattrs(record.xattrs) if record.xattrs else b"-",
        b"-" if record.extents is None else dump_extents(record.extents),
        escape(record.path),
    )


def dump_line(record: Record) -> bytes:
    """The record's line, without its end."""
    return b"%b %d:%d" % (describe(record), record.frame, record.offset)


def _dump_xattrs(xattrs: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b",".join(
        _ODD_NAME.sub(lambda odd: _HEX[odd[0][0]], name) + b"=" + base64.b64encode(value)
        for name, value in xattrs
    )


def dump_extents(extents: Extents) -> bytes:
    """Where data lie, as a word of a line."""
    return b",".join(b"%d+%d" % extent for extent in extents) or b"none"


def parse_line(line: bytes) -> Record:
    """Read one line. Raises ManifestInvalid."""
    words = line.split(b" ")
    if len(words) != 11:
        raise ManifestInvalid("a record has eleven words")
    kind = words[0].decode("ascii", "replace")
    if kind not in KINDS:
        raise ManifestInvalid(f"{words[0][:20]!r} is no kind of path")
    frame, colon, offset = words[10].partition(b":")
    if not colon:
        raise ManifestInvalid("the place of a record is FRAME:OFFSET")
    size = _number(words[5], _MAX_SIZE)
    content, target, device = _parse_content(kind, words[6])
    record = Record(
        _parse_path(words[9]),
        kind,
        _parse_mode(words[1]),
        _number(words[2], _MAX_ID),
        _number(words[3], _MAX_ID),
        _parse_time(words[4]),
        size,
        content,
        target,
        device,
        () if words[7] == b"-" else _parse_xattrs(words[7]),
        None if words[8] == b"-" else _parse_extents(words[8], size),
        _number(frame, _MAX_SIZE),
        _number(offset, _MAX_SIZE),
    )
    if kind != FILE and (size or record.extents is not None):
        raise ManifestInvalid(f"{words[9][:80]!r}: only files have a size")
    return record


_NUMBER = re.compile(rb"0|[1-9][0-9]{0,18}")
_TIME = re.compile(rb"0|-?[1-9][0-9]{0,21}")
_MODE = re.compile(rb"[0-7]{4}")
_SHA256 = re.compile(rb"[0-9a-f]{64}")
_DEVICE = re.compile(rb"(0|[1-9][0-9]{0,9}):(0|[1-9][0-9]{0,9})")
_EXTENT = re.compile(rb"(0|[1-9][0-9]{0,18})\+([1-9][0-9]{0,18})")


def _number(word: bytes, most: int) -> int:
    if _NUMBER.fullmatch(word) is None or int(word) > most:
        raise ManifestInvalid(f"{word[:40]!r} is no number from 0 to {most}")
    return int(word)


def _parse_time(word: bytes) -> int:
    if _TIME.fullmatch(word) is None:
        raise ManifestInvalid(f"{word[:40]!r} is no time in nanoseconds")
    return int(word)


def _parse_mode(word: bytes) -> int:
    if _MODE.fullmatch(word) is None:
        raise ManifestInvalid(f"{word[:40]!r} is no mode")
    return int(word, 8)


def _parse_path(word: bytes) -> bytes:
    path = unescape(word)
    if path == b"/":
        return path
    if len(path) > MAX_PATH or not path.startswith(b"/") or b"\0" in path:
        raise ManifestInvalid(f"{word[:80]!r} is no path of a tree")
    for name in path[1:].split(b"/"):
        if not name or name in (b".", b"..") or len(name) > MAX_NAME:
            raise ManifestInvalid(f"{word[:80]!r} is no path of a tree")
    return path


def _parse_content(kind: str, word: bytes) -> tuple[str, bytes, tuple[int, int]]:
    nothing = (0, 0)
    if kind == FILE and _SHA256.fullmatch(word) is not None:
        return word.decode("ascii"), b"", nothing
    if kind == HARD_LINK:
        return "", _parse_path(word), nothing
    if kind == SYMLINK:
        return "", _parse_target(word), nothing
    if kind in DEVICES:
        return "", b"", _parse_device(word)
    if kind in (FOLDER, FIFO) and word == b"-":
        return "", b"", nothing
    raise ManifestInvalid(f"{word[:80]!r} is not the content of a path of kind {kind}")


def _parse_target(word: bytes) -> bytes:
    target = unescape(word)
    if not 0 < len(target) < MAX_PATH or b"\0" in target:
        raise ManifestInvalid("a symlink has a target of 1 to 4095 bytes")
    return target


def _parse_device(word: bytes) -> tuple[int, int]:
    numbers = _DEVICE.fullmatch(word)
    if numbers is None or max(int(numbers[1]), int(numbers[2])) >= 2**32:
        raise ManifestInvalid(f"{word[:40]!r} is no device")
    return int(numbers[1]), int(numbers[2])


def _parse_xattrs(word: bytes) -> tuple[tuple[bytes, bytes], ...]:
    found: list[tuple[bytes, bytes]] = []
    for pair in word.split(b","):
        written, _, value = pair.partition(b"=")
        name = _ESCAPE.sub(lambda code: bytes((int(code[1], 16),)), written)
        if not 0 < len(name) <= MAX_NAME or b"\0" in name:
            raise ManifestInvalid(f"{written[:80]!r} is no name of an attribute")
        try:
            data = base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise ManifestInvalid(f"attribute {written[:80]!r} is no base64") from error
        if len(data) > MAX_XATTR:
            raise ManifestInvalid(f"attribute {written[:80]!r} is too long")
        found.append((name, data))
    xattrs = tuple(found)
    ordered = all(one[0] < other[0] for one, other in zip(found, found[1:]))
    if len(xattrs) > MAX_XATTRS or not ordered or _dump_xattrs(xattrs) != word:
        raise ManifestInvalid(f"{word[:80]!r} is not how attributes are written")
    return xattrs


def _parse_extents(word: bytes, size: int) -> Extents:
    if word == b"none":
        return ()
    found = []
    end = -1
    for text in word.split(b","):
        numbers = _EXTENT.fullmatch(text)
        if numbers is None:
            raise ManifestInvalid(f"{text[:60]!r} is no OFFSET+LENGTH")
        offset, length = int(numbers[1]), int(numbers[2])
        if offset <= end or offset + length > size:
            raise ManifestInvalid(f"{text[:60]!r} does not follow, or passes the end of the file")
        end = offset + length
        found.append((offset, length))
    if len(found) > MAX_EXTENTS:
        raise ManifestInvalid(f"a file in more than {MAX_EXTENTS} pieces")
    return tuple(found)
