"""The lists of chunks and their index: both directions, and what is refused."""

from __future__ import annotations

import hashlib

import pytest

from si.errors import ManifestInvalid, VersionSpoiled
from si.version.blocks import (
    ENTRY,
    Chunk,
    Span,
    digest_of,
    dump_chunks,
    dump_index,
    parse_chunks,
    parse_index,
)
from si.version.chunks import LARGEST

ONE, OTHER, SUM = "1" * 64, "a" * 64, "5" * 64
SPANS = {ONE: Span(0, 2, SUM), OTHER: Span(2 * ENTRY, 1, SUM)}
TEXT = dump_index(7, SPANS)
CHUNKS = (Chunk(40_000, digest_of(b"x")), Chunk(3, digest_of(b"y")))
LIST = dump_chunks(CHUNKS)


def span_of(data: bytes) -> Span:
    return Span(0, len(data) // ENTRY, hashlib.sha256(data).hexdigest())


def test_the_text_of_an_index() -> None:
    assert TEXT.decode() == (
        f"si-blocks 1\nversion 7\nfiles 2\n0 2 {SUM} {ONE}\n40 1 {SUM} {OTHER}\nend\n"
    )
    assert parse_index(TEXT, 7, "index") == SPANS


@pytest.mark.parametrize(
    ("part", "other", "line"),
    [
        (b"si-blocks 1", b"si-blocks 2", 1),
        (b"version 7", b"version 8", 1),
        (b"files 2", b"files 3", 1),
        (b"files 2", b"files 1", 1),
        (b"\n0 2", b"\n20 2", 4),
        (b"\n0 2", b"\n0 0", 4),
        (b"\n40 1", b"\n20 1", 5),
        (b"\n40 1", b"\n040 1", 5),
        (b"aaaa\n", b"aaaA\n", 5),
        (b"end\n", b"end", 1),
        (b"end\n", b"and\n", 1),
    ],
)
def test_what_is_no_index_is_refused_with_its_line(part: bytes, other: bytes, line: int) -> None:
    assert part in TEXT
    with pytest.raises(ManifestInvalid, match=rf"^index:{line}: "):
        parse_index(TEXT.replace(part, other, 1), 7, "index")


def test_a_list_of_chunks() -> None:
    assert LIST[:4] == b"\0\0\x9c\x40" and len(LIST) == 2 * ENTRY
    assert parse_chunks(LIST, span_of(LIST), 40_003, "list") == CHUNKS


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (LIST, 40_002),
        (LIST[:-1], 40_003),
        (dump_chunks([CHUNKS[0], Chunk(0, CHUNKS[1].digest)]), 40_000),
        (dump_chunks([Chunk(LARGEST + 1, CHUNKS[0].digest)]), LARGEST + 1),
    ],
)
def test_a_signed_list_that_cannot_be_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(VersionSpoiled, match=r"^list is not what this site signed$"):
        parse_chunks(data, span_of(data), size, "list")


def test_a_list_that_was_changed_is_refused() -> None:
    with pytest.raises(VersionSpoiled):
        parse_chunks(LIST[ENTRY:] + LIST[:ENTRY], span_of(LIST), 40_003, "list")
