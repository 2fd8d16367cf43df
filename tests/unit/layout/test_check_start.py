"""Whether firmware, boot loader and kernel find one another, on more than one disk."""

from __future__ import annotations

import pytest

from si.layout.check_boot import boot_devices, boot_problems, boot_warnings
from si.layout.model import (
    Bootloader,
    Crypt,
    Disk,
    Filesystem,
    FilesystemType,
    Firmware,
    Fixed,
    Flag,
    LabelType,
    Layout,
    Partition,
    Raid,
    RaidLevel,
)

GIB = 1024**3
EFI = Bootloader("grub2", Firmware.EFI, source_line=7)
EXT4, VFAT = FilesystemType.EXT4, FilesystemType.VFAT


def disk(device: str, *, esp: bool = True, line: int = 0) -> Disk:
    """An ESP, or what could be one, and a partition for a half of /boot."""
    parts = (
        Partition(1, Fixed(GIB), flags=(Flag.ESP,) if esp else ()),
        Partition(2, Fixed(GIB)),
    )
    return Disk(device, LabelType.GPT, parts, source_line=line)


def mirror(device: str, number: int, metadata: str = "1.2") -> Raid:
    members = (f"/dev/sda{number}", f"/dev/sdb{number}")
    return Raid(device, RaidLevel.MIRROR, members, metadata=metadata, source_line=5)


ROOT = Filesystem(10, "/dev/md2", "/", EXT4, source_line=8)


@pytest.mark.parametrize("metadata", ["0.90", "1.0", "1.1", "1.2"])
def test_firmware_reads_a_member_whose_records_are_at_its_end(metadata: str) -> None:
    esp = Filesystem(20, "/dev/md1", "/boot/efi", VFAT)
    raids = (mirror("/dev/md1", 1, metadata), mirror("/dev/md2", 2))
    layout = Layout((disk("/dev/sda"), disk("/dev/sdb")), (ROOT, esp), EFI, raids)
    told = [
        (
            5,
            f"{path} is an ESP in /dev/md1, but firmware reads no member of it: "
            'write metadata="1.0"',
        )
        for path in ("/dev/sda1", "/dev/sdb1")
    ]
    assert list(boot_problems(layout)) == ([] if metadata in ("0.90", "1.0") else told)


def test_an_esp_on_one_of_two_disks_is_warned_of() -> None:
    esp = Filesystem(20, "/dev/sda1", "/boot/efi", VFAT)
    disks = (disk("/dev/sda"), disk("/dev/sdb", esp=False, line=4))
    layout = Layout(disks, (ROOT, esp), EFI, (mirror("/dev/md2", 2),))
    assert list(boot_problems(layout)) == []
    assert list(boot_warnings(layout)) == [
        (
            4,
            "/dev/sdb holds a part of /boot, but no ESP: without the other disks it cannot start",
        )
    ]
    both = Layout((disk("/dev/sda"), disk("/dev/sdb")), (ROOT, esp), EFI, layout.raids)
    assert list(boot_warnings(both)) == []


def test_without_a_root_the_rest_is_checked_nevertheless() -> None:
    legacy = Bootloader("grub2", Firmware.LEGACY, ("/dev/sda1",), source_line=7)
    ((line, text),) = boot_problems(Layout((disk("/dev/sda"),), (), legacy))
    assert (line, text) == (7, "<target> /dev/sda1 is a partition: name the whole disk")


@pytest.mark.parametrize("loader", [EFI, None])
def test_an_esp_that_nothing_makes(loader: Bootloader | None) -> None:
    layout = Layout((disk("/dev/sda"), disk("/dev/sdb")), (ROOT,), loader, (mirror("/dev/md2", 2),))
    (found,) = boot_problems(layout)
    assert found[0] == (1 if loader is None else 7)
    assert found[1].startswith("no <fsinfo> for the ESP /dev/sda1")


def test_it_may_be_the_second_esp_that_is_mounted() -> None:
    esp = Filesystem(20, "/dev/sdb1", "/boot/efi", VFAT)
    layout = Layout(
        (disk("/dev/sda"), disk("/dev/sdb")), (ROOT, esp), EFI, (mirror("/dev/md2", 2),)
    )
    assert list(boot_problems(layout)) == []


def test_a_disk_of_data_needs_nothing_to_start_from() -> None:
    disks = (disk("/dev/sda", esp=False, line=3), disk("/dev/sdb", esp=False, line=5))
    root = Filesystem(10, "/dev/sdb2", "/", EXT4)
    assert [line for line, _text in boot_problems(Layout(disks, (root,)))] == [5]


def test_the_entry_that_is_started_anyway_is_not_warned_of() -> None:
    for entry, warnings in ((None, 0), ("0", 0), ("1", 1)):
        loader = Bootloader("grub2", Firmware.LEGACY, default_entry=entry)
        assert len(list(boot_warnings(Layout((), (), loader)))) == warnings


def test_boot_of_its_own_beside_an_encrypted_root_is_well() -> None:
    crypt = Crypt("c", "/dev/sda2", source_line=6)
    root = Filesystem(10, "/dev/mapper/c", "/", EXT4, source_line=8)
    esp = Filesystem(20, "/dev/sda1", "/boot/efi", VFAT)
    boot = Filesystem(30, "/dev/sdb2", "/boot", EXT4)
    disks = (disk("/dev/sda"), disk("/dev/sdb", esp=False))
    assert list(boot_problems(Layout(disks, (root, esp, boot), EFI, crypts=(crypt,)))) == []
    (found,) = boot_problems(Layout(disks, (root, esp), EFI, crypts=(crypt,)))
    assert found[0] == 8
    assert "/ lies in /dev/mapper/c, which is encrypted" in found[1]


def test_every_disk_below_boot_gets_the_loader() -> None:
    disks = tuple(disk(f"/dev/sd{letter}", esp=False) for letter in "abc")
    raids = (mirror("/dev/md2", 2),)
    assert boot_devices(Layout(disks, (ROOT,), None, raids)) == ("/dev/sda", "/dev/sdb")
    boot = Filesystem(20, "/dev/sdc2", "/boot", EXT4)
    assert boot_devices(Layout(disks, (ROOT, boot), None, raids)) == ("/dev/sdc",)
    assert boot_devices(Layout(disks, ())) == ()
