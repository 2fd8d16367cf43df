"""What one kind of client has on its disks, as values.

Stage 4. Pure. Made by `si.layout.document` (XML) and `si.layout.infer` (facts), read by
`si.layout.check` and `si.script.plan`. Everything is frozen, sizes are bytes, and nothing here
knows XML or a shell: arrays, volume groups and encryption will be further kinds of device beside
`Disk`, and further kinds of entry beside `Filesystem`, without a change to those that are here.

`source_line` is where an element stood in its document. It takes no part in comparison, so that a
layout equals itself after a change of formatting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MIB = 1024 * 1024


class LabelType(StrEnum):
    """Kind of partition table."""

    MSDOS = "msdos"
    GPT = "gpt"


class PartitionKind(StrEnum):
    """Place of a partition in an msdos table; everything on gpt is primary."""

    PRIMARY = "primary"
    EXTENDED = "extended"
    LOGICAL = "logical"


class Flag(StrEnum):
    """Partition flags under the names that parted and the older documents use."""

    BOOT = "boot"
    ROOT = "root"
    SWAP = "swap"
    HIDDEN = "hidden"
    LBA = "lba"
    ESP = "esp"
    BIOS_GRUB = "bios_grub"
    LEGACY_BOOT = "legacy_boot"
    PREP = "prep"


class FilesystemType(StrEnum):
    """What BOEL can make; other types can only be mounted by the installed system."""

    EXT2 = "ext2"
    EXT3 = "ext3"
    EXT4 = "ext4"
    XFS = "xfs"
    VFAT = "vfat"
    SWAP = "swap"


class Firmware(StrEnum):
    """How the installed system is started."""

    LEGACY = "legacy"
    EFI = "efi"


@dataclass(frozen=True, slots=True)
class Fixed:
    """A size that is the same on every disk."""

    size: int
    """Bytes, more than 0."""


@dataclass(frozen=True, slots=True)
class Percent:
    """A share of the whole disk."""

    hundredths: int
    """Hundredths of a percent: 2550 is 25.5 %."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What the other partitions leave over, `*` in a document."""


Size = Fixed | Percent | Rest


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition; the order in `Disk.partitions` is the order on the disk."""

    number: int
    size: Size
    kind: PartitionKind = PartitionKind.PRIMARY
    flags: tuple[Flag, ...] = ()
    name: str | None = None
    """GPT partition name."""
    type_id: str | None = None
    """Two hex digits (msdos) or a type GUID (gpt), where flags and file system do not say it."""
    source_line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Disk:
    """One whole disk, whose partition table is always written anew."""

    device: str
    label: LabelType
    partitions: tuple[Partition, ...] = ()
    capacity: int | None = None
    """Bytes of the golden client's disk, when known: for checks, never a demand on clients."""
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

    @property
    def filesystems(self) -> tuple[Filesystem, ...]:
        """The entries that stand on partitions."""
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
            if not isinstance(entry, Comment) and entry.mount_point == mount_point:
                return entry
        return None


def partition_path(disk: str, number: int) -> str:
    """Device path of a partition, as the kernel (and udev, for /dev/disk) names it.

    A `p` stands between a disk name that ends with a digit and the number: nvme0n1p1, mmcblk0p2,
    cciss/c0d0p3, but sda1 and vda2. Links below /dev/disk end with -part1.
    """
    if disk.startswith("/dev/disk/"):
        return f"{disk}-part{number}"
    return f"{disk}p{number}" if disk[-1:].isdigit() else f"{disk}{number}"
