"""Archives read back by a reader of the test's own; the cpio program reads them in integration."""

from __future__ import annotations

import stat
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.boot.cpio import (
    Entry,
    EntryInvalid,
    character_device,
    folder,
    regular,
    symlink,
    write_cpio,
)

FIELDS = 13
WORD = st.from_regex(r"[a-z0-9._-]{1,6}", fullmatch=True).filter(lambda word: word.strip("."))
FILES = st.dictionaries(
    st.lists(WORD, min_size=1, max_size=3).map("/".join), st.binary(max_size=40), max_size=8
)


@dataclass
class Record:
    path: str
    fields: list[int]
    data: bytes


def read_archive(data: bytes) -> list[Record]:
    records: list[Record] = []
    place = 0
    while True:
        assert place % 4 == 0
        assert data[place : place + 6] == b"070701"
        text = data[place + 6 : place + 6 + FIELDS * 8]
        fields = [int(text[at : at + 8], 16) for at in range(0, FIELDS * 8, 8)]
        name_at = place + 6 + FIELDS * 8
        name = data[name_at : name_at + fields[11]]
        assert name.endswith(b"\0")
        start = (name_at + fields[11] + 3) // 4 * 4
        body = data[start : start + fields[6]]
        assert len(body) == fields[6]
        place = (start + fields[6] + 3) // 4 * 4
        if name == b"TRAILER!!!\0":
            assert not any(data[place:])
            assert len(data) % 512 == 0
            return records
        records.append(Record(name[:-1].decode("utf-8", "surrogateescape"), fields, body))


def no_file_below_a_file(files: dict[str, bytes]) -> dict[str, bytes]:
    return {
        path: data
        for path, data in files.items()
        if not any(path.startswith(f"{other}/") for other in files)
    }


@given(FILES, st.randoms(use_true_random=False))
def test_reads_back_and_order_does_not_matter(files: dict[str, bytes], random: object) -> None:
    kept = no_file_below_a_file(files)
    entries = [regular(path, data, executable=False) for path, data in kept.items()]
    archive = write_cpio(entries)
    random.shuffle(entries)  # type: ignore[attr-defined]
    assert write_cpio(entries) == archive
    records = read_archive(archive)
    found = {record.path: record.data for record in records if stat.S_ISREG(record.fields[1])}
    assert found == kept
    seen: set[str] = set()
    for record in records:
        parent = record.path.rpartition("/")[0]
        assert not parent or parent in seen, "a directory must come before what lies in it"
        seen.add(record.path)


def test_nothing_of_the_building_machine_is_in_it() -> None:
    records = read_archive(
        write_cpio(
            [
                regular("usr/bin/sh", b"program", executable=True),
                regular("etc/hosts", b"", executable=False),
                symlink("bin", "usr/bin"),
                folder("tmp", 0o1777),
                character_device("dev/console", 0o600, 5, 1),
            ]
        )
    )
    modes = {record.path: record.fields[1] for record in records}
    assert modes == {
        "bin": 0o120777,
        "dev": 0o040755,
        "dev/console": 0o020600,
        "etc": 0o040755,
        "etc/hosts": 0o100644,
        "tmp": 0o041777,
        "usr": 0o040755,
        "usr/bin": 0o040755,
        "usr/bin/sh": 0o100755,
    }
    for number, record in enumerate(records, start=1):
        inode, _mode, owner, group, links, time = record.fields[:6]
        assert (inode, owner, group, time) == (number, 0, 0, 0)
        assert links == (2 if stat.S_ISDIR(record.fields[1]) else 1)
    console = next(record for record in records if record.path == "dev/console")
    assert console.fields[9:11] == [5, 1]
    assert next(record.data for record in records if record.path == "bin") == b"usr/bin"


@pytest.mark.parametrize("path", ["", "/etc", "a//b", "a/", "./a", "a/../b", "..", "TRAILER!!!"])
def test_paths_that_the_kernel_would_not_unpack_are_refused(path: str) -> None:
    with pytest.raises(EntryInvalid, match="cannot be a path"):
        write_cpio([regular(path, b"", executable=False)])


def test_a_path_comes_once_and_below_a_folder() -> None:
    file = regular("a", b"", executable=False)
    with pytest.raises(EntryInvalid, match="twice"):
        write_cpio([file, folder("a")])
    with pytest.raises(EntryInvalid, match="no directory"):
        write_cpio([file, regular("a/b", b"", executable=False)])


def test_fields_have_eight_digits() -> None:
    with pytest.raises(EntryInvalid, match="too big"):
        write_cpio([Entry("dev/x", stat.S_IFCHR | 0o600, device=(1 << 32, 0))])
