"""Facts to layouts: what is kept, what is not, and what cannot be a layout yet."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from si.client.record import BootFacts, Facts, Swap, parse_facts
from si.errors import DocumentInvalid
from si.layout.infer import infer_layout
from si.layout.inventory import take_inventory
from si.layout.model import (
    Bootloader,
    Comment,
    Filesystem,
    FilesystemType,
    Firmware,
    Fixed,
    Flag,
    LabelType,
    Mount,
    PartitionKind,
    Rest,
)

MACHINES = Path(__file__).parents[2] / "machines"
MIB = 1024 * 1024


def machine(name: str) -> Facts:
    return parse_facts((MACHINES / f"{name}.json").read_bytes(), name)


def with_lsblk(facts: Facts, changes: dict[str, dict[str, Any]]) -> Facts:
    """The facts with fields of lsblk changed, by device path."""
    tree = json.loads(json.dumps(facts.lsblk))

    def visit(nodes: list[dict[str, Any]]) -> None:
        for node in nodes:
            node.update(changes.get(node["path"], {}))
            visit(node.get("children", []))

    visit(tree["blockdevices"])
    return dataclasses.replace(facts, lsblk=tree)


def obstacles(facts: Facts) -> list[str]:
    with pytest.raises(DocumentInvalid) as caught:
        infer_layout(facts)
    assert caught.value.hint is not None
    return [problem.message for problem in caught.value.problems]


def test_a_virtual_machine() -> None:
    layout = infer_layout(machine("debian-virtio-bios"))
    (disk,) = layout.disks
    assert (disk.device, disk.label, disk.capacity) == (
        "/dev/vda",
        LabelType.MSDOS,
        4096 * MIB,
    )
    assert [part.size for part in disk.partitions] == [
        Fixed(256 * MIB),
        Rest(),
        Fixed(839 * MIB),
    ]
    assert [part.flags for part in disk.partitions] == [(Flag.BOOT,), (), ()]
    assert [part.type_id for part in disk.partitions] == [None, None, None]
    assert layout.bootloader == Bootloader("grub2", Firmware.LEGACY, ("/dev/vda",))


def test_fstab_keeps_its_lines_and_order() -> None:
    layout = infer_layout(machine("debian-virtio-bios"))
    kinds = [type(entry) for entry in layout.entries]
    assert kinds == [Comment] * 3 + [Filesystem] * 3 + [Mount] * 2
    assert [entry.order for entry in layout.entries] == [10, 20, 30, 40, 50, 60, 70, 80]
    root = layout.mounted_at("/")
    assert isinstance(root, Filesystem)
    assert (root.options, root.dump, root.fsck_pass) == ("errors=remount-ro", 0, 1)
    assert layout.entries[6] == Mount(70, "/dev/sr0", "/media/cdrom0", "udf,iso9660", "user,noauto")


def test_uuids_are_never_copied_labels_are() -> None:
    facts = machine("debian-virtio-bios")
    layout = infer_layout(facts)
    assert all(filesystem.chosen_uuid is None for filesystem in layout.filesystems)
    root = layout.filesystems[0]
    assert (root.label, root.mount_source) == ("system", None)
    logical = infer_layout(machine("sata-logical-bios"))
    boot = logical.mounted_at("/boot")
    assert isinstance(boot, Filesystem)
    assert (boot.label, boot.mount_source) == (None, "LABEL=boot")


def test_logical_partitions_and_fat16() -> None:
    layout = infer_layout(machine("sata-logical-bios"))
    (disk,) = layout.disks  # /dev/sdb holds nothing that is mounted
    assert [(part.number, part.kind) for part in disk.partitions] == [
        (1, PartitionKind.PRIMARY),
        (2, PartitionKind.PRIMARY),
        (3, PartitionKind.EXTENDED),
        (5, PartitionKind.LOGICAL),
        (6, PartitionKind.LOGICAL),
        (7, PartitionKind.LOGICAL),
    ]
    assert [part.number for part in disk.partitions if isinstance(part.size, Rest)] == [3, 7]
    # parted gives FAT16 the type e, so c must be asked for; the others come by themselves.
    assert [part.type_id for part in disk.partitions] == [None, "0c", None, None, None, None]
    tools = layout.mounted_at("/srv/tools")
    assert isinstance(tools, Filesystem)
    assert (tools.type, tools.mkfs_opts) == (FilesystemType.VFAT, "-F 16")
    assert layout.mounted_at("/srv/projects of all") is not None


def test_gpt_without_udev() -> None:
    """lsblk knows no file systems there; blkid does."""
    layout = infer_layout(machine("nvme-gpt-bios"))
    (disk,) = layout.disks
    assert disk.label is LabelType.GPT
    assert disk.partitions[0].flags == (Flag.BIOS_GRUB,)
    assert [part.name for part in disk.partitions] == [None, "boot", "swap", "root"]
    assert disk.partitions[3].type_id == "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
    assert [(f.device, f.mount_point) for f in layout.filesystems] == [
        ("/dev/nvme0n1p4", "/"),
        ("/dev/nvme0n1p2", "/boot"),
        ("/dev/nvme0n1p3", "swap"),  # active, but in no fstab
    ]


def test_uefi() -> None:
    layout = infer_layout(machine("nvme-gpt-uefi"))
    assert layout.bootloader == Bootloader("grub2", Firmware.EFI)
    assert layout.disks[0].partitions[0].flags == (Flag.ESP,)
    esp = layout.mounted_at("/boot/efi")
    assert isinstance(esp, Filesystem)
    assert esp.mkfs_opts == ""


def test_what_is_made_of_a_partition_is_told() -> None:
    volume = {"name": "mpatha", "path": "/dev/mapper/mpatha", "type": "mpath", "size": 1}
    facts = with_lsblk(
        machine("debian-virtio-bios"),
        {"/dev/vda2": {"children": [volume], "fstype": "mpath_member"}},
    )
    assert obstacles(facts) == [
        "/dev/vda2 holds mpath /dev/mapper/mpatha, which is not supported yet"
    ]


def test_a_file_system_that_cannot_be_made_is_told() -> None:
    facts = with_lsblk(machine("debian-virtio-bios"), {"/dev/vda2": {"fstype": "bcachefs"}})
    assert obstacles(facts) == ["/dev/vda2 (/) is bcachefs, which is not supported yet"]


def test_all_obstacles_come_at_once() -> None:
    facts = with_lsblk(
        machine("debian-virtio-bios"),
        {"/dev/vda2": {"fstype": "bcachefs"}, "/dev/vda1": {"fstype": "f2fs"}},
    )
    assert len(obstacles(facts)) == 2


def test_a_disk_without_a_table_is_told() -> None:
    facts = dataclasses.replace(machine("debian-virtio-bios"), sfdisk={})
    assert obstacles(facts) == ["no disk of the golden client has anything mounted"]
    facts = dataclasses.replace(
        facts,
        findmnt={"filesystems": [{"target": "/", "source": "/dev/vda", "fstype": "ext4"}]},
    )
    assert obstacles(facts) == [
        "/dev/vda has no partition table, which is not supported yet: msdos and gpt are"
    ]


def test_a_swap_file_is_only_a_line() -> None:
    facts = machine("debian-virtio-bios")
    facts = dataclasses.replace(
        facts,
        fstab=facts.fstab + "/swapfile none swap sw 0 0\n",
        swaps=(*facts.swaps, Swap("/swapfile", "file", 4096, 0, -3)),
    )
    assert infer_layout(facts).entries[-1] == Mount(90, "/swapfile", "swap", "swap", "sw")


def test_no_grub() -> None:
    facts = dataclasses.replace(machine("debian-virtio-bios"), boot=BootFacts("none", (), ""))
    assert infer_layout(facts).bootloader is None


def test_grub_on_a_disk_that_is_left_out() -> None:
    facts = machine("sata-logical-bios")
    facts = dataclasses.replace(facts, boot=BootFacts("grub", ("/dev/sda", "/dev/sdb"), ""))
    bootloader = infer_layout(facts).bootloader
    assert bootloader is not None
    assert bootloader.devices == ("/dev/sda",)


def with_type(facts: Facts, node: str, **fields: str) -> Facts:
    """The facts with fields of one partition in sfdisk's table changed."""
    tables = json.loads(json.dumps(facts.sfdisk))
    for table in tables.values():
        for found in table["partitiontable"]["partitions"]:
            if found["node"] == node:
                found.update(fields)
    return dataclasses.replace(facts, sfdisk=tables)


@pytest.mark.parametrize(
    ("type_id", "flags", "kept"),
    [
        ("83", (), None),
        ("ef", (Flag.ESP,), None),
        ("EF", (Flag.ESP,), None),
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


def test_systemd_boot_and_what_starts_it() -> None:
    facts = dataclasses.replace(machine("nvme-gpt-uefi"), boot=BootFacts("systemd-boot", (), ""))
    assert infer_layout(facts).bootloader == Bootloader("systemd", Firmware.EFI)


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
