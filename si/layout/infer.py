"""Facts of a golden client to the layout that its copies get.

Stage 4. Pure. Sizes are those of the golden client, but one partition of each disk is `*`, so that
larger and somewhat smaller disks work: the last one with a file system, rather than swap behind
it. Volume labels are kept, because fstab and people use them; UUIDs are not, because two machines
must never share one. fstab keeps its lines and their order. A disk with nothing mounted is left
alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from si.client.record import Facts
from si.errors import DocumentInvalid, Problem
from si.layout.fstab import FstabLine, parse_fstab
from si.layout.inventory import FoundDisk, FoundPartition, Inventory, take_inventory
from si.layout.model import (
    Bootloader,
    Comment,
    Disk,
    Entry,
    Filesystem,
    FilesystemType,
    Firmware,
    Fixed,
    Flag,
    LabelType,
    Layout,
    Mount,
    Partition,
    PartitionKind,
    Rest,
    Size,
)

STEP = 10
"""Distance of fstab line numbers, so that a person can put a line between."""

_TABLES = {"dos": LabelType.MSDOS, "gpt": LabelType.GPT}
_EXTENDED = frozenset(("5", "f", "85"))
_LINUX, _SWAP = "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"
_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
_FLAG_TYPES = {
    "ef": Flag.ESP,
    "41": Flag.PREP,
    "C12A7328-F81F-11D2-BA4B-00A0C93EC93B": Flag.ESP,
    "21686148-6449-6E6F-744E-656564454649": Flag.BIOS_GRUB,
    "9E1A2D38-C612-4316-AA26-8B49521E5A8B": Flag.PREP,
}
# Types that a partition gets from parted anyway, by what stands on it.
_USUAL_TYPES = {
    "vfat": frozenset(("c", _DATA)),
    "vfat -F 16": frozenset(("e", _DATA)),
    "swap": frozenset(("82", _SWAP)),
}
_FAT16_TYPES = frozenset(("4", "6", "e", "14", "16", "1e"))
_FAT_SIZES = {"FAT12": "-F 12", "FAT16": "-F 16"}


def infer_layout(facts: Facts) -> Layout:
    """The layout of the machine that these facts describe.

    Raises DocumentInvalid, with every reason, for what cannot be a layout yet: software RAID, LVM,
    encryption, file systems that BOEL does not make, a disk without partitions.
    """
    inventory = take_inventory(facts)
    used = [disk for disk in inventory.disks if disk.in_use]
    problems = [text for disk in used for text in _obstacles(disk)]
    if not used:
        problems.append("no disk of the golden client has anything mounted")
    if problems:
        raise DocumentInvalid(
            [Problem(f"facts of {facts.hostname}", 0, text) for text in problems],
            hint="put a layout document that you write into its /etc/systemimager/layout.xml",
        )
    disks = tuple(_infer_disk(disk) for disk in used)
    entries = tuple(_infer_entries(facts, inventory, {disk.device for disk in disks}))
    return Layout(disks, entries, _infer_bootloader(facts, disks))


def _obstacles(disk: FoundDisk) -> Iterator[str]:
    if disk.table not in _TABLES:
        what = f"a {disk.table} partition table" if disk.table else "no partition table"
        yield f"{disk.path} has {what}, which is not supported yet: msdos and gpt are"
    for part in disk.partitions:
        if part.held_by:
            yield f"{part.path} holds {part.held_by[0]}, which is not supported yet"
        elif part.mount_points and _type_of(part) is None:
            where = part.mount_points[0]
            kind = part.fstype or "an unknown file system"
            yield f"{part.path} ({where}) is {kind}, which is not supported yet"


def _infer_disk(disk: FoundDisk) -> Disk:
    label = _TABLES[disk.table]
    kinds = {part.number: _kind(part, label) for part in disk.partitions}
    growing = _growing(disk, kinds)
    partitions = tuple(
        Partition(
            number=part.number,
            size=Rest() if part.number in growing else _size(part),
            kind=kinds[part.number],
            flags=_flags(part, label),
            name=part.name or None,
            type_id=_type_id(part, label),
        )
        for part in disk.partitions
    )
    return Disk(disk.path, label, partitions, disk.size or None)


def _kind(part: FoundPartition, label: LabelType) -> PartitionKind:
    if label is LabelType.MSDOS and part.number > 4:
        return PartitionKind.LOGICAL
    if label is LabelType.MSDOS and part.type_id.lower() in _EXTENDED:
        return PartitionKind.EXTENDED
    return PartitionKind.PRIMARY


def _growing(disk: FoundDisk, kinds: dict[int, PartitionKind]) -> set[int]:
    """The numbers of the partitions that take the rest, at most one a row."""
    logical = [part for part in disk.partitions if kinds[part.number] is PartitionKind.LOGICAL]
    top = [part for part in disk.partitions if part not in logical]
    growing = set()
    if logical:
        growing.add(_last_file_system(logical).number)
        if logical[-1].start > top[-1].start:
            growing.add(top[-1].number)
    if not growing & {part.number for part in top}:
        growing.add(_last_file_system(top).number)
    return growing


def _last_file_system(row: list[FoundPartition]) -> FoundPartition:
    fit = [part for part in row if _type_of(part) not in (None, FilesystemType.SWAP)]
    return (fit or row)[-1]


def _size(part: FoundPartition) -> Size:
    return Fixed(max(part.size, 512))


def _flags(part: FoundPartition, label: LabelType) -> tuple[Flag, ...]:
    flags = [Flag.BOOT] if part.bootable else []
    by_type = _FLAG_TYPES.get(_normal_type(part, label))
    if by_type is not None:
        flags.append(by_type)
    if part.legacy_boot:
        flags.append(Flag.LEGACY_BOOT)
    return tuple(flags)


def _type_id(part: FoundPartition, label: LabelType) -> str | None:
    """The partition's type, where flags and file system do not say it already."""
    found = _normal_type(part, label)
    use = f"{part.fstype} {_fat_size(part)}".strip() if part.fstype == "vfat" else part.fstype
    usual = _USUAL_TYPES.get(use, frozenset(("83", _LINUX)))
    if not found or found in usual or found in _FLAG_TYPES or found in _EXTENDED:
        return None
    return f"{int(found, 16):02x}" if label is LabelType.MSDOS else found


def _normal_type(part: FoundPartition, label: LabelType) -> str:
    text = part.type_id
    return text.upper() if label is LabelType.GPT else text.lower().removeprefix("0x")


def _type_of(part: FoundPartition) -> FilesystemType | None:
    return FilesystemType(part.fstype) if part.fstype in tuple(FilesystemType) else None


def _infer_entries(facts: Facts, inventory: Inventory, disks: set[str]) -> Iterator[Entry]:
    ours = [part for d in inventory.disks if d.path in disks for part in d.partitions]
    order, seen = 0, set()
    for line in parse_fstab(facts.fstab):
        order += STEP
        if isinstance(line, str):
            yield Comment(order, line)
            continue
        part = inventory.partition(line.source)
        if part in ours and part not in seen and _type_of(part) is not None:
            seen.add(part)
            yield _filesystem(order, part, line)
        else:
            yield _mount(order, line)
    for part in ours:
        if part.mount_points and part not in seen:
            order += STEP
            where = min(part.mount_points, key=len)
            yield _filesystem(order, part, FstabLine(part.path, where, part.fstype))


def _filesystem(order: int, part: FoundPartition, line: FstabLine) -> Filesystem:
    kind = _type_of(part)
    assert kind is not None
    by_label = line.source.upper().startswith("LABEL=") and part.label
    return Filesystem(
        order=order,
        device=part.path,
        mount_point="swap" if kind is FilesystemType.SWAP else line.mount_point,
        type=kind,
        mount_source=f"LABEL={part.label}" if by_label else None,
        label=None if by_label else part.label or None,
        options=line.options,
        dump=line.dump,
        fsck_pass=line.fsck_pass,
        mkfs_opts=_fat_size(part) if kind is FilesystemType.VFAT else "",
    )


def _fat_size(part: FoundPartition) -> str:
    small = not part.fsver and part.type_id.lower() in _FAT16_TYPES
    return "-F 16" if small else _FAT_SIZES.get(part.fsver, "")


def _mount(order: int, line: FstabLine) -> Mount:
    swap = line.type == "swap" and line.mount_point == "none"
    return Mount(
        order=order,
        source=line.source,
        mount_point="swap" if swap else line.mount_point,
        type=line.type,
        options=line.options,
        dump=line.dump,
        fsck_pass=line.fsck_pass,
    )


def _infer_bootloader(facts: Facts, disks: tuple[Disk, ...]) -> Bootloader | None:
    if not facts.boot.loader.startswith("grub"):
        return None
    if facts.firmware == "uefi":
        return Bootloader("grub2", Firmware.EFI)
    ours = {disk.device for disk in disks}
    devices = tuple(device for device in facts.boot.grub_disks if device in ours)
    return Bootloader("grub2", Firmware.LEGACY, devices)
