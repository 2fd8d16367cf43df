"""The chunks of a version's large files: what a client compares its old copy of one with.

Stage 3. Pure; Python 3.9 and the standard library only, so that clients can use it. In and out: the
bytes of `blocks.index` and of the lists in `blocks`, as si-version(5) specifies them. A list is
fetched by itself, by a range, and the index, which is signed, vouches for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from si.errors import ManifestInvalid, VersionSpoiled
from si.version.chunks import LARGEST
from si.version.manifest import told

FORMAT = 1
MAX_BYTES = 64 << 20
LISTS, INDEX = "blocks", "blocks.index"
"""Names in the folder of a version."""
DIGEST = 16
"""Bytes kept of a chunk's SHA-256: the whole file is compared by its own."""
ENTRY = 4 + DIGEST
_NUMBER = rb"(0|[1-9][0-9]{0,14})"
_HEAD = re.compile(rb"si-blocks 1\nversion ([1-9][0-9]{0,8})\nfiles ([1-9][0-9]{0,8})")
_LINE = re.compile(_NUMBER + rb" ([1-9][0-9]{0,8}) ([0-9a-f]{64}) ([0-9a-f]{64})")


class Chunk(NamedTuple):
    """size: bytes of it; digest: the first DIGEST bytes of their SHA-256."""

    size: int
    digest: bytes


class Span(NamedTuple):
    """Where a list lies in `blocks`: `entries` of them from byte `begin`; sha256: of its bytes."""

    begin: int
    entries: int
    sha256: str


def digest_of(data: bytes) -> bytes:
    """What a chunk is told by."""
    return hashlib.sha256(data).digest()[:DIGEST]


def dump_chunks(chunks: Iterable[Chunk]) -> bytes:
    """The bytes of a list."""
    return b"".join(chunk.size.to_bytes(4, "big") + chunk.digest for chunk in chunks)


def parse_chunks(data: bytes, span: Span, size: int, source: str) -> tuple[Chunk, ...]:
    """Read the list of a file of `size` bytes; `source` is named in errors.

    Raises VersionSpoiled unless it is what `span` says, and makes up the file.
    """
    chunks = tuple(
        Chunk(int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + ENTRY])
        for at in range(0, len(data), ENTRY)
    )
    is_same = hashlib.sha256(data).hexdigest() == span.sha256
    is_cut = all(0 < chunk.size <= LARGEST and len(chunk.digest) == DIGEST for chunk in chunks)
    if not is_same or not is_cut or sum(chunk.size for chunk in chunks) != size:
        raise VersionSpoiled(
            f"{source} is not what this site signed",
            hint="the server's copy, or one on the way, is spoiled",
        )
    return chunks


def dump_index(number: int, spans: Mapping[str, Span]) -> bytes:
    """The text of the index of version `number`, which is then signed. spans: by content."""
    text = [b"si-blocks %d\nversion %d\nfiles %d" % (FORMAT, number, len(spans))]
    text += [
        b"%d %d %b %b" % (span.begin, span.entries, span.sha256.encode(), content.encode())
        for content, span in sorted(spans.items(), key=lambda item: item[1].begin)
    ]
    return b"\n".join([*text, b"end", b""])


def parse_index(text: bytes, number: int, source: str) -> dict[str, Span]:
    """Read the index of version `number`. Raises ManifestInvalid."""
    with told(source) as at:
        lines = text.split(b"\n")
        head = _HEAD.fullmatch(b"\n".join(lines[:3]))
        if head is None or int(head[1]) != number:
            raise ManifestInvalid(f"this is no index of the blocks of version {number}, format 1")
        if lines[-2:] != [b"end", b""] or len(lines) != int(head[2]) + 5:
            raise ManifestInvalid(f"it does not end after {int(head[2])} files, as it says")
        spans: dict[str, Span] = {}
        end = 0
        for at.line, line in enumerate(lines[3:-2], 4):
            words = _LINE.fullmatch(line)
            if words is None or int(words[1]) != end:
                raise ManifestInvalid("here stands BEGIN COUNT SHA256 SHA256, lists side by side")
            span = Span(end, int(words[2]), words[3].decode())
            spans[words[4].decode()] = span
            end += span.entries * ENTRY
    return spans
