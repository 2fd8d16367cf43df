"""Programs and libraries out of trees made of files that say what they need."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from si.boot.closure import Wanted, collect, parse_programs, resolve
from tests.unit.boot.elf_maker import make_elf

LIBRARIES = "usr/lib/x86_64-linux-gnu"
LOADER = "/lib64/ld-linux-x86-64.so.2"


def put(root: Path, path: str, data: bytes) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def link(root: Path, path: str, points_to: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).symlink_to(points_to)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with a merged /usr, a program that needs a library that needs another."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (tmp_path / "usr" / name).mkdir(parents=True)
        (tmp_path / name).symlink_to(f"usr/{name}")
    put(tmp_path, "usr/lib64/ld-linux-x86-64.so.2", make_elf([]))
    put(tmp_path, f"{LIBRARIES}/libc.so.6", make_elf(["ld-linux-x86-64.so.2"]))
    put(tmp_path, f"{LIBRARIES}/libone.so.1.2.3", make_elf(["libtwo.so.2", "libc.so.6"]))
    link(tmp_path, f"{LIBRARIES}/libone.so.1", "libone.so.1.2.3")
    put(tmp_path, f"{LIBRARIES}/libtwo.so.2", make_elf(["libone.so.1"]))
    put(tmp_path, "usr/sbin/tool", make_elf(["libone.so.1"], interpreter=LOADER))
    link(tmp_path, "usr/sbin/tool.alias", "/etc/alternatives/tool")
    link(tmp_path, "etc/alternatives/tool", "/sbin/tool")
    return tmp_path


def names(root: Path, *wanted: Wanted) -> tuple[dict[str, str], list[str]]:
    collection = collect(root, wanted, arch="x86_64")
    kinds = {
        path: entry.data.decode() if stat.S_ISLNK(entry.mode) else f"{entry.mode & 0o777:o}"
        for path, entry in collection.entries.items()
    }
    return kinds, collection.missing


def test_a_program_comes_with_everything_that_it_needs(root: Path) -> None:
    put(root, f"{LIBRARIES}/ld-linux-x86-64.so.2", make_elf([]))
    assert names(root, Wanted("tool", "tools")) == (
        {
            "usr/sbin/tool": "755",
            "usr/lib64/ld-linux-x86-64.so.2": "755",
            f"{LIBRARIES}/ld-linux-x86-64.so.2": "755",
            f"{LIBRARIES}/libone.so.1": "755",
            f"{LIBRARIES}/libtwo.so.2": "755",
            f"{LIBRARIES}/libc.so.6": "755",
        },
        [],
    )


def test_a_second_name_stays_a_link_below_the_tree(root: Path) -> None:
    found, missing = names(root, Wanted("tool.alias", "tools"))
    assert missing == []
    assert found["usr/sbin/tool.alias"] == "/usr/sbin/tool"
    assert found["usr/sbin/tool"] == "755"


def test_everything_missing_is_told_with_its_package(root: Path) -> None:
    put(root, "usr/bin/broken", make_elf(["libgone.so.4", "libtwo.so.2"], interpreter="/no/ld.so"))
    put(root, "usr/bin/script", b"#!/bin/sh\n")
    put(root, "usr/bin/foreign", make_elf([], machine=183))
    _found, missing = names(
        root,
        Wanted("rsync", "rsync"),
        Wanted("broken", "breaker"),
        Wanted("script", "scripts"),
        Wanted("foreign", "arm"),
        Wanted("/etc/mke2fs.conf", "e2fsprogs"),
        Wanted("libgcc_s.so.1", "libgcc-s1"),
    )
    assert missing == [
        "program rsync (package rsync)",
        "loader /no/ld.so (package breaker needs it)",
        "library libgone.so.4, needed by /usr/bin/broken (package breaker needs it)",
        "program script: it is no program but a script",
        "program foreign: it is not for x86_64",
        "file /etc/mke2fs.conf (package e2fsprogs)",
        "library libgcc_s.so.1 (package libgcc-s1 needs it)",
    ]


def test_a_star_stands_for_every_file_of_that_name(root: Path) -> None:
    put(root, "usr/lib/python3.11/os.py", b"import sys")
    put(root, "usr/lib/python3/dist-packages/one.cpython-311.so", make_elf(["libone.so.1"]))
    found, missing = names(
        root,
        Wanted("/usr/lib/python3.*/os.py", "python3-minimal"),
        Wanted("/usr/lib/python3/dist-packages/one.*.so", "python3-one"),
        Wanted("/usr/lib/python3.*/re.py", "python3-minimal"),
    )
    assert found["usr/lib/python3.11/os.py"] == "644"
    assert found["usr/lib/python3/dist-packages/one.cpython-311.so"] == "755"
    assert found[f"{LIBRARIES}/libone.so.1"] == "755"
    assert missing == ["file /usr/lib/python3.*/re.py (package python3-minimal)"]


def test_runpath_is_searched_first_and_kept(root: Path) -> None:
    put(root, "usr/lib/tool/libown.so.1", make_elf([]))
    put(root, f"{LIBRARIES}/libown.so.1", make_elf([]))
    put(root, "usr/bin/own", make_elf(["libown.so.1"], runpath=["$ORIGIN/../lib/tool"]))
    found, missing = names(root, Wanted("own", "own"))
    assert missing == []
    assert [path for path in found if path.endswith("libown.so.1")] == ["usr/lib/tool/libown.so.1"]


def test_a_library_that_only_the_loader_cache_knows_goes_where_the_loader_looks(
    root: Path,
) -> None:
    put(root, "opt/lib/libopt.so.1", make_elf([]))
    put(root, "etc/ld.so.conf.d/opt.conf", b"# more\n/opt/lib\n")
    put(root, "usr/bin/opt", make_elf(["libopt.so.1"]))
    found, missing = names(root, Wanted("opt", "opt"))
    assert missing == []
    assert f"{LIBRARIES}/libopt.so.1" in found


def test_links_cannot_lead_out_of_the_tree(root: Path) -> None:
    link(root, "usr/bin/out", "../../../../../../etc/passwd")
    link(root, "usr/bin/round", "round")
    put(root, "etc/passwd", b"of the tree\n")
    assert resolve(root, "usr/bin/out") == "etc/passwd"
    assert resolve(root, "usr/bin/round") is None
    assert resolve(root, "/usr/bin/nothing") is None


def test_programs_list() -> None:
    text = "# comment\n\nrsync rsync # inline\n/etc/x  y\n"
    assert parse_programs(text) == (Wanted("rsync", "rsync"), Wanted("/etc/x", "y"))
    with pytest.raises(ValueError):
        parse_programs("rsync\n")
