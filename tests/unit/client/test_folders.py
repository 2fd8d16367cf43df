"""Paths are opened part by part: no link is ever followed, whenever it came."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from si.client.folders import Folders, list_below, look_at
from si.errors import UpdateRefused


def test_a_link_in_the_way_is_refused(tmp_path: Path) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    (outside / "inner").mkdir(parents=True)
    (top / "real").mkdir(parents=True)
    (top / "real/link").symlink_to(outside)
    (top / "file").touch()
    with Folders(os.fsencode(top)) as folders:
        for path in (b"/real/link/inner/x", b"/real/link/x", b"/file/x"):
            with pytest.raises(UpdateRefused, match="is no directory"):
                folders.place(path)
        with pytest.raises(UpdateRefused):
            folders.folder(b"/real/link")
        # The link itself is a name like any other.
        about = look_at(folders.place(b"/real/link"))
        assert about is not None and about.st_ino == (top / "real/link").lstat().st_ino
        assert look_at(folders.place(b"/real/nothing")) is None


def test_a_directory_that_becomes_a_link_while_it_is_open(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    with Folders(os.fsencode(tmp_path)) as folders:
        folders.place(b"/a/b/x")
        (tmp_path / "a/b").rename(tmp_path / "a/moved")
        (tmp_path / "a/b").symlink_to(tmp_path / "outside")
        place = folders.place(b"/a/b/y")
        os.close(os.open(place.name, os.O_CREAT | os.O_WRONLY, dir_fd=place.folder))
        assert not list((tmp_path / "outside").iterdir())
        folders.place(b"/x")
        with pytest.raises(UpdateRefused):
            folders.place(b"/a/b/z")


def test_one_directory_after_the_other(tmp_path: Path) -> None:
    for name in ("a/b", "ab", "a b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x").write_text(name)
    with Folders(os.fsencode(tmp_path)) as folders:
        for name in ("a/b", "ab", "a/b", "a b"):
            place = folders.place(os.fsencode(f"/{name}/x"))
            about = look_at(place)
            assert about is not None and about.st_ino == (tmp_path / name / "x").stat().st_ino
        assert os.fstat(folders.folder(b"/")).st_ino == tmp_path.stat().st_ino


def test_what_is_below_comes_in_the_order_of_removal(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/\udcff").touch()
    (tmp_path / "a/link").symlink_to("b")
    with Folders(os.fsencode(tmp_path)) as folders:
        assert list(list_below(folders.folder(b"/a"), b"/a")) == [
            (b"/a/b/\xff", False), (b"/a/b", True), (b"/a/link", False),
        ]  # fmt: skip
