"""One path against its record."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from si.client.differences import Leniency, agrees, compare
from si.version.record import Record, dump_line

NS = 1_600_000_001_123_456_789
CONTENT = hashlib.sha256(b"text").hexdigest()
FAT = Leniency(is_coarse=True)
STRICT = Leniency()


@pytest.fixture
def place(tmp_path: Path) -> bytes:
    file = tmp_path / "file"
    file.write_bytes(b"text")
    file.chmod(0o640)
    os.utime(file, ns=(NS, NS))
    return os.fsencode(file)


def record_of(place: bytes) -> Record:
    about = os.lstat(place)
    return Record(b"/file", "f", 0o640, about.st_uid, about.st_gid, NS, 4, CONTENT)


@pytest.mark.parametrize(
    ("change", "strict", "fat"),
    [
        ({}, ((), ()), ((), ())),
        ({"mode": 0o755}, (("mode",), ()), ((), ())),
        ({"uid": 77}, (("owner",), ()), ((), ())),
        ({"mtime_ns": NS - 1_123_456_789}, (("changed",), ("time",)), ((), ())),
        ({"mtime_ns": NS - 2 * 10**9}, (("changed",), ("time",)), (("changed",), ("time",))),
        ({"size": 5}, (("changed",), ("contents",)), (("changed",), ("contents",))),
        (
            {"mtime_ns": NS + 10**10, "content": "0" * 64},
            (("changed",), ("contents", "time")),
            (("changed",), ("contents", "time")),
        ),
        ({"content": "0" * 64}, ((), ()), ((), ())),
        ({"kind": "p", "size": 0, "content": ""}, (("changed",), ("type",)), None),
        ({"xattrs": ((b"security.capability", b"x"),)}, (("capability lost",), ()), ((), ())),
        ({"xattrs": ((b"user.x", b"x"),)}, (("attributes",), ()), ((), ())),
    ],
)
def test_each_difference(
    place: bytes, change: dict[str, object], strict: object, fat: object
) -> None:
    """FAT keeps neither owners nor modes nor exact times; what it keeps is compared there too."""
    record = record_of(place)._replace(**change)  # type: ignore[arg-type]
    about = os.lstat(place)
    assert compare(record, about, place, STRICT) == strict
    if fat is not None:
        assert compare(record, about, place, FAT) == fat


def test_what_is_read(place: bytes) -> None:
    about = os.lstat(place)
    other = record_of(place)._replace(content="0" * 64)
    assert compare(other, about, place, Leniency(reads_all=True)) == (("changed",), ("contents",))
    late = other._replace(mtime_ns=0)
    assert compare(late, about, place, Leniency(is_unread=True)) == (("changed",), ("time",))
    assert compare(record_of(place), about, place, Leniency(reads_all=True)) == ((), ())


@pytest.mark.parametrize(
    "change",
    [
        {"mode": 0o600},
        {"uid": 77},
        {"gid": 77},
        {"mtime_ns": NS + 1},
        {"size": 44},
        {"xattrs": ((b"user.x", b"x"),)},
        {"kind": "l", "size": 0, "content": "", "target": b"x"},
    ],
)
def test_a_line_agrees_only_when_all_that_was_looked_at_does(
    place: bytes, change: dict[str, object]
) -> None:
    about = os.lstat(place)
    record = record_of(place)
    assert agrees(dump_line(record), about, place)
    assert agrees(dump_line(record._replace(extents=((0, 2),))), about, place), "holes are not told"
    assert not agrees(dump_line(record._replace(**change)), about, place)  # type: ignore[arg-type]
    os.setxattr(place, "user.more", b"")
    assert not agrees(dump_line(record), about, place)


def test_a_line_of_a_folder(tmp_path: Path) -> None:
    about = tmp_path.stat()
    folder = Record(b"/", "d", about.st_mode & 0o7777, about.st_uid, about.st_gid,
                    about.st_mtime_ns)  # fmt: skip
    place = os.fsencode(tmp_path)
    assert agrees(dump_line(folder), about, place)
    assert not agrees(dump_line(folder._replace(mode=0o1777)), about, place)
    assert not agrees(dump_line(folder._replace(xattrs=((b"user.x", b""),))), about, place)
