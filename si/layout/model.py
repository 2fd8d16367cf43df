"""What one kind of client has on its disks, as values.

Stage 4. Pure. Made by `si.layout.document` (XML) and `si.layout.infer` (facts), read by
`si.layout.check` and `si.script.plan`. Everything is frozen, sizes are bytes, and nothing here
knows XML or a shell. Disks stand in `si.layout.table`, arrays, encryption and volume groups in
`si.layout.layers`, sizes in `si.layout.quantity`; all are given on from here.

`source_line` is where an element stood in its document. It takes no part in comparison, so that a
layout equals itself after a change of formatting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from si.layout.layers import (
    Crypt,
    Layer,
    LogicalVolume,
    Pbkdf,
    Raid,
    RaidLevel,
    VolumeGroup,
    mapper_path,
    stack,
    volume_path,
)
from si.layout.quantity import MIB, Fixed, Percent, Rest, Size
from si.layout.table import (
    Disk,
    DiskRule,
    Flag,
    LabelType,
    Partition,
    PartitionKind,
    Pick,
    partition_path,
)

__all__ = [
    "MIB",
    "Bootloader",
    "Comment",
    "Crypt",
    "Disk",
    "DiskRule",
    "Entry",
    "Filesystem",
    "FilesystemType",
    "Firmware",
    "Fixed",
    "Flag",
    "LabelType",
    "Layer",
    "Layout",
    "LogicalVolume",
    "Mount",
    "Partition",
    "PartitionKind",
    "Pbkdf",
    "Percent",
    "Pick",
    "Raid",
    "RaidLevel",
    "Rest",
    "Size",
    "Subvolume",
    "VolumeGroup",
    "mapper_path",
    "partition_path",
    "volume_path",
]


class FilesystemType(StrEnum):
    """What BOEL can make; other types can only be mounted by the installed system."""

    EXT2 = "ext2"
    EXT3 = "ext3"
    EXT4 = "ext4"
    XFS = "xfs"
    VFAT = "vfat"
    BTRFS = "btrfs"
    SWAP = "swap"


class Firmware(StrEnum):
    """How the installed system is started."""

    LEGACY = "legacy"
    EFI = "efi"


@dataclass(frozen=True, slots=True)
class Subvolume:
    """A btrfs subvolume."""

    name: str
    """Path below the top level, without a slash at either end."""
    mount_point: str | None = None
    """None: it is only made, and lies where its name says."""
    options: str = ""
    """Mount options beside subvol=; empty: those of its file system."""
    source_line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Filesystem:
    """A file system or swap space on a partition: made, mounted, and written to fstab."""

    order: int
    """Place in fstab; ascending, need not be without gaps."""
    device: str
    mount_point: str
    """Absolute path, or "swap"."""
    type: FilesystemType
    mount_source: str | None = None
    """LABEL=... or UUID=... for fstab; None: UUID= with an identifier made for each client."""
    label: str | None = None
    """Volume label, also where fstab does not mount by it."""
    options: str = "defaults"
    dump: int = 0
    fsck_pass: int = 0
    format: bool = True
    """False: neither made nor mounted by the install, only a line in fstab."""
    mkfs_opts: str = ""
    subvolumes: tuple[Subvolume, ...] = ()
    """Of btrfs. The one with the mount point of the file system itself is mounted there in place
    of the top level; every other one with a mount point has a line of fstab after it."""
    source_line: int = field(default=0, compare=False)

    @property
    def volume_label(self) -> str | None:
        """The label that mkfs writes."""
        if self.mount_source is not None and self.mount_source.startswith("LABEL="):
            return self.mount_source.removeprefix("LABEL=")
        return self.label

    @property
    def chosen_uuid(self) -> str | None:
        """The UUID that the document itself asks for; None: one is made for each client."""
        if self.mount_source is not None and self.mount_source.startswith("UUID="):
            return self.mount_source.removeprefix("UUID=")
        return None


@dataclass(frozen=True, slots=True)
class Mount:
    """An fstab line for what no install makes: proc, tmpfs, nfs, a CD drive."""

    order: int
    source: str
    mount_point: str
    type: str
    options: str = "defaults"
    dump: int = 0
    fsck_pass: int = 0
    source_line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Comment:
    """An fstab line that is copied as it is: a comment or an empty line."""

    order: int
    text: str
    source_line: int = field(default=0, compare=False)


Entry = Filesystem | Mount | Comment


@dataclass(frozen=True, slots=True)
class Bootloader:
    """How the installed system is started, where the document says so."""

    flavor: str
    firmware: Firmware
    devices: tuple[str, ...] = ()
    """Disks (legacy) that get the boot loader; empty: the disk that holds /boot."""
    default_entry: str | None = None
    timeout_s: int | None = None
    source_line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Layout:
    """Disks, fstab lines in their order, and boot loader of one kind of client."""

    disks: tuple[Disk, ...]
    entries: tuple[Entry, ...]
    bootloader: Bootloader | None = None
    raids: tuple[Raid, ...] = ()
    crypts: tuple[Crypt, ...] = ()
    volume_groups: tuple[VolumeGroup, ...] = ()

    @property
    def firmware(self) -> Firmware:
        """How the installed system starts: what <bootloader> says, or else by the ESP."""
        if self.bootloader is not None:
            return self.bootloader.firmware
        esp = any(Flag.ESP in part.flags for disk in self.disks for part in disk.partitions)
        return Firmware.EFI if esp else Firmware.LEGACY

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Arrays, encryption and volume groups, each after what it stands on."""
        ordered, circular = stack((*self.raids, *self.crypts, *self.volume_groups))
        return (*ordered, *circular)

    @property
    def circular_layers(self) -> tuple[Layer, ...]:
        """Layers that stand, over others or directly, on themselves; none in a checked layout."""
        return stack((*self.raids, *self.crypts, *self.volume_groups))[1]

    def layer_on(self, device: str) -> Layer | None:
        """The array, encryption or volume group that a device is a member of."""
        return next((layer for layer in self.layers if device in layer.holds), None)

    def layer_of(self, device: str) -> Layer | None:
        """The array, encryption or volume group that offers a device."""
        return next((layer for layer in self.layers if device in layer.devices), None)

    def disks_below(self, device: str) -> tuple[Disk, ...]:
        """The disks that a partition, an array or a volume lies on, in the order of `disks`."""
        below, seen = [device], set[str]()
        while below:
            path = below.pop()
            if path not in seen:
                seen.add(path)
                below += [
                    on for layer in self.layers if path in layer.devices for on in layer.holds
                ]
        paths = self.partition_paths()
        found = {paths[path][0].device for path in seen if path in paths}
        return tuple(disk for disk in self.disks if disk.device in found or disk.device in seen)

    def is_kept(self, device: str) -> bool:
        """Whether what is on a partition survives the install."""
        found = self.partition_paths().get(device)
        return found is not None and (found[0].keep or found[1].keep)

    def is_made(self, filesystem: Filesystem) -> bool:
        """Whether the install makes and mounts a file system; one that is kept is left alone."""
        return filesystem.format and not self.is_kept(filesystem.device)

    @property
    def written(self) -> tuple[str, ...]:
        """What is wiped: disks, and of a disk that keeps its table the partitions without keep."""
        found: list[str] = []
        for disk in self.disks:
            if not disk.keeps_table:
                found.append(disk.device)
            found += [partition_path(disk.device, part.number) for part in disk.rewritten]
        return tuple(found)

    @property
    def filesystems(self) -> tuple[Filesystem, ...]:
        """The entries that stand on devices of this layout."""
        return tuple(entry for entry in self.entries if isinstance(entry, Filesystem))

    def partition_paths(self) -> dict[str, tuple[Disk, Partition]]:
        """Every partition under the path that its device will have."""
        return {
            partition_path(disk.device, partition.number): (disk, partition)
            for disk in self.disks
            for partition in disk.partitions
        }

    def filesystem_on(self, device: str) -> Filesystem | None:
        """The file system of a partition."""
        return next((entry for entry in self.filesystems if entry.device == device), None)

    def mounted_at(self, mount_point: str) -> Entry | None:
        """The entry with this mount point."""
        for entry in self.entries:
            if isinstance(entry, Comment):
                continue
            inside = entry.subvolumes if isinstance(entry, Filesystem) else ()
            if mount_point in (entry.mount_point, *(sub.mount_point for sub in inside)):
                return entry
        return None
