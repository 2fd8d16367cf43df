"""Identifiers that the server chooses, so that fstab and boot loader are known beforehand.

Stage 5. Pure. A master script is one text for an image; what differs between two clients are the
values of the variables listed here, which `si.script.header` derives for each client.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum, auto

from si.layout.check import bare_esps, boot_firmware
from si.layout.model import (
    Crypt,
    Disk,
    Filesystem,
    FilesystemType,
    Firmware,
    LabelType,
    Layout,
    Raid,
    partition_path,
)


class IdentifierKind(StrEnum):
    """Form of an identifier's value."""

    UUID = auto()
    MBR_ID = auto()
    VFAT_ID = auto()


@dataclass(frozen=True, slots=True)
class Identifier:
    """A shell variable of the header, and the form of its value."""

    variable: str
    kind: IdentifierKind


def identifiers(layout: Layout) -> tuple[Identifier, ...]:
    """Every identifier that the master script of `layout` reads from the header."""
    found: list[Identifier] = []
    for disk in layout.disks:
        if not disk.keeps_table:
            found += _of_table(disk)
    found += [Identifier(raid_variable(raid), IdentifierKind.UUID) for raid in layout.raids]
    found += [Identifier(crypt_variable(each), IdentifierKind.UUID) for each in layout.crypts]
    for filesystem in layout.filesystems:
        variable = filesystem_variable(layout, filesystem)
        if variable is not None:
            vfat = filesystem.type is FilesystemType.VFAT
            kind = IdentifierKind.VFAT_ID if vfat else IdentifierKind.UUID
            found.append(Identifier(variable, kind))
    if boot_firmware(layout) is Firmware.EFI:
        esps = (esp_variable(path) for path in bare_esps(layout))
        found += [Identifier(variable, IdentifierKind.VFAT_ID) for variable in esps]
    return tuple(found)


def _of_table(disk: Disk) -> Iterator[Identifier]:
    variable = disk_variable(disk.device, disk.label)
    if disk.label is LabelType.MSDOS:
        yield Identifier(variable, IdentifierKind.MBR_ID)
        return
    yield Identifier(variable, IdentifierKind.UUID)
    for partition in disk.partitions:
        path = partition_path(disk.device, partition.number)
        yield Identifier(partition_variable(path), IdentifierKind.UUID)


def disk_variable(device: str, label: LabelType) -> str:
    """Name of the variable with a disk's own identifier: DISK_ID_vda or DISK_GUID_sda."""
    prefix = "DISK_ID" if label is LabelType.MSDOS else "DISK_GUID"
    return f"{prefix}_{_slug(device.removeprefix('/dev/'))}"


def partition_variable(path: str) -> str:
    """Name of the variable with a GPT partition's identifier: PART_UUID_nvme0n1p1."""
    return f"PART_UUID_{_slug(path.removeprefix('/dev/'))}"


def esp_variable(path: str) -> str:
    """Name of the variable with the number of an ESP that nothing mounts: UUID_esp_vdb1."""
    return f"UUID_esp_{_slug(path.removeprefix('/dev/'))}"


def raid_variable(raid: Raid) -> str:
    """Name of the variable with an array's UUID: MD_UUID_md0."""
    return f"MD_UUID_{_slug(raid.device.removeprefix('/dev/'))}"


def crypt_variable(crypt: Crypt) -> str:
    """Name of the variable with a LUKS container's UUID: LUKS_UUID_root."""
    return f"LUKS_UUID_{_slug(crypt.name)}"


def filesystem_variable(layout: Layout, filesystem: Filesystem) -> str | None:
    """Name of the variable with a file system's UUID: UUID_root, UUID_var_lib, UUID_swap_vda3.

    None where none is needed: the layout itself chooses the UUID, or the install does not make
    this file system. Two mount points that would share a name are told apart by a number.
    """
    if filesystem.chosen_uuid is not None or not layout.is_made(filesystem):
        return None
    taken: set[str] = set()
    for other in sorted(layout.filesystems, key=lambda f: f.mount_point != "/"):
        name = wanted = _filesystem_name(other)
        count = 1
        while name in taken:
            count += 1
            name = f"{wanted}_{count}"
        if other is filesystem:
            return name
        taken.add(name)
    raise ValueError(f"{filesystem.device} is not of this layout")


def _filesystem_name(filesystem: Filesystem) -> str:
    if filesystem.type is FilesystemType.SWAP:
        return f"UUID_swap_{_slug(filesystem.device.removeprefix('/dev/'))}"
    if filesystem.mount_point == "/":
        return "UUID_root"
    return f"UUID_{_slug(filesystem.mount_point.strip('/'))}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", text)
