"""Which device is meant by each of the names that fstab and findmnt have for it."""

from __future__ import annotations

import dataclasses

import pytest

from si.layout.inventory import take_inventory
from tests.unit.layout.test_infer import machine, with_lsblk

NAMES = {"uuid": "0A0A-1111", "label": "the root", "partuuid": "AB-02", "partlabel": "Root"}


@pytest.mark.parametrize(
    "source",
    [
        "/dev/vda2",
        "UUID=0a0a-1111",
        'uuid="0A0A-1111"',
        "/dev/disk/by-uuid/0A0A-1111",
        "LABEL=the root",
        'LABEL="the root"',
        "PARTUUID=ab-02",
        "/dev/disk/by-partuuid/AB-02",
        "PARTLABEL=Root",
        "/dev/disk/by-partlabel/Root",
    ],
)
def test_every_way_to_name_a_device(source: str) -> None:
    inventory = take_inventory(with_lsblk(machine("debian-virtio-bios"), {"/dev/vda2": NAMES}))
    found = inventory.partition(source)
    assert found is not None
    assert found.path == "/dev/vda2"


@pytest.mark.parametrize("source", ["LABEL=The Root", "PARTLABEL=root", "UUID=0a0a", "proc", ""])
def test_what_names_no_device(source: str) -> None:
    inventory = take_inventory(with_lsblk(machine("debian-virtio-bios"), {"/dev/vda2": NAMES}))
    assert inventory.partition(source) is None


def test_a_bind_mount_is_no_mount_of_the_device() -> None:
    facts = machine("debian-virtio-bios")
    mounts = [
        {"target": "/srv", "source": "/dev/vda1[/sub]", "fstype": "ext4"},
        {"target": "/", "source": "/dev/vda2", "fstype": "ext4"},
        {"target": "/home", "source": "/dev/vda2[/@home]", "fstype": "btrfs"},
        {"target": "/none", "fstype": "tmpfs"},
    ]
    inventory = take_inventory(dataclasses.replace(facts, findmnt={"filesystems": mounts}))
    (boot, root, swap) = inventory.disks[0].partitions
    assert boot.mount_points == ()
    assert root.mount_points == ("/", "/home")
    assert swap.mount_points == ("swap",)


def test_what_blkid_read_where_udev_told_nothing() -> None:
    unknown = dict.fromkeys(("uuid", "label", "fstype", "partlabel"))
    facts = with_lsblk(machine("debian-virtio-bios"), {"/dev/vda2": unknown})
    blkid = (
        "DEVNAME=/dev/vda1\nTYPE=ext2\n\n"
        "DEVNAME=/dev/vda2\nUUID=AB-1\nLABEL=a\\ b\nTYPE=xfs\n\nTYPE=ext4\n"
    )
    inventory = take_inventory(dataclasses.replace(facts, blkid=blkid))
    found = inventory.partition("LABEL=a b")
    assert found is not None
    assert (found.path, found.fstype, found.label) == ("/dev/vda2", "xfs", "a b")
    assert inventory.partition("UUID=ab-1") == found
    # What udev told counts.
    assert inventory.disks[0].partitions[0].fstype == "ext4"


def test_numbers_that_are_none_count_as_nothing() -> None:
    facts = machine("debian-virtio-bios")
    for wrong in (-1, "4096", None, 1.5):
        (disk, *_others) = take_inventory(with_lsblk(facts, {"/dev/vda": {"size": wrong}})).disks
        assert disk.size == 0


def test_sectors_are_those_of_the_disk() -> None:
    facts = machine("debian-virtio-bios")
    (disk, *_others) = take_inventory(with_lsblk(facts, {"/dev/vda": {"log-sec": 4096}})).disks
    assert disk.sector == 4096
    (disk, *_others) = take_inventory(with_lsblk(facts, {"/dev/vda": {"log-sec": None}})).disks
    assert disk.sector == 512
