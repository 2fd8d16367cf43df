"""Partition types and FAT sizes of a golden client: what is kept, and what comes by itself."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from si.client.record import Facts
from si.layout.infer import infer_layout
from si.layout.model import Filesystem, FilesystemType, Fixed, Flag, PartitionKind, Rest
from tests.unit.layout.test_infer import machine, with_lsblk


def with_type(facts: Facts, path: str, **fields: Any) -> Facts:
    """The facts with fields of one partition in sfdisk's table changed."""
    tables = json.loads(json.dumps(facts.sfdisk))
    for table in tables.values():
        for found in table["partitiontable"]["partitions"]:
            if found["node"] == path:
                found.update(fields)
    return dataclasses.replace(facts, sfdisk=tables)


@pytest.mark.parametrize(
    ("type_id", "flags", "kept"),
    [
        ("83", (), None),
        ("ef", (Flag.ESP,), None),
        ("EF", (Flag.ESP,), None),
        ("0xEF", (Flag.ESP,), None),
        ("41", (Flag.PREP,), None),
        ("fd", (Flag.RAID,), None),
        ("8e", (Flag.LVM,), None),
        ("7", (), "07"),
        ("0x27", (), "27"),
        ("c", (), "0c"),
        ("82", (), "82"),
    ],
)
def test_types_of_msdos(type_id: str, flags: tuple[Flag, ...], kept: str | None) -> None:
    facts = with_type(machine("debian-virtio-bios"), "/dev/vda1", type=type_id)
    part = infer_layout(facts).disks[0].partitions[0]
    assert (part.flags, part.type_id) == ((Flag.BOOT, *flags), kept)


@pytest.mark.parametrize(
    ("type_id", "flags", "kept"),
    [
        ("0fc63daf-8483-4772-8e79-3d69d8477de4", (), None),
        ("9E1A2D38-C612-4316-AA26-8B49521E5A8B", (Flag.PREP,), None),
        ("A19D880F-05FC-4D3B-A006-743F0F84911E", (Flag.RAID,), None),
        ("E6D6D379-F507-44C2-A23C-238F2A3DF928", (Flag.LVM,), None),
        ("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", (), "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"),
        ("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", (), "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"),
    ],
)
def test_types_of_gpt(type_id: str, flags: tuple[Flag, ...], kept: str | None) -> None:
    facts = with_type(machine("nvme-gpt-bios"), "/dev/nvme0n1p2", type=type_id)
    part = infer_layout(facts).disks[0].partitions[1]
    assert (part.flags, part.type_id) == (flags, kept)


def test_what_swap_and_vfat_get_anyway_is_not_written() -> None:
    facts = machine("debian-virtio-bios")
    assert infer_layout(facts).disks[0].partitions[2].type_id is None
    facts = with_type(facts, "/dev/vda3", type="83")
    assert infer_layout(facts).disks[0].partitions[2].type_id == "83"
    vfat = with_lsblk(machine("debian-virtio-bios"), {"/dev/vda1": {"fstype": "vfat"}})
    for type_id, fsver, kept in (("c", "FAT32", None), ("e", "FAT32", "0e"), ("e", "FAT16", None)):
        facts = with_lsblk(vfat, {"/dev/vda1": {"fsver": fsver}})
        facts = with_type(facts, "/dev/vda1", type=type_id)
        assert infer_layout(facts).disks[0].partitions[0].type_id == kept


def test_vfat_on_gpt_is_basic_data_anyway() -> None:
    facts = with_lsblk(machine("nvme-gpt-bios"), {"/dev/nvme0n1p2": {"fstype": "vfat"}})
    usual = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
    facts = with_type(facts, "/dev/nvme0n1p2", type=usual)
    assert infer_layout(facts).disks[0].partitions[1].type_id is None


def test_the_fourth_partition_of_msdos_is_primary() -> None:
    facts = with_type(machine("debian-virtio-bios"), "/dev/vda3", node="/dev/vda4")
    part = infer_layout(facts).disks[0].partitions[2]
    assert (part.number, part.kind) == (4, PartitionKind.PRIMARY)


def without(facts: Facts, *numbers: str) -> Facts:
    """The facts without some partitions of the first disk."""
    (path, table), *_others = facts.sfdisk.items()
    partitions = table["partitiontable"]["partitions"]
    left = [found for found in partitions if found["node"][-1] not in numbers]
    changed = {"partitiontable": {**table["partitiontable"], "partitions": left}}
    return dataclasses.replace(facts, sfdisk={**facts.sfdisk, path: changed})


@pytest.mark.parametrize(
    ("removed", "growing"),
    [("", [3, 7]), ("567", [2]), ("7", [3, 6]), ("123", [7])],
)
def test_what_grows_is_the_last_that_can(removed: str, growing: list[int]) -> None:
    """The extended partition, where it is the last one and holds something."""
    (disk,) = infer_layout(without(machine("sata-logical-bios"), *removed)).disks
    assert [part.number for part in disk.partitions if isinstance(part.size, Rest)] == growing


def test_a_size_that_is_none_is_a_sector() -> None:
    facts = with_lsblk(machine("debian-virtio-bios"), {"/dev/vda1": {"size": None}})
    facts = with_type(facts, "/dev/vda1", size=0)
    assert infer_layout(facts).disks[0].partitions[0].size == Fixed(512)


@pytest.mark.parametrize(("found", "sector"), [(512, None), (4096, 4096)])
def test_sectors_of_another_size_are_kept(found: int, sector: int | None) -> None:
    facts = with_lsblk(machine("debian-virtio-bios"), {"/dev/vda": {"log-sec": found}})
    assert infer_layout(facts).disks[0].sector == sector


@pytest.mark.parametrize("type_id", ["5", "f", "F", "85"])
def test_every_kind_of_extended_partition(type_id: str) -> None:
    facts = with_type(machine("sata-logical-bios"), "/dev/sda3", type=type_id)
    part = infer_layout(facts).disks[0].partitions[2]
    assert (part.kind, part.type_id) == (PartitionKind.EXTENDED, None)


def test_a_partition_that_a_bios_starts_from_on_gpt() -> None:
    facts = with_type(machine("nvme-gpt-bios"), "/dev/nvme0n1p2", attrs="LegacyBIOSBootable")
    assert infer_layout(facts).disks[0].partitions[1].flags == (Flag.LEGACY_BOOT,)


@pytest.mark.parametrize(
    ("type_id", "fsver", "options"),
    [
        *((type_id, "", "-F 16") for type_id in ("4", "6", "e", "14", "16", "1e")),
        ("c", "", ""),
        ("e", "FAT32", ""),
        ("c", "FAT16", "-F 16"),
        ("c", "FAT12", "-F 12"),
    ],
)
def test_tables_of_fat(type_id: str, fsver: str, options: str) -> None:
    changes = {"/dev/vda1": {"fstype": "vfat", "fsver": fsver}}
    facts = with_type(with_lsblk(machine("debian-virtio-bios"), changes), "/dev/vda1", type=type_id)
    boot = infer_layout(facts).mounted_at("/boot")
    assert isinstance(boot, Filesystem)
    assert (boot.type, boot.mkfs_opts) == (FilesystemType.VFAT, options)
