"""<fsinfo>, attribute by attribute: file systems, other mounts, comment lines."""

from __future__ import annotations

import pytest

from si.layout.model import Comment, Entry, Filesystem, Mount, Subvolume
from tests.unit.layout.test_attributes import read

DISK = '<disk dev="/dev/a" label_type="gpt"><part num="1" size="*"/></disk>'


def fsinfo(attributes: str, inside: str = "") -> tuple[Entry | None, list[str]]:
    """The entry, and what is told of reading it."""
    layout, told = read(f"{DISK}<fsinfo {attributes}>{inside}</fsinfo>")
    return next(iter(layout.entries), None), told


def data(attributes: str) -> tuple[Filesystem, list[str]]:
    found, told = fsinfo(f'real_dev="/dev/a1" mp="/data" {attributes}')
    assert isinstance(found, Filesystem)
    return found, told


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ("LABEL=data", "LABEL=data"),
        ("label = data", "LABEL=data"),
        ("LABEL=&quot;my data&quot;", "LABEL=my data"),
        ("LABEL=&quot;", 'LABEL="'),
        ("uuid=0A1B-2C3D", "UUID=0A1B-2C3D"),
        ("/dev/a1", None),
        ("", None),
    ],
)
def test_what_fstab_mounts_by(written: str, source: str | None) -> None:
    found, told = data(f'fs="vfat" mount_dev="{written}"')
    assert found.mount_source == source
    assert not [text for text in told if "mount_dev" in text]


@pytest.mark.parametrize(
    "written", ["PARTUUID=1", "partlabel=x", "id=ata-1", "/dev/b7", "OTHER=x", "LABEL"]
)
def test_what_fstab_does_not_mount_by(written: str) -> None:
    found, told = data(f'fs="ext4" mount_dev="{written}"')
    assert found.mount_source is None
    assert [text for text in told if text.endswith("is not kept: fstab will mount by UUID")]


@pytest.mark.parametrize("key", ["PARTUUID", "PARTLABEL", "ID"])
def test_what_is_not_made_is_mounted_by_anything(key: str) -> None:
    for written in (f"{key}=x y", f"{key.lower()} = x y"):
        found, _told = fsinfo(f'mount_dev="{written}" mp="/x" fs="ntfs" format="no"')
        assert found == Mount(10, f"{key}=x y", "/x", "ntfs")


def test_an_empty_name_is_none() -> None:
    _found, told = data('fs="ext4" mount_dev="LABEL=&quot;&quot;"')
    assert [text for text in told if "names nothing" in text]


def test_a_slip_in_format_does_not_wipe() -> None:
    _found, told = data('fs="ext4" format="on"')
    assert 'format="on" is neither yes nor no' in told


def test_a_label_beside_one_that_fstab_mounts_by() -> None:
    assert data('fs="ext4" mount_dev="LABEL=a" label="b"')[0].label is None
    assert data('fs="ext4" mount_dev="UUID=a" label="b"')[0].label == "b"


@pytest.mark.parametrize("kind", ["f2fs", "zfs", "bcachefs", "nilfs2"])
def test_types_that_are_to_come(kind: str) -> None:
    for device in ("/dev/a1", "/dev/z1"):
        _found, told = fsinfo(f'real_dev="{device}" mp="/d" fs="{kind}"')
        assert f'fs="{kind}" is not supported yet: write ext4, xfs or btrfs' in told


@pytest.mark.parametrize(
    "kind", ["jfs", "reiserfs", "reiser4", "ntfs", "exfat", "hfsplus", "ufs", "minix"]
)
def test_types_that_nothing_here_makes(kind: str) -> None:
    _found, told = fsinfo(f'real_dev="/dev/z1" mp="/d" fs="{kind}"')
    assert [text for text in told if text.startswith(f'fs="{kind}" cannot be made')]
    found, told = fsinfo(f'real_dev="/dev/z1" mp="/d" fs="{kind}" format="no"')
    assert found == Mount(10, "/dev/z1", "/d", kind)
    assert not [text for text in told if "cannot be made" in text]


def test_what_only_the_installed_system_mounts() -> None:
    found, _told = fsinfo('line="3" mount_dev="srv:/x" mp="/x" fs="NFS" options="ro" dump="1"')
    assert found == Mount(3, "srv:/x", "/x", "nfs", "ro", 1, 0)
    assert fsinfo('mp="/t" fs="tmpfs"')[0] == Mount(10, "tmpfs", "/t", "tmpfs")


@pytest.mark.parametrize(("length", "well"), [(64, True), (65, False)])
def test_the_name_of_a_type_is_short(length: int, well: bool) -> None:
    _found, told = fsinfo(f'real_dev="x" mp="/x" fs="{"f" * length}"')
    assert bool([text for text in told if "is no type of a file system" in text]) is not well


@pytest.mark.parametrize(
    "name",
    [
        "real_dev",
        "mount_dev",
        "mp",
        "fs",
        "mkfs_opts",
        "options",
        "dump",
        "pass",
        "format",
        "label",
    ],
)
def test_beside_a_comment_nothing_counts(name: str) -> None:
    found, told = fsinfo(f'line="5" comment="# a b  " {name}="1"')
    assert found == Comment(5, "# a b")
    assert f"ignored: {name}, because a line with comment holds nothing else" in told


def test_subvolumes_are_read_and_nothing_else() -> None:
    found, told = fsinfo(
        'real_dev="/dev/a1" mp="/d" fs="btrfs"',
        '<subvolume name="/@/X/" mp="/x" options="ro"/><subvolume name="@y"/><sub/><subvolume/>',
    )
    assert isinstance(found, Filesystem)
    assert found.subvolumes == (Subvolume("@/X", "/x", "ro"), Subvolume("@y"))
    assert "ignored: <fsinfo> holds <subvolume> only, not <sub>" in told
    assert '<subvolume> needs name="...", for example name="@home"' in told
