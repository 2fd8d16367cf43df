"""How much room there is in a device, and how much must be in it, through every layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from si.layout.capacity import EXTENT, LUKS, capacity, least_bytes, needed_extents, raid_share
from si.layout.check_table import least_sizes
from si.layout.document import load_layout
from si.layout.model import (
    Crypt,
    Disk,
    Filesystem,
    FilesystemType,
    Fixed,
    LabelType,
    Layout,
    LogicalVolume,
    Partition,
    Percent,
    Raid,
    RaidLevel,
    Rest,
    Size,
    VolumeGroup,
)

EXAMPLES = Path(__file__).parents[3] / "schemas/examples"
MIB = 1024**2
GIB = 1024**3


def example(name: str, *changes: tuple[str, str]) -> Layout:
    text = (EXAMPLES / f"{name}.xml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_layout(text, name)


@pytest.mark.parametrize(
    ("volumes", "extents"),
    [
        ([LogicalVolume("a", Fixed(GIB))], 256),
        ([LogicalVolume("a", Fixed(GIB + 1)), LogicalVolume("b", Rest())], 258),
        ([LogicalVolume("a", Fixed(GIB)), LogicalVolume("b", Percent(5000))], 512),
        ([LogicalVolume("a", Fixed(GIB), is_pool=True)], 258),
        (
            [
                LogicalVolume("a", Fixed(GIB), is_pool=True),
                LogicalVolume("t", Fixed(2**40), thin_pool="a"),
            ],
            258,
        ),
        (
            [
                LogicalVolume("t", Fixed(2**40), thin_pool="a"),
                LogicalVolume("a", Fixed(GIB), is_pool=True),
            ],
            258,
        ),
        ([LogicalVolume("a", Percent(10_000))], 1),
        ([LogicalVolume("a", Percent(9_999)), LogicalVolume("b", Fixed(EXTENT))], 10_000),
    ],
)
def test_extents_of_a_group(volumes: list[LogicalVolume], extents: int) -> None:
    assert needed_extents(VolumeGroup("g", ("/dev/a",), volumes=tuple(volumes))) == extents


def test_capacity_through_layers() -> None:
    levels = example("raid-levels")
    assert capacity("/dev/sda2", levels) == 8 * GIB
    member = 2 * GIB - (2 * GIB // 256 + 4 * MIB)
    assert capacity("/dev/md5", levels) == 2 * member
    quarter = GIB - (GIB // 256 + 4 * MIB)
    assert capacity("/dev/md10", levels) == 2 * quarter
    assert capacity("/dev/md/scratch", levels) is None
    luks = example("luks2", ('size="*"', 'size="1024"'))
    assert capacity("/dev/mapper/secret", luks) == GIB - LUKS
    lvm = example("luks2-lvm")
    assert capacity("/dev/office/swap", lvm) == GIB
    assert capacity("/dev/office/root", lvm) is None
    assert capacity("/dev/nowhere", lvm) is None


def partitions(**sizes: Size) -> Disk:
    """/dev/sda with partitions of these sizes, in this order."""
    parts = (Partition(number, size) for number, size in enumerate(sizes.values(), start=1))
    return Disk("/dev/sda", LabelType.GPT, tuple(parts))


def array(level: RaidLevel, *members: str) -> Raid:
    return Raid("/dev/md0", level, members)


@pytest.mark.parametrize(
    ("level", "members", "share"),
    [
        (RaidLevel.LINEAR, 3, 3),
        (RaidLevel.STRIPE, 3, 3),
        (RaidLevel.MIRROR, 3, 1),
        (RaidLevel.RAID4, 4, 3),
        (RaidLevel.RAID5, 4, 3),
        (RaidLevel.RAID6, 6, 4),
        (RaidLevel.RAID10, 6, 3),
        (RaidLevel.RAID10, 2, 1),
    ],
)
def test_members_worth_of_data(level: RaidLevel, members: int, share: int) -> None:
    assert raid_share(level, members) == share


@pytest.mark.parametrize("level", RaidLevel)
def test_too_few_members_still_give_a_number(level: RaidLevel) -> None:
    """They are a problem of its own, beside which the others must still be found."""
    assert raid_share(level, 1) == 1
    assert capacity("/dev/md0", Layout((), (), raids=(array(level),))) is None


def test_a_member_of_unknown_size_leaves_the_array_unknown() -> None:
    disk = partitions(a=Fixed(GIB), b=Rest())
    mirror = array(RaidLevel.MIRROR, "/dev/sda1", "/dev/sda2")
    assert capacity("/dev/md0", Layout((disk,), (), raids=(mirror,))) is None


def test_members_one_behind_the_other() -> None:
    disk = partitions(a=Fixed(GIB), b=Fixed(100 * GIB))
    linear = array(RaidLevel.LINEAR, "/dev/sda1", "/dev/sda2")
    # mdadm takes a share of a small member, and never more than 132 MiB.
    lost = GIB // 256 + 4 * MIB + 132 * MIB
    assert capacity("/dev/md0", Layout((disk,), (), raids=(linear,))) == 101 * GIB - lost


def test_no_room_is_left_in_what_is_smaller_than_the_header() -> None:
    crypt = Crypt("c", "/dev/sda1")
    layout = Layout((partitions(a=Fixed(LUKS // 2)),), (), crypts=(crypt,))
    assert capacity("/dev/mapper/c", layout) == 0


def test_a_member_takes_what_the_others_have_no_room_for() -> None:
    disk = partitions(a=Fixed(GIB), b=Rest(), c=Rest())
    volumes = (LogicalVolume("v", Fixed(3 * GIB)),)

    def least(*members: str) -> int:
        group = VolumeGroup("g", members, volumes=volumes)
        return least_bytes("/dev/sda2", Layout((disk,), (), volume_groups=(group,)))

    assert least("/dev/sda2") == 3 * GIB + EXTENT
    assert least("/dev/sda1", "/dev/sda2") == 2 * GIB + 2 * EXTENT
    assert least("/dev/sda1", "/dev/sda2", "/dev/sda3") == GIB + EXTENT // 2 + EXTENT


def test_fat32_has_its_least_number_of_clusters() -> None:
    """65525 clusters make a FAT a FAT32, so mkfs.vfat -F 32 wants more than 32 MiB."""
    esp = Filesystem(10, "/dev/sda1", "/boot/efi", FilesystemType.VFAT)
    assert least_bytes("/dev/sda1", Layout((partitions(a=Rest()),), (esp,))) > 65_525 * 512


ROOT = "/dev/vg-sys/root"


def test_it_reaches_the_partitions_below() -> None:
    mirror = example("raid1-lvm")
    for disk in mirror.disks:
        before, after = least_sizes(disk, mirror), least_sizes(disk, mirror, {ROOT: 3 * GIB})
        assert before[3] * MIB >= 512 * MIB + 2 * EXTENT
        assert 3 * GIB <= after[3] * MIB <= 3 * GIB + 768 * MIB
    luks = example("luks2")
    assert least_bytes("/dev/vda3", luks, {"/dev/mapper/secret": GIB}) == GIB + LUKS


def test_a_stripe_needs_half_on_each() -> None:
    levels = example("raid-levels")
    whole = least_bytes("/dev/md/scratch", levels, {"/dev/md/scratch": 10 * GIB})
    assert whole == 10 * GIB
    part = least_bytes("/dev/sda5", levels, {"/dev/md/scratch": 10 * GIB})
    assert 5 * GIB < part < 5 * GIB + 132 * MIB
