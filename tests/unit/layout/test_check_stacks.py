"""Layers that stand on the wrong thing, or under a name that another one has."""

from __future__ import annotations

import pytest

from si.layout.check_layers import layer_problems, layer_warnings
from si.layout.model import (
    Crypt,
    Disk,
    Fixed,
    Flag,
    LabelType,
    Layout,
    LogicalVolume,
    Partition,
    PartitionKind,
    Raid,
    RaidLevel,
    VolumeGroup,
)
from tests.unit.layout.test_check_layers import find

GIB = 1024**3


def disk(device: str, *parts: Partition) -> Disk:
    usual = tuple(Partition(number, Fixed(GIB)) for number in (1, 2))
    return Disk(device, LabelType.MSDOS, parts or usual)


def raid(number: int, level: RaidLevel, *members: str) -> Raid:
    return Raid(f"/dev/md{number}", level, members, source_line=number)


def test_two_layers_of_one_name() -> None:
    second = '<crypt name="secret" dev="/dev/vda6"/>\n  <lvm>'
    assert "14: /dev/mapper/secret stands on line 13 already" in find(("  <lvm>", second))
    group = '<lvm_group name="sys" devices="/dev/vda6"><lv name="z" size="*"/></lvm_group></lvm>'
    assert "21: /dev/sys stands on line 15 already" in find(("</lvm>", group))


def test_names_that_are_missing_are_told_once() -> None:
    second = '<crypt dev="/dev/vda6"/>\n  <lvm>'
    found = find(("  <lvm>", second), ('<crypt name="secret"', "<crypt"))
    assert [line for line in found if "<crypt> needs name" in line]
    assert not [line for line in found if "already" in line]


@pytest.mark.parametrize(
    ("part", "what"),
    [
        (Partition(1, Fixed(GIB), PartitionKind.EXTENDED), "extended"),
        (Partition(1, Fixed(GIB), flags=(Flag.BIOS_GRUB,)), "bios_grub"),
    ],
)
def test_on_some_partitions_nothing_can_stand(part: Partition, what: str) -> None:
    layout = Layout((disk("/dev/sda", part),), (), crypts=(Crypt("c", "/dev/sda1", source_line=3),))
    assert list(layer_problems(layout)) == [
        (3, f"/dev/sda1 is the {what} partition: nothing else can stand on it")
    ]


def test_the_devices_that_there_are_are_named() -> None:
    crypt = Crypt("c", "/dev/sdz1", source_line=3)
    assert list(layer_problems(Layout((disk("/dev/sda"),), (), crypts=(crypt,)))) == [
        (3, "/dev/sdz1 is no device of this layout: /dev/sda1, /dev/sda2, /dev/mapper/c")
    ]
    group = VolumeGroup("g", ("/dev/sdz1",), source_line=3)
    assert (3, "/dev/sdz1 is no device of this layout: there is none") in list(
        layer_problems(Layout((), (), volume_groups=(group,)))
    )


def test_two_members_on_one_disk() -> None:
    disks = (disk("/dev/sda"), disk("/dev/sdb"))
    stripe = raid(1, RaidLevel.STRIPE, "/dev/sda1", "/dev/sda2")
    apart = raid(2, RaidLevel.MIRROR, "/dev/sda1", "/dev/sdb1")
    together = raid(3, RaidLevel.MIRROR, "/dev/sda1", "/dev/sda2")
    assert list(layer_warnings(Layout(disks, (), raids=(stripe, apart, together)))) == [
        (3, "/dev/md3 has two members on one disk: when it fails, both are lost")
    ]


def test_volumes_of_two_groups_may_have_one_name() -> None:
    groups = tuple(
        VolumeGroup(name, (f"/dev/sda{number}",), volumes=(LogicalVolume("v", Fixed(2**20)),))
        for number, name in enumerate(("a", "b"), 1)
    )
    assert list(layer_problems(Layout((disk("/dev/sda"),), (), volume_groups=groups))) == []
