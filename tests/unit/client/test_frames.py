"""Which frames of a pack are fetched, and which together."""

from __future__ import annotations

import pytest

from si.client.frames import NEAR, Stretch, frames_of, join_frames, wanted_frames
from si.errors import ManifestInvalid
from si.version.manifest import MAX_FRAME, Frame
from si.version.record import Extents, Record

SUM = "0" * 64
FRAMES = [Frame(1000, 100, SUM), Frame(500, 50, SUM), Frame(700, NEAR + 1, SUM), Frame(9, 9, SUM)]


def file(size: int, frame: int, offset: int, extents: Extents | None = None) -> Record:
    return Record(
        b"/file", "f", 0o644, 0, 0, 0, size, SUM, extents=extents, frame=frame, offset=offset
    )


@pytest.mark.parametrize(
    ("record", "frames"),
    [
        (file(0, 0, 0), []),
        (file(1000, 0, 0), [0]),
        (file(1, 0, 999), [0]),
        (file(2, 0, 999), [0, 1]),
        (file(1, 0, 1000), [0, 1]),
        (file(502, 0, 999), [0, 1, 2]),
        (file(10**6, 1, 499, extents=((5, 1), (100, 1))), [1, 2]),
        (file(10**6, 1, 0, extents=()), []),
    ],
)
def test_where_the_data_of_a_file_are(record: Record, frames: list[int]) -> None:
    assert list(frames_of(record, FRAMES)) == frames


def test_data_beyond_the_pack_are_refused() -> None:
    with pytest.raises(ManifestInvalid, match="pass the pack's end"):
        frames_of(file(2**62, 1, 0), FRAMES)


def test_a_frame_that_nobody_could_hold_is_refused() -> None:
    frames = [Frame(10, MAX_FRAME * 2, SUM)]
    with pytest.raises(ManifestInvalid, match="larger than any frame"):
        wanted_frames([file(10, 0, 0)], frames)


def test_frames_near_one_another_are_fetched_together() -> None:
    assert wanted_frames([file(1, 3, 0), file(2, 0, 999), file(1, 0, 0)], FRAMES) == (0, 1, 3)
    assert join_frames((0, 1, 3), FRAMES) == (
        Stretch(0, 150, 0, 2), Stretch(151 + NEAR, 160 + NEAR, 3, 4),
    )  # fmt: skip
    # What lies between comes along where that is less than a request.
    assert join_frames((0, 2), FRAMES) == (Stretch(0, 151 + NEAR, 0, 3),)
    assert join_frames((), FRAMES) == ()
