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
    swap = layout.filesystems[2]
    assert (swap.options, swap.dump, swap.fsck_pass) == ("defaults", 0, 0)


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


def test_systemd_boot_and_what_starts_it() -> None:
    facts = dataclasses.replace(machine("nvme-gpt-uefi"), boot=BootFacts("systemd-boot", (), ""))
    assert infer_layout(facts).bootloader == Bootloader("systemd", Firmware.EFI)
