"""Disks and their partitions, as values.

Stage 4. Pure. `si.layout.model` gives these names on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from si.layout.quantity import MIB, Size


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
    RAID = "raid"
    LVM = "lvm"


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
    keep: bool = False
    """Its data survives the install; the disk's table is then checked, not written."""
    least: int | None = None
    """Bytes below which a share or the rest must not fall."""
    most: int | None = None
    """Bytes beyond which a share or the rest does not grow."""
    source_line: int = field(default=0, compare=False)


class Pick(StrEnum):
    """Which of several disks that fit a rule is taken."""

    SMALLEST = "smallest"
    LARGEST = "largest"
    FIRST = "first"


@dataclass(frozen=True, slots=True)
class DiskRule:
    """How a client finds a disk that has another name on every machine."""

    pick: Pick | None = None
    """None: no more than one disk may fit."""
    rotational: bool | None = None
    """True: only hard disks; False: only what does not turn; None: either."""
    min_bytes: int = 0
    holds: str | None = None
    """"boot": only the disk that holds the boot partition now."""

    @property
    def words(self) -> tuple[str, ...]:
        """As BOEL takes them and people read them: "smallest", "rotational=no"."""
        turns = {None: None, True: "rotational=yes", False: "rotational=no"}[self.rotational]
        least = f"min_bytes={self.min_bytes}" if self.min_bytes else None
        holds = f"holds={self.holds}" if self.holds is not None else None
        return tuple(word for word in (self.pick, turns, least, holds) if word is not None)

    def __str__(self) -> str:
        return f"disk by rule: {', '.join(self.words)}"


@dataclass(frozen=True, slots=True)
class Disk:
    """One whole disk, whose partition table is written anew unless something on it is kept."""

    device: str
    """Its path; with a rule /dev/si/NAME, where NAME is of the document's choice, which BOEL
    links to the disk that it found (and /dev/si/NAME-part1 to its partition 1)."""
    label: LabelType
    partitions: tuple[Partition, ...] = ()
    capacity: int | None = None
    """Bytes of the golden client's disk, when known: for checks, never a demand on clients."""
    rule: DiskRule | None = None
    keep: bool = False
    """Nothing on it is written: table and data survive, and its geometry is checked first."""
    alignment: int = MIB
    """Bytes, a multiple of 1 MiB, to which every partition begins."""
    sector: int | None = None
    """Bytes of the golden client's logical sector, when known: a disk of 4096 needs UEFI."""
    source_line: int = field(default=0, compare=False)

    @property
    def has_plain_alignment(self) -> bool:
        """Whether partitions begin at whole MiB, as they always may."""
        return self.alignment == MIB

    @property
    def keeps_table(self) -> bool:
        """Whether the partition table is checked rather than written."""
        return self.keep or any(part.keep for part in self.partitions)

    @property
    def rewritten(self) -> tuple[Partition, ...]:
        """Where the table is kept, the partitions whose contents are not."""
        if self.keep or not self.keeps_table:
            return ()
        extended = PartitionKind.EXTENDED
        return tuple(part for part in self.partitions if not part.keep and part.kind != extended)


def partition_path(disk: str, number: int) -> str:
    """Device path of a partition, as the kernel (and udev, for /dev/disk) names it.

    A `p` stands between a disk name that ends with a digit and the number: nvme0n1p1, mmcblk0p2,
    cciss/c0d0p3, but sda1 and vda2. Links below /dev/disk and /dev/si end with -part1.
    """
    if disk.startswith(("/dev/disk/", "/dev/si/")):
        return f"{disk}-part{number}"
    return f"{disk}p{number}" if disk[-1:].isdigit() else f"{disk}{number}"
