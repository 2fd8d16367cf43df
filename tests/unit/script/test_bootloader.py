"""Kernel arguments and what is told to GRUB."""

from __future__ import annotations

from dataclasses import replace

import pytest

from si.layout.model import (
    Bootloader,
    Disk,
    Entry,
    Filesystem,
    FilesystemType,
    Firmware,
    Fixed,
    Flag,
    LabelType,
    Layout,
    Partition,
    Subvolume,
)
from si.script.bootloader import bootloader_steps, esp_mount_points, kernel_arguments
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
        ("rd.luks.uuid=1 rd.lvm.lv=a/b rd.md.uuid=2 rd.shell", ("rd.shell",)),
        ("cryptdevice=x:y cryptopts=z rootflags=subvol=@ rootflags=x", ("rootflags=x",)),
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


def test_the_type_of_another_root_is_left_out() -> None:
    (config, *_rest) = steps(ROOT, args="rootfstype=xfs rootfstype=ext4 quiet")
    assert config.endswith('"rootfstype=ext4 quiet noresume"')


def test_what_the_install_does_not_make_is_not_relied_on() -> None:
    boot, swap = replace(BOOT, format=False), replace(SWAP, format=False)
    assert steps(ROOT, boot, swap)[0] == (
        'write_grub_config /a "$UUID_root" "$UUID_root" /boot "noresume"'
    )


@pytest.mark.parametrize(
    ("subvolumes", "folder"),
    [
        ((Subvolume("@", "/"),), "/@/boot"),
        ((Subvolume("@", "/"), Subvolume("@boot", "/boot")), "/@boot"),
        ((Subvolume("@boot", "/boot"),), "/@boot"),
        ((), "/boot"),
    ],
)
def test_grub_sees_btrfs_from_the_top(subvolumes: tuple[Subvolume, ...], folder: str) -> None:
    root = replace(ROOT, type=FilesystemType.BTRFS, subvolumes=subvolumes)
    flags = "rootflags=subvol=@ " if Subvolume("@", "/") in subvolumes else ""
    assert steps(root)[0] == (
        f'write_grub_config /a "$UUID_root" "$UUID_root" {folder} "{flags}noresume"'
    )


def test_grub_sees_a_boot_on_btrfs_from_its_top() -> None:
    boot = replace(BOOT, type=FilesystemType.BTRFS, subvolumes=(Subvolume("b", "/boot"),))
    assert steps(ROOT, boot)[0].endswith('"$UUID_root" "$UUID_boot" /b "noresume"')


def test_every_esp_that_is_mounted_is_written_to() -> None:
    esp = Partition(1, Fixed(2**30), flags=(Flag.ESP,))
    parts = (esp, replace(esp, number=2, flags=()), replace(esp, number=3))
    disk = Disk("/dev/vda", LabelType.GPT, parts)
    vfat, ext4 = FilesystemType.VFAT, FilesystemType.EXT4
    layout = Layout(
        (disk,),
        (
            ROOT,
            Filesystem(20, "/dev/vda1", "/boot/efi", vfat),
            Filesystem(30, "/dev/vda3", "/boot/old", ext4),
            Filesystem(40, "server:/x", "/x", vfat),
        ),
    )
    assert esp_mount_points(layout) == ("/boot/efi",)
