"""mkfs, mount and fstab."""

from __future__ import annotations

from typing import Any

import pytest

from si.layout.model import (
    Comment,
    Disk,
    Entry,
    Filesystem,
    FilesystemType,
    Fixed,
    LabelType,
    Layout,
    Mount,
    Partition,
    Subvolume,
)
from si.script.filesystems import format_steps, fstab_lines, mount_steps
from si.script.render import render_steps
from si.script.steps import Heredoc

EXT4, SWAP, VFAT, XFS = (
    FilesystemType.EXT4,
    FilesystemType.SWAP,
    FilesystemType.VFAT,
    FilesystemType.XFS,
)


def layout(*entries: Entry) -> Layout:
    parts = tuple(Partition(n, Fixed(2**30)) for n in range(1, 5))
    return Layout((Disk("/dev/vda", LabelType.MSDOS, parts),), entries)


def fs(number: int, mount_point: str, kind: FilesystemType, **more: Any) -> Filesystem:
    return Filesystem(number * 10, f"/dev/vda{number}", mount_point, kind, **more)


def formatted(*entries: Entry) -> list[str]:
    return render_steps(format_steps(layout(*entries))).splitlines()


def mounted(*entries: Entry) -> list[str]:
    return render_steps(mount_steps(layout(*entries))).splitlines()


def fstab(*entries: Entry) -> list[str]:
    return render_steps([Heredoc("/x", tuple(fstab_lines(layout(*entries))))]).splitlines()[1:-1]


@pytest.mark.parametrize(
    ("filesystem", "command"),
    [
        (
            fs(1, "/", EXT4, label="a b", mkfs_opts="-m 0"),
            'mkfs.ext4 -q -F -O "$ext4_features" -U "$UUID_root" -L \'a b\' -m 0 /dev/vda1',
        ),
        (
            fs(1, "/", EXT4, mount_source="UUID=12345678-1234-1234-1234-123456789012"),
            'mkfs.ext4 -q -F -O "$ext4_features" -U "12345678-1234-1234-1234-123456789012" '
            "/dev/vda1",
        ),
        (fs(1, "/", XFS), 'mkfs.xfs -q -f -m "uuid=$UUID_root" /dev/vda1'),
        (
            fs(1, "/b", VFAT, mount_source="LABEL=ESP"),
            'mkfs.vfat -F 32 -i "${UUID_b%-*}${UUID_b#*-}" -n ESP /dev/vda1',
        ),
        (
            fs(1, "/b", VFAT, mount_source="UUID=12AB-34CD", mkfs_opts="-F 16"),
            "mkfs.vfat -i 12AB34CD -F 16 /dev/vda1",
        ),
        (fs(1, "swap", SWAP, label="s"), 'mkswap -f -U "$UUID_swap_vda1" -L s /dev/vda1'),
    ],
)
def test_mkfs(filesystem: Filesystem, command: str) -> None:
    assert formatted(filesystem)[-1] == command


def test_features_are_named_one_by_one() -> None:
    (features, _mkfs) = formatted(fs(1, "/", EXT4))
    assert features.startswith("ext4_features=none,")
    words = features.split(",")
    for too_new in ("metadata_csum_seed", "orphan_file", "casefold", "encrypt"):
        assert too_new not in words


def test_a_journal_is_what_ext3_has_and_ext2_has_not() -> None:
    (ext2, _mkfs), (ext3, _mkfs3) = (
        formatted(fs(1, "/", kind)) for kind in (FilesystemType.EXT2, FilesystemType.EXT3)
    )
    assert ext3 == ext2.replace("ext2_features", "ext3_features") + ",has_journal"
    assert ext2.split(",")[1:] == [
        *("ext_attr", "resize_inode", "dir_index", "filetype", "sparse_super", "large_file")
    ]


def test_swap_first_and_nothing_for_what_is_not_made() -> None:
    lines = formatted(fs(1, "/", XFS), fs(2, "swap", SWAP), fs(3, "/k", EXT4, format=False))
    assert [line.split()[0] for line in lines] == ["mkswap", "mkfs.xfs"]


def test_mounts_go_from_the_outside_in() -> None:
    lines = mounted(
        fs(1, "/var/lib/x", XFS),
        fs(2, "/var-lib", XFS),
        fs(3, "/", EXT4),
        fs(4, "swap", SWAP),
        Mount(50, "proc", "/proc", "proc"),
    )
    assert lines == [
        "swapon /dev/vda4",
        "mkdir -p /a",
        "mount -t ext4 /dev/vda3 /a",
        "mkdir -p /a/var/lib/x",
        "mount -t xfs /dev/vda1 /a/var/lib/x",
        "mkdir -p /a/var-lib",
        "mount -t xfs /dev/vda2 /a/var-lib",
    ]


def test_a_directory_is_mounted_before_what_lies_in_it() -> None:
    lines = mounted(fs(1, "/var/lib", XFS), fs(2, "/var", XFS), fs(3, "/", XFS))
    assert [line.split()[-1] for line in lines if line.startswith("mount")] == [
        "/a",
        "/a/var",
        "/a/var/lib",
    ]


def test_a_folder_may_have_any_name() -> None:
    lines = mounted(fs(1, "/srv/X", XFS), fs(2, "/srv", XFS), fs(3, "/", XFS))
    assert [line.split()[-1] for line in lines if line.startswith("mount")] == [
        "/a",
        "/a/srv",
        "/a/srv/X",
    ]


def btrfs(*subvolumes: Subvolume, options: str = "defaults") -> Filesystem:
    return fs(1, "/", FilesystemType.BTRFS, subvolumes=subvolumes, options=options)


def test_subvolumes_are_made_from_the_outside_in() -> None:
    names = ("x/y/z", "@/home", "x/y/a", "@")
    lines = formatted(btrfs(*(Subvolume(name) for name in names)))
    assert lines[1:] == [
        "mkdir -p /a",
        "mount -t btrfs /dev/vda1 /a",
        "btrfs --quiet subvolume create /a/@",
        "btrfs --quiet subvolume create /a/@/home",
        "mkdir -p /a/x/y",
        "btrfs --quiet subvolume create /a/x/y/a",
        "btrfs --quiet subvolume create /a/x/y/z",
        "umount /a",
    ]


def test_a_subvolume_is_mounted_as_itself_whatever_the_options_say() -> None:
    root = btrfs(
        Subvolume("@", "/"),
        Subvolume("@home", "/home", "defaults"),
        Subvolume("@only-made"),
        options="defaults,noatime,subvol=@old,subvolid=5,ssd",
    )
    assert mounted(root) == [
        "mkdir -p /a",
        "mount -t btrfs -o subvol=/@,noatime,ssd /dev/vda1 /a",
        "mkdir -p /a/home",
        "mount -t btrfs -o subvol=/@home /dev/vda1 /a/home",
    ]
    assert fstab(root) == [
        "UUID=$UUID_root / btrfs subvol=/@,noatime,ssd 0 0",
        "UUID=$UUID_root /home btrfs subvol=/@home 0 0",
    ]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ("defaults", ""),
        ("ro,noauto,errors=remount-ro", ""),
        ("noatime,ro,data=ordered", "-o noatime,data=ordered "),
        ("nodev,nosuid,noexec,nofail,x-systemd.automount,user", ""),
        ("umask=0077,_netdev", "-o umask=0077 "),
        ("rw,auto,sync,dirsync,users,nouser,owner,group", ""),
        ("usrquota,grpquota,quota,noquota,usrjquota=a,grpjquota=b,jqfmt=vfsv1", ""),
        ("X-mount.mkdir,comment=x,noatime", "-o noatime "),
    ],
)
def test_options_that_would_hinder_the_install_are_left_out(options: str, kept: str) -> None:
    (_mkdir, mount) = mounted(fs(1, "/", EXT4, options=options))
    assert mount == f"mount -t ext4 {kept}/dev/vda1 /a"


def test_fstab() -> None:
    assert fstab(
        Comment(1, "# $HOME `x` \\"),
        fs(1, "/", EXT4, options="errors=remount-ro", fsck_pass=1),
        fs(2, "/boot", EXT4, mount_source="LABEL=bo ot", dump=1),
        Comment(25, ""),
        fs(3, "/k", XFS, format=False),
        fs(4, "swap", SWAP, mount_source="UUID=12345678-1234-1234-1234-123456789012"),
        Mount(50, "//srv/a b", "/m\tx#", "cifs", "ro", 0, 2),
        Mount(60, "\\\\srv", "/y", "cifs"),
    ) == [
        "# \\$HOME \\`x\\` \\\\",
        "UUID=$UUID_root / ext4 errors=remount-ro 0 1",
        "LABEL=bo\\\\040ot /boot ext4 defaults 1 0",
        "",
        "/dev/vda3 /k xfs defaults 0 0",
        "UUID=12345678-1234-1234-1234-123456789012 none swap defaults 0 0",
        "//srv/a\\\\040b /m\\\\011x\\\\043 cifs ro 0 2",
        "\\\\134\\\\134srv /y cifs defaults 0 0",
    ]
