"""Kernel arguments and what is told to GRUB."""

from __future__ import annotations

import pytest

from si.layout.model import (
    Bootloader,
    Disk,
    Entry,
    Filesystem,
    FilesystemType,
    Firmware,
    Fixed,
    LabelType,
    Layout,
    Partition,
)
from si.script.bootloader import bootloader_steps, kernel_arguments
from si.script.render import render_steps

ROOT = Filesystem(10, "/dev/vda2", "/", FilesystemType.EXT4)
BOOT = Filesystem(20, "/dev/vdb1", "/boot", FilesystemType.EXT4)
SWAP = Filesystem(30, "/dev/vda3", "swap", FilesystemType.SWAP)


def steps(*entries: Entry, bootloader: Bootloader | None = None, args: str = "") -> list[str]:
    parts = tuple(Partition(n, Fixed(2**30)) for n in range(1, 4))
    disks = tuple(Disk(device, LabelType.MSDOS, parts) for device in ("/dev/vda", "/dev/vdb"))
    layout = Layout(disks, entries, bootloader)
    return render_steps(bootloader_steps(layout, kernel_arguments(args))).splitlines()


@pytest.mark.parametrize(
    ("cmdline", "kept"),
    [
        ("", ()),
        ("BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet", ("quiet",)),
        ("root=/dev/vda2 rw initrd=/x resume=UUID=2 resume_offset=4 noresume", ()),
        ("console=tty0 console=ttyS0,115200", ("console=tty0", "console=ttyS0,115200")),
        ("rootdelay=5 row=1 rootfstype=ext4", ("rootdelay=5", "row=1", "rootfstype=ext4")),
        ('a="b c" d', ('a="b c"', "d")),
        ('dyndbg="file x +p;" ro', ('dyndbg="file x +p;"',)),
    ],
)
def test_what_survives_of_the_command_line(cmdline: str, kept: tuple[str, ...]) -> None:
    assert kernel_arguments(cmdline) == kept


def test_boot_of_its_own_and_swap() -> None:
    assert steps(ROOT, BOOT, SWAP, args="quiet x=$y") == [
        'write_grub_config /a "$UUID_root" "$UUID_boot" \'\' '
        '"quiet x=\\$y resume=UUID=$UUID_swap_vda3"',
        "rebuild_initramfs /a",
        "install_grub_bios /a /dev/vdb",
    ]


def test_boot_in_the_root_and_no_swap() -> None:
    assert steps(ROOT) == [
        'write_grub_config /a "$UUID_root" "$UUID_root" /boot "noresume"',
        "rebuild_initramfs /a",
        "install_grub_bios /a /dev/vda",
    ]


def test_disks_that_the_document_names() -> None:
    bootloader = Bootloader("grub2", Firmware.LEGACY, ("/dev/vdb", "/dev/vda"))
    assert steps(ROOT, bootloader=bootloader)[-1] == "install_grub_bios /a /dev/vdb /dev/vda"
    assert steps(ROOT, bootloader=Bootloader("grub2", Firmware.LEGACY))[-1].endswith(" /dev/vda")
