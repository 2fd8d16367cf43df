"""Where data are cut: as si-version(5) says, wherever the reading stops, and alike after edits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from si.version.chunks import LARGEST, SMALLEST, cut_chunks

NOISE = hashlib.shake_128(b"noise").digest(2 << 20)
BITS = int.from_bytes(hashlib.sha256(b"si-blocks 1").digest(), "little")


def by_the_book(data: bytes) -> Iterator[bytes]:
    """The rule byte by byte, as si-version(5) words it."""
    begin = run = 0
    for at, byte in enumerate(data):
        is_first = not BITS >> byte & 1
        ends = not is_first and run >= 14 and at + 1 - begin >= SMALLEST
        run = run + 1 if is_first else 0
        if ends or at + 1 - begin == LARGEST:
            yield data[begin : at + 1]
            begin, run = at + 1, 0
    if begin < len(data):
        yield data[begin:]


def test_the_rule() -> None:
    samples = (
        NOISE[: 1 << 20],
        bytes(600_000),
        b"text of which no run is long " * 30_000,
        b"x",
        b"",
    )
    for data in samples:
        assert list(cut_chunks([data])) == list(by_the_book(data))
    assert len(list(cut_chunks([NOISE]))) > 15


FIRST, SECOND = (
    bytes([next(byte for byte in range(256) if BITS >> byte & 1 == wanted)]) for wanted in (0, 1)
)


@pytest.mark.parametrize("run", [13, 14, 15])
@pytest.mark.parametrize("end", [SMALLEST, LARGEST])
@pytest.mark.parametrize("off", [-1, 0, 1, 14])
def test_runs_that_end_at_a_limit(run: int, end: int, off: int) -> None:
    filler = SECOND * (end + off - run - 1)
    data = filler + FIRST * run + SECOND * (LARGEST + 9)
    assert list(cut_chunks([data])) == list(by_the_book(data))


def test_what_never_says_where_to_cut() -> None:
    chunks = list(cut_chunks([bytes(1000)] * 600))
    assert [len(chunk) for chunk in chunks] == [LARGEST, LARGEST, 600_000 - 2 * LARGEST]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2 << 20), max_size=8))
def test_where_reading_stops_is_no_matter(stops: list[int]) -> None:
    places = [0, *sorted(stops), len(NOISE)]
    blocks = [NOISE[a:b] for a, b in pairwise(places)]
    assert list(cut_chunks(blocks)) == list(cut_chunks([NOISE]))


@settings(max_examples=30, deadline=None)
@given(at=st.integers(0, len(NOISE)), gone=st.integers(0, 100_000), came=st.binary(max_size=3000))
def test_an_edit_moves_only_the_cuts_next_to_it(at: int, gone: int, came: bytes) -> None:
    edited = NOISE[:at] + came + NOISE[at + gone :]
    chunks = list(cut_chunks([edited]))
    assert b"".join(chunks) == edited
    assert all(SMALLEST <= len(chunk) <= LARGEST for chunk in chunks[:-1])
    known = set(cut_chunks([NOISE]))
    fresh = sum(len(chunk) for chunk in chunks if chunk not in known)
    assert fresh <= len(came) + 4 * LARGEST
