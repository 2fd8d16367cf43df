"""What XFS shows of a file that no other file system shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from si.client.attributes import read_xattrs
from si.system.run import run

COMPARE = Path(__file__).parents[2] / "scripts/compare.py"


@pytest.fixture
def xfs(tmp_path: Path) -> Iterator[Path]:
    """An empty XFS."""
    disk, point = tmp_path / "disk", tmp_path / "xfs"
    with disk.open("wb") as file:
        file.truncate(512 << 20)
    run(["mkfs.xfs", "-q", disk])
    point.mkdir()
    run(["mount", "-o", "loop", disk, point])
    yield point
    run(["umount", point])


def plant(folder: Path) -> None:
    folder.mkdir()
    file = folder / "acl"
    file.write_text("kept\n")
    run(["setfacl", "-m", "u:1000:rw-", file])
    os.setxattr(file, "user.note", b"kept")
    for path in (file, folder):
        os.utime(path, ns=(10**18, 10**18))


def test_an_acl_is_seen_once(xfs: Path, tmp_path: Path) -> None:
    for place in (xfs, tmp_path):
        plant(place / "tree")
    file = xfs / "tree/acl"
    assert "trusted.SGI_ACL_FILE" in os.listxattr(file)
    found = read_xattrs(os.fsencode(file))
    assert [name for name, _ in found] == [b"system.posix_acl_access", b"user.note"]
    assert found == read_xattrs(os.fsencode(tmp_path / "tree/acl"))
    assert "identical" in run([COMPARE, tmp_path / "tree", xfs / "tree"]).text
