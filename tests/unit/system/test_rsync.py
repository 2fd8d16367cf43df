"""rsync's words: versions, progress, itemised changes, exit codes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.system.rsync import (
    FIDELITY,
    Progress,
    Transfer,
    meaning,
    parse_item,
    parse_progress,
    parse_version,
)


def test_everything_is_kept() -> None:
    assert FIDELITY == ("-aHAXS", "--numeric-ids")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("rsync  version 3.2.7  protocol version 31\nCopyright", (3, 2, 7)),
        ("rsync  version v3.2.3  protocol version 31", (3, 2, 3)),
        ("rsync  version 3.5  protocol version 32", (3, 5, 0)),
        ("openrsync: protocol version 29", None),
        ("", None),
    ],
)
def test_versions(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == version


def test_progress() -> None:
    line = b"  1234567  45%  123.45MB/s    0:00:12 (xfr#3, to-chk=5/20)"
    assert parse_progress(line) == Progress(1234567, 45, "123.45MB/s")
    assert parse_progress(b"  1,234,567 100%  1.00kB/s  0:00:00") == Progress(
        1234567, 100, "1.00kB/s"
    )
    assert parse_progress(b">f+++++++++ 12 45% 1MB/s") is None


@pytest.mark.parametrize(
    ("line", "item"),
    [
        (b">f+++++++++ etc/motd", (">f+++++++++", b"etc/motd")),
        (b".d..t...... ./", (".d..t......", b"./")),
        (b"cL+++++++++ l -> x y", ("cL+++++++++", b"l -> x y")),
        (b"*deleting   a b", ("*deleting", b"a b")),
        (b">f..t...... a\\#012b\\#377", (">f..t......", b"a\nb\xff")),
        (b">f..t...... a\\#134#012", (">f..t......", b"a\\#012")),
        (b"Number of files: 4", None),
        (b"cannot delete non-empty directory: etc", None),
        (b"", None),
    ],
)
def test_itemised_changes(line: bytes, item: tuple[str, bytes] | None) -> None:
    assert parse_item(line) == item


@given(st.binary())
def test_no_output_breaks_the_parsers(line: bytes) -> None:
    parse_item(line)
    parse_progress(line)


def test_exit_codes_in_words() -> None:
    assert "vanished" in meaning(24) and "connection broke" in meaning(12)
    assert meaning(-9) == "it was killed by signal 9"
    assert meaning(77) == "it ended with exit code 77"


def done(exit_code: int, *complaints: str) -> Transfer:
    return Transfer(exit_code, complaints, (), 0, 0, 0, 0)


def test_a_full_disk_is_told_by_its_words() -> None:
    full = 'rsync: [receiver] write failed on "/x": No space left on device (28)'
    assert done(11, full, "rsync error: error in file IO (code 11)").no_space
    assert done(23, "rsync: mkstemp failed: Disk quota exceeded (122)").no_space
    assert not done(11, "rsync: Permission denied (13)").no_space
    assert not done(0, full).no_space


def test_reasons_quote_the_first_complaint() -> None:
    assert done(12, "", "rsync: connection reset").reason == (
        "the connection broke (rsync: connection reset)"
    )
    assert done(30).reason == "the other side was silent for too long"
