"""How much a tree holds: by mount point, each file once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from si.image.content import measure_content, measure_kernels

BLOCK = 4096


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder in ("boot/efi", "home/alice", "homely"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "boot/kernel").write_bytes(b"k" * (10 * BLOCK + 1))
    (tmp_path / "boot/efi/loader").write_bytes(b"l" * BLOCK)
    (tmp_path / "homely/file").write_bytes(b"f" * 2 * BLOCK)
    return tmp_path


def test_each_mount_point_has_its_own(tree: Path) -> None:
    points = ("/", "/boot", "/boot/efi", "/home", "/home/alice", "/srv", "swap")
    assert measure_content(tree, points) == {
        "/": (3 + 2) * BLOCK,  # boot, home, homely, and a file
        "/boot": (1 + 11) * BLOCK,
        "/boot/efi": BLOCK,
        "/home": BLOCK,
        "/home/alice": 0,
        "/srv": 0,
        "swap": 0,
    }


def test_kernels_with_their_initramfs(tree: Path) -> None:
    assert measure_kernels(tree) == 0
    for name, blocks in (
        ("vmlinuz-6.1-amd64", 1),
        ("initrd.img-6.1-amd64", 2),
        ("vmlinuz-5.14.el9", 4),
        ("initramfs-5.14.el9.img", 8),
        ("vmlinuz-6.4-default", 16),
        ("initrd-6.4-default", 32),
        ("vmlinuz-without-any", 64),
        ("initrd.img-of-no-kernel", 128),
        ("config-6.1-amd64", 256),
    ):
        (tree / "boot" / name).write_bytes(b"x" * blocks * BLOCK)
    assert measure_kernels(tree) == 127 * BLOCK
    (tree / "boot").rename(tree / "elsewhere")
    assert measure_kernels(tree) == 0
    (tree / "boot").symlink_to(tree / "elsewhere")
    assert measure_kernels(tree) == 0


def test_a_file_with_two_names_counts_once(tree: Path) -> None:
    before = measure_content(tree, ["/"])["/"]
    os.link(tree / "boot/kernel", tree / "homely/kernel")
    assert measure_content(tree, ["/"])["/"] == before


def test_holes_count_for_nothing(tree: Path) -> None:
    before = measure_content(tree, ["/"])["/"]
    with (tree / "sparse").open("wb") as sparse:
        sparse.truncate(2**40)
    assert measure_content(tree, ["/"])["/"] == before


def test_links_are_not_followed(tree: Path) -> None:
    before = measure_content(tree, ["/"])["/"]
    (tree / "away").symlink_to("/usr")
    (tree / "srv").symlink_to("/usr")
    # Where the server stores them: in the inode, or in a block.
    assert measure_content(tree, ["/", "/srv"])["/"] - before <= 2 * BLOCK
    assert measure_content(tree, ["/srv"]) == {"/srv": 0}
