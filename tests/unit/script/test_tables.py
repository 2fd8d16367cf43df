"""What parted is told of each partition, and what is asked of tables that are kept."""

from __future__ import annotations

import re

import pytest

from si.layout.model import (
    MIB,
    Disk,
    DiskRule,
    Filesystem,
    FilesystemType,
    Fixed,
    Flag,
    LabelType,
    Layout,
    Partition,
    Percent,
    Rest,
    Size,
)
from si.script.render import render_steps
from si.script.steps import Call
from si.script.tables import kept_steps, partition_steps

GPT = LabelType.GPT


def script(disk: Disk, *filesystems: Filesystem) -> str:
    return render_steps(tuple(partition_steps(disk, Layout((disk,), filesystems))))


@pytest.mark.parametrize(
    ("flags", "kind", "told"),
    [
        ((Flag.BOOT,), FilesystemType.VFAT, ["esp"]),
        ((Flag.BOOT,), FilesystemType.EXT4, ["legacy_boot"]),
        ((Flag.BOOT,), None, ["legacy_boot"]),
        ((Flag.BOOT, Flag.ESP), None, ["esp"]),
        ((Flag.ESP, Flag.LBA), FilesystemType.VFAT, ["esp"]),
        ((Flag.SWAP, Flag.ROOT), None, []),
    ],
)
def test_flags_of_gpt(
    flags: tuple[Flag, ...], kind: FilesystemType | None, told: list[str]
) -> None:
    """Where "boot" of older documents means the ESP, or what a BIOS starts from."""
    disk = Disk("/dev/sda", GPT, (Partition(1, Fixed(64 * MIB), flags=flags),))
    made = (Filesystem(10, "/dev/sda1", "/x", kind),) if kind is not None else ()
    assert re.findall(r"set 1 (\S+) on", script(disk, *made)) == told


@pytest.mark.parametrize(
    ("flags", "kind", "word"),
    [
        ((Flag.SWAP,), None, " linux-swap 1MiB"),
        ((Flag.SWAP,), FilesystemType.EXT4, " ext4 1MiB"),
        ((), FilesystemType.SWAP, " linux-swap 1MiB"),
        ((), FilesystemType.VFAT, " fat32 1MiB"),
        ((), None, " 1MiB"),
    ],
)
def test_what_parted_takes_a_partition_for(
    flags: tuple[Flag, ...], kind: FilesystemType | None, word: str
) -> None:
    disk = Disk("/dev/sda", LabelType.MSDOS, (Partition(1, Fixed(MIB), flags=flags),))
    made = (Filesystem(10, "/dev/sda1", "/x", kind),) if kind is not None else ()
    assert f"mkpart primary{word} 2MiB" in script(disk, *made)


@pytest.mark.parametrize(
    "device", ["/dev/cciss/c0d0", "/dev/disk/by-id/ata-X_1", "/dev/si/my.disk"]
)
def test_every_disk_has_variables_that_a_shell_takes(device: str) -> None:
    sizes: tuple[Size, ...] = (Percent(5000), Fixed(MIB))
    disk = Disk(device, GPT, tuple(Partition(n, size) for n, size in enumerate(sizes, 1)))
    text = script(disk)
    prefix = "disk_" + device.removeprefix("/dev/").translate(str.maketrans("/-.", "___"))
    assert set(re.findall(r"^(\S+)=", text, re.MULTILINE)) == {
        f"{prefix}_bytes",
        f"{prefix}_end",
        f"{prefix}_share1",
    }


def test_a_kept_disk_by_rule_has_the_names_of_its_partitions_first() -> None:
    parts = (Partition(1, Fixed(64 * MIB)), Partition(3, Rest(), least=30 * MIB - 1, keep=True))
    disk = Disk("/dev/si/x", GPT, parts, rule=DiskRule())
    assert list(kept_steps(disk, Layout((disk,), ()))) == [
        Call("link_partitions", ("/dev/si/x", "1", "3")),
        Call("check_kept_disk", ("/dev/si/x", "gpt", "1=64", "3=30-")),
    ]


def test_a_kept_partition_may_be_as_the_golden_clients_was_made() -> None:
    """Which was a little smaller than its document says."""
    parts = (Partition(1, Fixed(500 * MIB)), Partition(2, Fixed(600 * MIB)))
    disk = Disk("/dev/sda", GPT, parts, capacity=1101 * MIB, keep=True)
    (call,) = kept_steps(disk, Layout((disk,), ()))
    assert call == Call("check_kept_disk", ("/dev/sda", "gpt", "1=500", "2=599"))
