"""The index of a delta: which small files a version has that the one before had not, and where.

Stage 3. Pure; Python 3.9 and the standard library only, so that clients can use it. In and out: the
bytes of `delta-M.index`, as si-version(5) specifies them. The pack is cut for installs: a small
file shares its frame with its neighbours, and an update that needs one in a hundred of them would
fetch nearly all. A delta has those contents alone, in frames of its own, and one request brings it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from si.errors import ManifestInvalid
from si.version.manifest import MAX_FRAME, Frame, parse_frame, told

FORMAT = 1
MAX_BYTES = 64 << 20
SMALL = 1 << 20
"""Files with fewer bytes than this are in deltas: larger ones have frames of their own in the pack,
of which a client fetches just what it lacks."""
FRAME = 1 << 20
"""A frame ends with the file that brings it to this size, so that no file lies in two."""
SEAL = b"-----BEGIN SSH SIGNATURE-----\n"
"""What the signature begins with, which follows the text."""

_PLACE = re.compile(rb"(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,8}) ([1-9][0-9]{0,8}) ([0-9a-f]{64})")
_HEAD = re.compile(
    rb"si-delta 1\nfrom ([1-9][0-9]{0,8})\nversion ([1-9][0-9]{0,8})\nframes ([1-9][0-9]{0,8})"
)


class Place(NamedTuple):
    """Where one content lies: `size` bytes from `offset` of the frame, when that is unpacked."""

    frame: int
    offset: int
    size: int


class Delta(NamedTuple):
    """What brings version `start` to version `number`. places: by content, SHA-256 in hex; a
    content that two paths have lies there twice."""

    start: int
    number: int
    frames: tuple[Frame, ...]
    places: Mapping[str, Sequence[Place]]


def delta_name(start: int) -> str:
    """The name, in the folder of a version, of the delta from version `start`."""
    return f"delta-{start}"


def index_name(start: int) -> str:
    """The name of its index."""
    return f"delta-{start}.index"


def dump_delta(delta: Delta) -> bytes:
    """The text of an index, which is then signed."""
    text = [
        b"si-delta %d\nfrom %d\nversion %d" % (FORMAT, delta.start, delta.number),
        b"frames %d" % len(delta.frames),
    ]
    text += [f"{one.unpacked} {one.packed} {one.sha256}".encode() for one in delta.frames]
    places = sorted((place, content) for content, found in delta.places.items() for place in found)
    text.append(b"files %d" % len(places))
    text += [
        b"%d:%d %d %b" % (place.frame, place.offset, place.size, content.encode())
        for place, content in places
    ]
    return b"\n".join([*text, b"end", b""])


def split_seal(data: bytes) -> tuple[bytes, bytes]:
    """The text of an index and its signature; the latter is b"" where there is none."""
    at = data.rfind(SEAL)
    return (data, b"") if at < 0 else (data[:at], data[at:])


def parse_delta(text: bytes, source: str) -> Delta:
    """Read the text of an index; `source` is named in errors.

    Raises ManifestInvalid for anything that `dump_delta` would not have made.
    """
    with told(source) as at:
        lines = text.split(b"\n")
        head = _HEAD.fullmatch(b"\n".join(lines[:4]))
        if head is None:
            raise ManifestInvalid("this is no index of a delta of format 1")
        begin = 4 + int(head[3])
        frames = []
        for at.line, line in enumerate(lines[4:begin], 5):
            frames.append(parse_frame(line))
        at.line = begin + 1
        if lines[begin : begin + 1] != [b"files %d" % (len(lines) - begin - 3)]:
            raise ManifestInvalid("here stands files COUNT, and so many follow")
        places: dict[str, list[Place]] = {}
        end = Place(0, 0, 0)
        for at.line, line in enumerate(lines[begin + 1 : -2], begin + 2):
            content, place = _parse_place(line, frames, end)
            places.setdefault(content, []).append(place)
            end = place
        at.line = len(lines)
        if lines[-2:] != [b"end", b""]:
            raise ManifestInvalid("it is cut off")
    return Delta(int(head[1]), int(head[2]), tuple(frames), places)


def _parse_place(line: bytes, frames: Sequence[Frame], before: Place) -> tuple[str, Place]:
    words = _PLACE.fullmatch(line)
    if words is None:
        raise ManifestInvalid("here stands FRAME:OFFSET SIZE SHA256")
    place = Place(int(words[1]), int(words[2]), int(words[3]))
    room = frames[place.frame].unpacked if place.frame < len(frames) else 0
    if place.offset + place.size > min(room, MAX_FRAME):
        raise ManifestInvalid("the place is outside of the delta")
    follows = place.frame > before.frame or place.offset >= before.offset + before.size
    if place.frame < before.frame or not follows:
        raise ManifestInvalid("the places are not in order")
    return words[4].decode(), place
