"""Which device is meant by each of the names that fstab and findmnt have for it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from si.client.record import Swap
from si.layout.inventory import FoundPartition, take_inventory
from tests.unit.layout.stacked import GIB, encrypted, mirrored, node
from tests.unit.layout.test_infer import machine, with_lsblk

NAMES = {"uuid": "0A0A-1111", "label": "X root X", "partuuid": "AB-02", "partlabel": "Root"}


@pytest.mark.parametrize(
    "source",
    [
        "/dev/vda2",
        "UUID=0a0a-1111",
        'uuid="0A0A-1111"',
        "/dev/disk/by-uuid/0A0A-1111",
        "LABEL=X root X",
        'LABEL="X root X"',
        "/dev/disk/by-label/X root X",
        "PARTUUID=ab-02",
        "/dev/disk/by-partuuid/AB-02",
        "PARTLABEL=Root",
        "/dev/disk/by-partlabel/Root",
    ],
)
def test_every_way_to_name_a_device(source: str) -> None:
    changes = {"/dev/vda2": NAMES, "/dev/vda3": {"label": "X root"}}
    inventory = take_inventory(with_lsblk(machine("debian-virtio-bios"), changes))
    found = inventory.partition(source)
    assert found is not None
    assert found.path == "/dev/vda2"


@pytest.mark.parametrize(
    "source", ["LABEL=x root x", "LABEL= root ", "PARTLABEL=root", "UUID=0a0a", "proc", ""]
)
def test_what_names_no_device(source: str) -> None:
    inventory = take_inventory(with_lsblk(machine("debian-virtio-bios"), {"/dev/vda2": NAMES}))
    assert inventory.partition(source) is None


@pytest.mark.parametrize("fstype", ["linux_raid_member", "LVM2_member", "crypto_LUKS"])
def test_what_was_a_member_is_not_what_is_mounted(fstype: str) -> None:
    """Like a disk that was taken out of its mirror, and still has the name of the array."""
    stale = {"fstype": fstype, "uuid": "b-uuid", "label": "boot", "partuuid": "P", "children": []}
    inventory = take_inventory(with_lsblk(mirrored(), {"/dev/vdb2": stale}))
    for source, path in (
        ("UUID=b-uuid", "/dev/md0"),
        ("LABEL=boot", "/dev/md0"),
        ("PARTUUID=P", "/dev/vdb2"),
    ):
        found = inventory.partition(source)
        assert found is not None
        assert found.path == path


def test_volumes_as_lsblk_tells_them() -> None:
    facts = dataclasses.replace(mirrored(), swaps=(Swap("/dev/dm-1", "partition", 1, 0, -2),))
    inventory = take_inventory(facts)
    swap = inventory.partition("/dev/mapper/vg--sys-swap")
    assert swap == FoundPartition(
        path="/dev/vg-sys/swap",
        number=0,
        start=0,
        size=GIB,
        type_id="",
        bootable=False,
        legacy_boot=False,
        name="",
        fstype="swap",
        fsver="",
        label="",
        mount_points=("swap",),
        held_by=(),
    )


def test_a_path_may_hold_an_equals_sign() -> None:
    facts = with_lsblk(encrypted(), {"/dev/mapper/secret": {"path": "/dev/mapper/a=b"}})
    assert take_inventory(facts).partition("/dev/mapper/a=b") is not None


def test_partitions_of_an_array_do_not_hold_its_members() -> None:
    inner = node("/dev/md0p1", "part", GIB, "ext4")
    inventory = take_inventory(with_lsblk(mirrored(), {"/dev/md0": {"children": [inner]}}))
    member = inventory.partition("/dev/vda2")
    assert member is not None
    assert member.held_by == ("raid1 /dev/md0",)


def test_a_member_of_a_group_is_in_use_without_a_volume_on_it() -> None:
    idle: dict[str, Any] = {"fstype": "LVM2_member", "children": []}
    nothing: dict[str, Any] = {"fstype": None, "children": []}
    for told, in_use in ((idle, True), (nothing, False)):
        changes = {f"/dev/vdb{number}": nothing for number in (1, 2)} | {"/dev/vdb3": told}
        disk = take_inventory(with_lsblk(mirrored(), changes)).disks[1]
        assert disk.in_use is in_use


@pytest.mark.parametrize(("told", "sector"), [(4096, 4096), (None, 512)])
def test_tables_count_in_sectors(told: int | None, sector: int) -> None:
    facts = with_lsblk(machine("debian-virtio-bios"), {"/dev/vda": {"log-sec": None}})
    table = facts.sfdisk["/dev/vda"]["partitiontable"] | {"sectorsize": told}
    facts = dataclasses.replace(facts, sfdisk={"/dev/vda": {"partitiontable": table}})
    (disk, *_others) = take_inventory(facts).disks
    assert disk.sector == sector
    first = table["partitions"][0]
    assert (disk.partitions[0].start, disk.partitions[0].size) == (
        first["start"] * sector,
        first["size"] * sector,
    )


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
