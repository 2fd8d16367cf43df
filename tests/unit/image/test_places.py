"""Sources, mount points and paths inside a tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from si.errors import NameInvalid
from si.image.chroot import resolve_inside
from si.image.pull import Changes
from si.image.source import CaptureTransport, Directory, GoldenClient, check_address
from si.image.usage import parse_mount_points


def test_where_a_golden_client_is_read() -> None:
    assert GoldenClient("g").locate("etc/") == "rsync://g:873/root/etc/"
    assert GoldenClient("2001:db8::1", port=8873).locate() == "rsync://[2001:db8::1]:8873/root/"
    assert GoldenClient("g").completion == "rsync://g:873/done/"
    ssh = GoldenClient("g.example", CaptureTransport.SSH)
    assert ssh.locate("etc/") == "root@g.example:/etc/" and ssh.completion is None
    assert any("BatchMode=yes" in option for option in ssh.options)
    assert Directory(Path("/srv/tree")).locate() == "/srv/tree/"


@pytest.mark.parametrize(
    "text", ["golden", "a.b-c.example", "192.0.2.1", "2001:db8::1", "fe80::1%eth0"]
)
def test_addresses(text: str) -> None:
    assert check_address(text) == text


@pytest.mark.parametrize(
    "text", ["", "-e", "a b", "a/b", "a:b", "a@b", "a..b", "a\n", "[::1]", "é"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(NameInvalid):
        check_address(text)


def test_mount_points_have_octal_escapes() -> None:
    text = (
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "22 21 0:5 / /a\\040b\\134c rw,nosuid shared:1 - tmpfs tmpfs rw\n\n"
    )
    assert parse_mount_points(text) == ("/", "/a b\\c")


def test_changes_are_counted() -> None:
    changes = Changes()
    for line in (b">f+++++++++ a", b".d..t...... ./", b"*deleting   b", b"sent 1 bytes", b""):
        changes.count(line)
    assert (changes.new, changes.changed, changes.gone, changes.any) == (1, 1, 1, True)
    assert not Changes().any


def test_links_lead_nowhere_outside_the_tree(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "lib").symlink_to("usr/lib")
    (tree / "up").symlink_to("../../../../../usr")
    (tree / "absolute").symlink_to("/usr/./lib/..//lib/")
    (tree / "loop").symlink_to("loop")
    (tree / "file").write_text("x")
    assert resolve_inside(tree, "lib/x") == "usr/lib/x"
    assert resolve_inside(tree, "/up/lib/y/z") == "usr/lib/y/z"
    assert resolve_inside(tree, "absolute") == "usr/lib"
    assert resolve_inside(tree, "../../etc/passwd") == "etc/passwd"
    assert resolve_inside(tree, "loop/x") is None
