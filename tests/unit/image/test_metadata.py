"""image.json in a tree, and what a hostile tree does not achieve."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.errors import CaptureFailed
from si.image.metadata import (
    FACTS,
    RECORD,
    Record,
    dump_record,
    load_record,
    parse_record,
    read_inside,
    write_record,
)

ONE = Record("web", "2026-11-21T12:00:00Z", "golden", "x86_64", 12, 3)
plain = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), max_size=20)


@given(plain, plain, st.integers(0, 2**60))
def test_a_record_survives_its_text(golden: str, arch: str, number: int) -> None:
    record = Record("web", "2026-11-21T12:00:00Z", golden, arch, number, number)
    if "\ufffe" not in golden + arch and "\uffff" not in golden + arch:
        assert parse_record(dump_record(record), "s") == record


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', dump_record(ONE)[:-3] + ', "x": 1}']
)
def test_what_was_never_written_is_refused(text: str) -> None:
    with pytest.raises(CaptureFailed):
        parse_record(text, "s")


def test_writing_leaves_the_times_of_folders(tmp_path: Path) -> None:
    (tmp_path / "etc/systemimager").mkdir(parents=True)
    folders = (tmp_path, tmp_path / "etc", tmp_path / "etc/systemimager")
    for folder in folders:
        os.utime(folder, ns=(10**18, 10**18 + 5))
    write_record(tmp_path, ONE)
    write_record(tmp_path, ONE)
    assert load_record(tmp_path) == ONE
    assert {folder.stat().st_mtime_ns for folder in folders} == {10**18 + 5}
    assert [path.name for path in folders[2].iterdir()] == ["image.json"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    os.utime(tmp_path, ns=(10**18, 10**18))
    write_record(tmp_path, ONE)
    assert load_record(tmp_path) == ONE and tmp_path.stat().st_mtime_ns == 10**18


def test_links_are_not_followed(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    outside.mkdir()
    (outside / "facts.json").write_text("secret")
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/systemimager").symlink_to(outside)
    assert read_inside(tree, FACTS, max_bytes=10) is None
    with pytest.raises(CaptureFailed, match="cannot write"):
        write_record(tree, ONE)
    (tree / "etc/systemimager").unlink()
    (tree / "etc/systemimager").mkdir()
    (tree / FACTS).symlink_to(outside / "facts.json")
    assert read_inside(tree, FACTS, max_bytes=10) is None
    (tree / RECORD).symlink_to(outside / "facts.json")
    write_record(tree, ONE)
    assert (outside / "facts.json").read_text() == "secret" and load_record(tree) == ONE


def test_only_regular_files_are_read_and_only_so_far(tmp_path: Path) -> None:
    (tmp_path / "etc/systemimager").mkdir(parents=True)
    os.mkfifo(tmp_path / FACTS)
    assert read_inside(tmp_path, FACTS, max_bytes=10) is None
    (tmp_path / FACTS).unlink()
    (tmp_path / FACTS).write_bytes(b"x" * 100)
    assert read_inside(tmp_path, FACTS, max_bytes=10) == b"x" * 11
    (tmp_path / RECORD).write_text("{")
    assert load_record(tmp_path) is None
