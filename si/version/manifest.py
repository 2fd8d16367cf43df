"""The manifest of a version: what it is, how its pack is cut, and one record a path.

Stage 3. Pure; Python 3.9 and the standard library only, so that clients can use it. In and out:
the bytes of `versions/NAME/N/manifest`, as si-version(5) specifies them. A reader may hand it bytes
that anybody made: sizes are bounded, every line has one form, paths cannot leave the tree, a path
stands in a folder that stands before it, and no place lies outside the pack.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple, Optional

from si.errors import ManifestInvalid, SIError
from si.names_check import check_name
from si.version.record import (
    FILE,
    FOLDER,
    HARD_LINK,
    Record,
    dump_line,
    escape,
    parse_line,
    sort_key,
    unescape,
)

FORMAT = 1
MAX_BYTES = 1 << 30
MAX_MESSAGE = 2048
MAX_FRAME = 64 << 20
"""Bytes of a frame when unpacked: what a reader must be able to hold."""

_MAX_SIZE = 2**63 - 1
_PUBLISHED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Frame(NamedTuple):
    """One zstd frame of the pack: bytes before and after compression, SHA-256 of the latter."""

    unpacked: int
    packed: int
    sha256: str


class FileSum(NamedTuple):
    """Size and SHA-256 of a file that lies beside the manifest."""

    size: int
    sha256: str


class Head(NamedTuple):
    """What a manifest says before its lists. message: "" for none. script: the master script as
    published, None when there was none. packer: by which rules the pack was cut."""

    image: str
    number: int
    published: str
    message: str
    torrent: FileSum
    script: Optional[FileSum]  # noqa: UP045 - evaluated, by Python 3.9 too
    pack_size: int
    packer: int
    paths: int
    files_bytes: int


class Manifest(NamedTuple):
    """A whole manifest; frames lie in the pack one after the other, in this order."""

    head: Head
    frames: tuple[Frame, ...]
    records: tuple[Record, ...]


def dump_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest."""
    return render_manifest(manifest.head, manifest.frames, map(dump_line, manifest.records))


def render_manifest(head: Head, frames: Iterable[Frame], lines: Iterable[bytes]) -> bytes:
    """The bytes of a manifest whose records are lines already."""
    text = [dump_head(head)]
    listed = [f"{frame.unpacked} {frame.packed} {frame.sha256}".encode() for frame in frames]
    text += [b"frames %d" % len(listed), *listed, b"paths", *lines, b"end", b""]
    return b"\n".join(text)


def dump_head(head: Head) -> bytes:
    """The first nine lines, without the end of the last."""
    script = "-" if head.script is None else f"{head.script.size} {head.script.sha256}"
    message = escape(head.message.encode("utf-8", "surrogateescape")).decode() or "-"
    if head.message == "-":
        message = "%2D"
    return (
        f"si-manifest {FORMAT}\nimage {head.image}\nversion {head.number}\n"
        f"published {head.published}\nmessage {message}\n"
        f"torrent {head.torrent.size} {head.torrent.sha256}\nscript {script}\n"
        f"pack {head.pack_size} {head.packer}\ntree {head.paths} {head.files_bytes}"
    ).encode()


class Lists(NamedTuple):
    """A manifest whose records are lines still. first: the number of the first such line."""

    head: Head
    frames: tuple[Frame, ...]
    lines: list[bytes]
    first: int


def parse_manifest(data: bytes, source: str) -> Manifest:
    """Read a manifest; `source` is named in errors.

    Raises ManifestInvalid, with the line, for anything that `dump_manifest` would not have made.
    """
    head, frames, lines, first = parse_lists(data, source)
    with told(source) as at:
        records = tuple(_parse_records(lines, first, frames, at))
        _check_sums(head, frames, records, at)
    return Manifest(head, frames, records)


def parse_lists(data: bytes, source: str) -> Lists:
    """Read a manifest but for its records: for a reader who knows that it is the site's own.

    Raises ManifestInvalid.
    """
    with told(source) as at:
        if len(data) > MAX_BYTES:
            raise ManifestInvalid(f"it is larger than {MAX_BYTES} bytes")
        lines = data.split(b"\n")
        at.line = len(lines)
        if lines[-1] != b"" or len(lines) < 13:
            raise ManifestInvalid("it is cut off")
        head = _parse_head(lines, at)
        frames, paths = _parse_frames(lines, at)
        _expect(lines, paths, b"paths", at)
        _expect(lines, len(lines) - 2, b"end", at)
        body = lines[paths + 1 : -2]
        if len(body) != head.paths:
            raise ManifestInvalid(f"it has {len(body)} paths and says {head.paths}")
    return Lists(head, frames, body, paths + 2)


def parse_head(data: bytes, source: str) -> Head:
    """Read the first nine lines alone. Raises ManifestInvalid."""
    with told(source) as at:
        return _parse_head(data.split(b"\n", 10)[:10], at)


class Position:
    """The line that is being read, for errors."""

    line = 1


@contextlib.contextmanager
def told(source: str) -> Iterator[Position]:
    """Say where a fault is."""
    at = Position()
    try:
        yield at
    except SIError as error:
        raise ManifestInvalid(
            f"{source}:{at.line}: {error.message}",
            hint="the version is spoiled: publish the image again, or take another version",
        ) from None


def _parse_head(lines: list[bytes], at: Position) -> Head:
    words = []
    names = (
        "si-manifest", "image", "version", "published", "message", "torrent", "script", "pack",
        "tree",
    )  # fmt: skip
    for number, name in enumerate(names):
        at.line = number + 1
        text = lines[number].decode("ascii", "replace") if number < len(lines) else ""
        key, _, value = text.partition(" ")
        if key != name or len(text) > 16 * MAX_MESSAGE:
            raise ManifestInvalid(f"here stands {name} VALUE")
        words.append(value)
        if number == 0 and value != str(FORMAT):
            raise ManifestInvalid(f"format {value[:20]!r} is not known, only {FORMAT}")
    pack_size, _, packer = words[7].partition(" ")
    paths, _, files_bytes = words[8].partition(" ")
    head = Head(
        image=check_name("image", words[1]),
        number=_number(words[2], least=1),
        published=words[3],
        message=_parse_message(words[4]),
        torrent=_parse_sum(words[5]),
        script=None if words[6] == "-" else _parse_sum(words[6]),
        pack_size=_number(pack_size),
        packer=_number(packer),
        paths=_number(paths, least=1),
        files_bytes=_number(files_bytes),
    )
    if _PUBLISHED.fullmatch(head.published) is None:
        raise ManifestInvalid("published says no time in UTC")
    if dump_head(head).split(b"\n") != lines[:9]:
        raise ManifestInvalid("the head is not written in the one form it has")
    return head


def _parse_message(word: str) -> str:
    if word in ("-", "%2D"):
        return "" if word == "-" else "-"
    text = unescape(word.encode()).decode("utf-8", "surrogateescape")
    if len(text) > MAX_MESSAGE:
        raise ManifestInvalid("the message is too long")
    return text


def _parse_sum(text: str) -> FileSum:
    size, _, digest = text.partition(" ")
    if _SHA256.fullmatch(digest) is None:
        raise ManifestInvalid("here stands SIZE SHA256")
    return FileSum(_number(size), digest)


def _number(text: str, *, least: int = 0, most: int = _MAX_SIZE) -> int:
    if re.fullmatch("0|[1-9][0-9]{0,18}", text, re.ASCII) is None:
        raise ManifestInvalid(f"{text[:40]!r} is no number")
    if not least <= int(text) <= most:
        raise ManifestInvalid(f"{text[:40]!r} is not from {least} to {most}")
    return int(text)


def _expect(lines: list[bytes], number: int, text: bytes, at: Position) -> None:
    at.line = number + 1
    if not 0 <= number < len(lines) or lines[number] != text:
        raise ManifestInvalid(f"here stands {text.decode()}")


def _parse_frames(lines: list[bytes], at: Position) -> tuple[tuple[Frame, ...], int]:
    """The frames, and the index of the line behind them."""
    at.line = 10
    key, _, count = lines[9].decode("ascii", "replace").partition(" ")
    if key != "frames":
        raise ManifestInvalid("here stands frames COUNT")
    end = 10 + _number(count, least=1, most=len(lines))
    found = []
    for at.line, line in enumerate(lines[10:end], 11):
        found.append(parse_frame(line))
    return tuple(found), end


def parse_frame(line: bytes) -> Frame:
    """Read the line of a frame. Raises ManifestInvalid."""
    words = line.decode("ascii", "replace").split(" ")
    if len(words) != 3 or _SHA256.fullmatch(words[2]) is None:
        raise ManifestInvalid("a frame has two sizes and a SHA-256")
    return Frame(_number(words[0], least=1, most=MAX_FRAME), _number(words[1], least=1), words[2])


def _parse_records(
    body: list[bytes], first: int, frames: tuple[Frame, ...], at: Position
) -> Iterator[Record]:
    """Records in order, each in a folder that came before, hard links to files that came before."""
    kinds: dict[bytes, str] = {}
    before = b""
    for at.line, line in enumerate(body, first):
        record = parse_line(line)
        path, key = record.path, sort_key(record.path)
        if at.line == first:
            if path != b"/" or record.kind != FOLDER:
                raise ManifestInvalid("the first path is the folder /")
        elif key <= before:
            raise ManifestInvalid("the paths are not in order")
        elif kinds.get(path.rpartition(b"/")[0] or b"/") != FOLDER:
            raise ManifestInvalid("the path is in no folder")
        if record.kind == HARD_LINK and kinds.get(record.target, FOLDER) in (FOLDER, HARD_LINK):
            raise ManifestInvalid("a further name of a file that does not stand before it")
        if record.frame >= len(frames) or record.offset > frames[record.frame].unpacked:
            raise ManifestInvalid("the place is outside of the pack")
        kinds[path] = record.kind
        before = key
        yield record


def _check_sums(
    head: Head, frames: tuple[Frame, ...], records: tuple[Record, ...], at: Position
) -> None:
    at.line = 8
    if sum(frame.packed for frame in frames) != head.pack_size:
        raise ManifestInvalid("the frames do not make up the pack")
    at.line = 9
    if sum(record.size for record in records if record.kind == FILE) != head.files_bytes:
        raise ManifestInvalid("the files do not make up the tree")
    ends = [0, *accumulate(frame.unpacked for frame in frames)]
    for record in records:
        if record.kind == FILE and ends[record.frame] + record.offset + record.packed > ends[-1]:
            raise ManifestInvalid(f"the data of {escape(record.path).decode()} pass the pack's end")
