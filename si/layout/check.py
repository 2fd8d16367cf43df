"""What no schema can say of a layout: all problems at once, each with its line.

Stage 4. Pure. Problems are what would fail on the client, or leave it without a way to start;
warnings are what works, but perhaps not as the author of the document thinks. This module looks
at the layout as a whole, `si.layout.check_table` at each disk, `si.layout.check_mounts` at each
line of fstab.
"""

from __future__ import annotations

from collections.abc import Iterator

from si.errors import Problem
from si.layout.check_mounts import mount_problems, mount_warnings
from si.layout.check_table import table_problems, table_warnings
from si.layout.disks import NO_DEVICE
from si.layout.model import (
    Bootloader,
    Firmware,
    Flag,
    LabelType,
    Layout,
    Mount,
    partition_path,
)

Found = Iterator[tuple[int, str]]
FLAVORS_NOW = ("grub2", "grub")


def check_layout(layout: Layout, file: str) -> tuple[Problem, ...]:
    """Every problem of `layout`; `file` is its name in them."""
    return _problems(file, _whole(layout), mount_problems(layout), _boot(layout))


def warn_of_layout(layout: Layout, file: str) -> tuple[Problem, ...]:
    """What is worth a second look in a layout without problems."""
    tables = (table_warnings(disk) for disk in layout.disks)
    return _problems(file, _links(layout), *tables, mount_warnings(layout), _boot_warnings(layout))


def boot_firmware(layout: Layout) -> Firmware:
    """How the installed system starts: what <bootloader> says, else efi where there is an ESP."""
    if layout.bootloader is not None:
        return layout.bootloader.firmware
    esp = any(Flag.ESP in part.flags for disk in layout.disks for part in disk.partitions)
    return Firmware.EFI if esp else Firmware.LEGACY


def boot_devices(layout: Layout) -> tuple[str, ...]:
    """The disks that get the boot loader: those named, else the one that holds /boot."""
    if layout.bootloader is not None and layout.bootloader.devices:
        return layout.bootloader.devices
    entry = layout.mounted_at("/boot") or layout.mounted_at("/")
    paths = layout.partition_paths()
    device = getattr(entry, "device", None)
    return (paths[device][0].device,) if device in paths else ()


def _problems(file: str, *checks: Found) -> tuple[Problem, ...]:
    return tuple(Problem(file, line, text) for check in checks for line, text in check)


def _whole(layout: Layout) -> Found:
    if not layout.disks:
        yield 1, '<config> has no <disk>: write at least one, like <disk dev="/dev/vda" ...>'
    seen: dict[str, int] = {}
    for disk in layout.disks:
        if disk.device in seen and disk.device != NO_DEVICE:
            where = seen[disk.device]
            yield disk.source_line, f"{disk.device} stands on line {where} already: join the two"
        seen[disk.device] = disk.source_line
        yield from table_problems(disk, layout)


def _links(layout: Layout) -> Found:
    for disk in layout.disks:
        if disk.device.startswith("/dev/disk/"):
            text = "BOEL does not make the links of /dev/disk yet: name the disk itself"
            yield disk.source_line, f"{disk.device}: {text}, like /dev/vda"


def _boot(layout: Layout) -> Found:
    if layout.bootloader is not None:
        yield from _boot_devices_exist(layout, layout.bootloader)
    boot = layout.mounted_at("/boot")
    if isinstance(boot, Mount):
        yield (
            boot.source_line,
            f"/boot is {boot.type}, which GRUB cannot read: put it on a partition",
        )
    if boot_firmware(layout) is Firmware.EFI:
        yield from _efi(layout)
        return
    for disk in layout.disks:
        grub = any(Flag.BIOS_GRUB in part.flags for part in disk.partitions)
        if disk.device in boot_devices(layout) and disk.label is LabelType.GPT and not grub:
            yield (
                disk.source_line,
                f'{disk.device}: GRUB on gpt needs a partition of 1 MiB with flags="bios_grub"',
            )


def _boot_devices_exist(layout: Layout, bootloader: Bootloader) -> Found:
    line = bootloader.source_line
    if bootloader.flavor not in FLAVORS_NOW:
        yield line, f'flavor="{bootloader.flavor}" is not supported yet: write grub2'
    disks = [disk.device for disk in layout.disks]
    for device in bootloader.devices if bootloader.firmware is Firmware.LEGACY else ():
        if device in layout.partition_paths():
            yield line, f"<target> {device} is a partition: name the whole disk"
        elif device not in disks:
            yield line, f"<target> {device} is no disk of this layout: {', '.join(disks)}"


def _efi(layout: Layout) -> Found:
    line = layout.bootloader.source_line if layout.bootloader is not None else 1
    esps = [
        partition_path(disk.device, part.number)
        for disk in layout.disks
        for part in disk.partitions
        if Flag.ESP in part.flags
    ]
    if not esps:
        yield line, 'install_type="efi" needs a partition with flags="esp" and fs="vfat"'
    for path in esps:
        filesystem = layout.filesystem_on(path)
        if filesystem is not None and filesystem.type != "vfat":
            text = f'{path} has flags="esp" but fs="{filesystem.type}": firmware reads vfat only'
            yield filesystem.source_line, text


def _boot_warnings(layout: Layout) -> Found:
    bootloader = layout.bootloader
    line = bootloader.source_line if bootloader is not None else 1
    if boot_firmware(layout) is Firmware.EFI:
        yield line, "UEFI is not supported yet: no master script can be made of this layout"
    if bootloader is not None and bootloader.default_entry not in (None, "0"):
        text = "default_entry is not used yet: the image's newest kernel is started"
        yield line, text
    if bootloader is not None and bootloader.timeout_s is not None:
        yield line, "timeout is not used yet: GRUB_TIMEOUT of the image's /etc/default/grub is"
