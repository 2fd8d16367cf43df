"""What a layout may say, but no master script can do yet.

Stage 4. Pure. Such a layout is read, checked and written like any other, si-lint warns of it, and
`si.script.plan` refuses it: every feature by name, never one of them left out in silence. A
feature goes out of `PENDING` in the commit that teaches the script and BOEL to do it.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from si.layout.model import FilesystemType, Firmware, Flag, Layout

Found = Iterator[tuple[int, str]]


class Feature(StrEnum):
    """Parts of a layout that came, or come, one by one."""

    UEFI = "UEFI"
    SYSTEMD_BOOT = "systemd-boot"
    RAID = "software RAID"
    LVM = "LVM"
    THIN = "a thin pool"
    CRYPT = "encryption"
    BTRFS = "btrfs"
    RULE = "a disk chosen by rule"
    KEEP = "keep"
    MOST = "max"
    ALIGNMENT = "alignment"


PENDING: frozenset[Feature] = frozenset()


def pending_features(layout: Layout) -> Found:
    """Line and text of everything in `layout` that no master script can do yet."""
    for feature, line in _features(layout):
        if feature in PENDING:
            yield line, f"{feature} is not supported yet: no master script can be made of it"


def boot_firmware(layout: Layout) -> Firmware:
    """How the installed system starts: what <bootloader> says, else efi where there is an ESP."""
    if layout.bootloader is not None:
        return layout.bootloader.firmware
    esp = any(Flag.ESP in part.flags for disk in layout.disks for part in disk.partitions)
    return Firmware.EFI if esp else Firmware.LEGACY


def _features(layout: Layout) -> Iterator[tuple[Feature, int]]:
    line = layout.bootloader.source_line if layout.bootloader is not None else 1
    if boot_firmware(layout) is Firmware.EFI:
        yield Feature.UEFI, line
    if layout.bootloader is not None and layout.bootloader.flavor == "systemd":
        yield Feature.SYSTEMD_BOOT, line
    yield from _of_disks(layout)
    yield from _of_layers(layout)
    for filesystem in layout.filesystems:
        if filesystem.type is FilesystemType.BTRFS:
            yield Feature.BTRFS, filesystem.source_line


def _of_layers(layout: Layout) -> Iterator[tuple[Feature, int]]:
    for raid in layout.raids:
        yield Feature.RAID, raid.source_line
    for crypt in layout.crypts:
        yield Feature.CRYPT, crypt.source_line
    for group in layout.volume_groups:
        yield Feature.LVM, group.source_line
        for volume in group.volumes:
            if volume.is_pool:
                yield Feature.THIN, volume.source_line


def _of_disks(layout: Layout) -> Iterator[tuple[Feature, int]]:
    for disk in layout.disks:
        if disk.rule is not None:
            yield Feature.RULE, disk.source_line
        if disk.keeps_table:
            yield Feature.KEEP, disk.source_line
        if not disk.has_plain_alignment:
            yield Feature.ALIGNMENT, disk.source_line
        for part in disk.partitions:
            if part.most is not None:
                yield Feature.MOST, part.source_line
