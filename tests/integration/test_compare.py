"""The comparing program turns red for a difference in each attribute, and only then.

Runs the program as its users do, as root, on small trees that hold one of each kind of file.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from si.system.run import Completed, run

PROGRAM = Path(__file__).parents[2] / "scripts/compare.py"
BIG_HOLE = 1 << 20
TIME_NS = 1_234_567_890_123_456_789
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
"""cap_net_raw=ep in the kernel's format, version 2."""


def plant(root: Path) -> None:
    """One file of each kind, all times the same."""
    for name in ("file", "capable", "acl", "xattr", "linked", "other", "empty"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(f"contents of {name}\n")
    (root / "name").hardlink_to(root / "linked")
    (root / "folder/inner").mkdir(parents=True)
    (root / "link").symlink_to("file")
    os.mknod(root / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(root / "socket", stat.S_IFSOCK | 0o700)
    os.mkfifo(root / "fifo")
    (root / os.fsdecode(b"raw\n\xff\\ name")).write_text("odd name\n")
    os.setxattr(root / "capable", "security.capability", CAPABILITY)
    os.setxattr(root / "xattr", "user.note", b"kept")
    run(["setfacl", "-m", "u:1000:rw-", root / "acl"])
    with (root / "sparse").open("wb") as file:
        file.truncate(BIG_HOLE)
    settle(root)


def settle(root: Path) -> None:
    """Give every path one time, so that only what a test changes later differs."""
    for path in [*root.rglob("*"), root]:
        os.utime(path, ns=(TIME_NS, TIME_NS), follow_symlinks=False)


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal trees."""
    for name in ("expected", "actual"):
        (tmp_path / name).mkdir()
        plant(tmp_path / name)
    return tmp_path / "expected", tmp_path / "actual"


def compare(trees: tuple[Path, Path], *options: str | Path) -> Completed:
    """Run the program; it must not need anything of this repository."""
    argv = [sys.executable, "-I", PROGRAM, *trees, *options]
    return run(argv, cwd=Path("/"), check=False)


def compare_json(trees: tuple[Path, Path], *options: str | Path) -> dict[str, Any]:
    """What the program says as an object."""
    return dict(json.loads(compare(trees, *options, "--json").stdout))


def test_equal_trees_are_identical_and_counted(trees: tuple[Path, Path]) -> None:
    done = compare(trees)
    assert done.exit_code == 0, done.text
    assert done.text.splitlines()[-1] == "identical, 17 paths compared, 0 exceptions used"
    counted = compare_json(trees)["compared"]
    assert counted == {
        "presence": 17, "type": 17, "owner": 17, "mtime": 17, "mode": 16, "xattrs": 17, "acl": 17,
        "capability": 17, "hardlinks": 14, "size": 10, "content": 10, "sparseness": 10,
        "target": 1, "device": 1,
    }  # fmt: skip


def make_dense(tree: Path) -> None:
    (tree / "sparse").write_bytes(bytes(BIG_HOLE))


def replace_symlink(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").symlink_to("empty")


def replace_device(tree: Path) -> None:
    (tree / "device").unlink()
    os.mknod(tree / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))


def replace_type(tree: Path) -> None:
    (tree / "fifo").unlink()
    (tree / "fifo").write_text("")
    (tree / "fifo").chmod(0o644)


def split_links(tree: Path) -> None:
    text = (tree / "name").read_text()
    (tree / "name").unlink()
    (tree / "name").write_text(text)


def change_contents(tree: Path) -> None:
    (tree / "file").write_text("CONTENTS of file\n")


FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "missing path": (lambda tree: (tree / "empty").unlink(), "/empty", "presence"),
    "missing folder": (lambda tree: (tree / "folder/inner").rmdir(), "/folder/inner", "presence"),
    "extra path": (lambda tree: (tree / "extra").touch(), "/extra", "presence"),
    "type": (replace_type, "/fifo", "type"),
    "mode": (lambda tree: (tree / "file").chmod(0o4644), "/file", "mode"),
    "mode of a folder": (lambda tree: (tree / "folder").chmod(0o1755), "/folder", "mode"),
    "user": (lambda tree: os.chown(tree / "file", 12, -1), "/file", "owner"),
    "group of a symlink": (
        lambda tree: os.chown(tree / "link", -1, 12, follow_symlinks=False), "/link", "owner",
    ),
    "size": (lambda tree: os.truncate(tree / "empty", 5), "/empty", "size"),
    "content": (change_contents, "/file", "content"),
    "target": (replace_symlink, "/link", "target"),
    "device": (replace_device, "/device", "device"),
    "xattr": (lambda tree: os.setxattr(tree / "xattr", "user.note", b"lost"), "/xattr", "xattrs"),
    "xattr of a folder": (
        lambda tree: os.setxattr(tree / "folder", "user.new", b""), "/folder", "xattrs",
    ),
    "acl": (lambda tree: run(["setfacl", "-b", tree / "acl"]), "/acl", "acl"),
    "default acl": (
        lambda tree: run(["setfacl", "-d", "-m", "u:1000:r", tree / "folder"]), "/folder", "acl",
    ),
    "capability": (
        lambda tree: os.removexattr(tree / "capable", "security.capability"),
        "/capable", "capability",
    ),
    "hard link lost": (split_links, "/name", "hardlinks"),
    "sparseness": (make_dense, "/sparse", "sparseness"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_one_planted_difference_turns_it_red(trees: tuple[Path, Path], fault: str) -> None:
    change, path, attribute = FAULTS[fault]
    change(trees[1])
    settle(trees[1])
    done = compare(trees)
    assert done.exit_code == 1
    assert any(line.startswith(f"{path}: {attribute}: ") for line in done.text.splitlines())
    said = compare_json(trees)
    assert said["identical"] is False
    assert attribute in said["differences"][path]


@pytest.mark.parametrize("path", ["file", "folder", "link", "."])
def test_one_nanosecond_is_seen(trees: tuple[Path, Path], path: str) -> None:
    later = (TIME_NS + 1, TIME_NS + 1)
    os.utime(trees[1] / path, ns=later, follow_symlinks=False)
    differences = compare_json(trees)["differences"]
    assert list(differences) == ["/" if path == "." else f"/{path}"]
    assert list(*differences.values()) == ["mtime"]


def test_hard_links_that_were_none_are_seen(trees: tuple[Path, Path]) -> None:
    for tree in trees:
        (tree / "other").write_text((tree / "file").read_text())
        settle(tree)
    assert compare(trees).exit_code == 0
    (trees[1] / "other").unlink()
    (trees[1] / "other").hardlink_to(trees[1] / "file")
    settle(trees[1])
    differences = compare_json(trees)["differences"]
    assert {path: list(what) for path, what in differences.items()} == {
        "/file": ["hardlinks"], "/other": ["hardlinks"],
    }  # fmt: skip


def test_a_sparser_copy_is_fine(trees: tuple[Path, Path]) -> None:
    make_dense(trees[0])
    settle(trees[0])
    assert compare(trees).exit_code == 0


def test_an_odd_name_stays_on_one_line_of_ascii(trees: tuple[Path, Path]) -> None:
    (trees[1] / os.fsdecode(b"raw\n\xff\\ name")).chmod(0o600)
    first = compare(trees).stdout.splitlines()[0]
    assert first == rb"/raw\x0a\xff\x5c name: mode: expected 0644, found 0600"


def test_lost_and_found_of_a_file_system_is_left_out(trees: tuple[Path, Path]) -> None:
    (trees[1] / "lost+found/inside").mkdir(parents=True)
    settle(trees[1])
    assert compare(trees).exit_code == 0
    (trees[1] / "folder/lost+found").mkdir()
    settle(trees[1])
    assert list(compare_json(trees)["differences"]) == ["/folder/lost+found"]


def test_a_file_system_mounted_below_is_part_of_the_tree(trees: tuple[Path, Path]) -> None:
    inner = trees[1] / "folder/inner"
    run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", inner])
    try:
        (inner / "lost+found").mkdir()
        settle(trees[1])
        assert compare(trees).exit_code == 0
        (inner / "extra").touch()
        settle(trees[1])
        assert list(compare_json(trees)["differences"]) == ["/folder/inner/extra"]
    finally:
        run(["umount", inner])


def test_an_allowed_path_may_differ_and_nothing_below_it(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    allow = tmp_path / "allow"
    allow.write_text("# why\n\n/folder\tits mode is the client's own\n/file\tnever differs\n")
    (trees[1] / "folder").chmod(0o700)
    done = compare(trees, "--allow", allow)
    lines = done.text.splitlines()
    assert done.exit_code == 0
    assert lines[0] == "allowed: /folder: mode: its mode is the client's own"
    assert lines[1] == "note: /file did not differ, its exception is unneeded"
    assert lines[-1].endswith("1 exceptions used")
    (trees[1] / "folder/inner").chmod(0o700)
    assert list(compare_json(trees, "--allow", allow)["differences"]) == ["/folder/inner"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("".join(f"/{number}\treason\n" for number in range(26)), "26 paths, more than 25"),
        ("/file no tab\n", "1: want /PATH<TAB>REASON"),
        ("/file\t\n", "1: want /PATH<TAB>REASON"),
        ("file\treason\n", "1: want /PATH<TAB>REASON"),
        ("/file\tone\n/file\ttwo\n", "2: /file stands there twice"),
    ],
)
def test_a_wrong_list_of_exceptions_is_refused(
    trees: tuple[Path, Path], tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "allow").write_text(text)
    done = compare(trees, "--allow", tmp_path / "allow")
    assert done.exit_code == 2
    assert said in done.stderr.decode()


def test_25_exceptions_are_accepted(trees: tuple[Path, Path], tmp_path: Path) -> None:
    lines = "".join(f"/{number}\treason\n" for number in range(25))
    (tmp_path / "allow").write_text(lines)
    assert compare(trees, "--allow", tmp_path / "allow").exit_code == 0


def test_a_tree_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    done = compare((tmp_path, tmp_path / "missing"))
    assert done.exit_code == 2
    assert "missing" in done.stderr.decode()


def test_it_imports_nothing_of_the_product() -> None:
    words = PROGRAM.read_text().split()
    assert not any(word == "si" or word.startswith("si.") for word in words)


def test_what_a_machine_that_ran_may_differ_in(trees: tuple[Path, Path], tmp_path: Path) -> None:
    (trees[1] / "folder/inner").chmod(0o700)
    (trees[1] / "folder/new").write_text("made since")
    ran = tmp_path / "ran"
    ran.write_text("/folder\tits time\n/folder/**\tlogs\n")
    assert compare(trees, "--ran", ran).exit_code == 0

    (trees[1] / "file").write_text("not on the list")
    assert list(compare_json(trees, "--ran", ran)["differences"]) == ["/file"]


def test_all_below_stands_only_on_the_list_of_a_machine_that_ran(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    (trees[1] / "folder/inner").chmod(0o700)
    allow = tmp_path / "allow"
    allow.write_text("/folder/**\tlogs\n")
    assert compare(trees, "--allow", allow).exit_code == 1
