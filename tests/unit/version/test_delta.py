"""The index of a delta: both directions, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.errors import ManifestInvalid
from si.version.delta import SEAL, Delta, Place, dump_delta, parse_delta, split_seal
from si.version.manifest import Frame

ONE, OTHER = "1" * 64, "a" * 64
FRAMES = (Frame(1000, 400, ONE), Frame(50, 60, OTHER))
DELTA = Delta(3, 5, FRAMES, {OTHER: [Place(0, 0, 10), Place(1, 0, 10)], ONE: [Place(0, 10, 990)]})
TEXT = dump_delta(DELTA)


def test_the_text_of_an_index() -> None:
    assert TEXT.decode() == (
        f"si-delta 1\nfrom 3\nversion 5\nframes 2\n1000 400 {ONE}\n50 60 {OTHER}\n"
        f"files 3\n0:0 10 {OTHER}\n0:10 990 {ONE}\n1:0 10 {OTHER}\nend\n"
    )


@given(
    st.lists(st.tuples(st.integers(1, 999), st.sampled_from([ONE, OTHER])), min_size=1, max_size=20)
)
def test_what_is_written_is_read(files: list[tuple[int, str]]) -> None:
    frames = tuple(Frame(size, size, content) for size, content in files)
    places: dict[str, list[Place]] = {}
    for number, (size, content) in enumerate(files):
        places.setdefault(content, []).append(Place(number, 0, size))
    delta = Delta(1, 2, frames, places)
    assert parse_delta(dump_delta(delta), "index") == delta


@pytest.mark.parametrize(
    ("part", "other", "line"),
    [
        (b"si-delta 1", b"si-delta 2", 1),
        (b"from 3", b"from 03", 1),
        (b"frames 2", b"frames 3", 7),
        (b"frames 2", b"frames 999999999", 7),
        (b"frames 2", b"frames 1", 6),
        (b"1000 400", b"1000 0", 5),
        (b"files 3", b"files 2", 7),
        (b"0:10 990", b"0:10 991", 9),
        (b"0:10 990", b"0:9 990", 9),
        (b"0:10 990", b"2:10 990", 9),
        (b"1:0 10", b"0:0 10", 10),
        (b"1:0 10", b"1:00 10", 10),
        (b"0:0 10", b"0:0 0", 8),
        (b"end\n", b"end", 7),
        (b"end\n", b"ent\n", 12),
        (b"end\n", b"end\n\n", 7),
    ],
)
def test_what_is_not_an_index_is_refused_with_its_line(
    part: bytes, other: bytes, line: int
) -> None:
    assert part in TEXT
    with pytest.raises(ManifestInvalid, match=rf"^index:{line}: "):
        parse_delta(TEXT.replace(part, other, 1), "index")


@pytest.mark.parametrize("text", [b"", b"\n", TEXT[:20], TEXT[: len(TEXT) // 2], b"\xff" * 99])
def test_what_is_cut_off_is_refused(text: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse_delta(text, "index")


def test_text_and_signature_part() -> None:
    assert split_seal(TEXT + SEAL + b"x\n") == (TEXT, SEAL + b"x\n")
    assert split_seal(TEXT) == (TEXT, b"")
