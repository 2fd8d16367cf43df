"""How much room there is in a device, and how much must be in it, through every layer."""

from __future__ import annotations

from pathlib import Path

import pytest

from si.layout.capacity import EXTENT, LUKS, capacity, least_bytes, needed_extents
from si.layout.check_table import least_sizes
from si.layout.document import load_layout
from si.layout.model import Fixed, Layout, LogicalVolume, Percent, Rest, VolumeGroup

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
        ([LogicalVolume("a", Percent(10_000))], 1),
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
