"""Facts of a golden client to the layout that its copies get.

Stage 4. Pure. Sizes are those of the golden client, but one partition of each disk is `*`, so that
larger and somewhat smaller disks work: the last one with a file system, rather than swap behind
it. Volume labels are kept, because fstab and people use them; UUIDs are not, because two machines
must never share one. A disk with nothing mounted is left
alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from si.client.record import Facts
from si.errors import DocumentInvalid, Problem
from si.layout.infer_layers import infer_layers
from si.layout.infer_mounts import fat_size, infer_entries, type_of
from si.layout.inventory import VOLUME_TYPES, FoundDisk, FoundPartition, take_inventory
from si.layout.model import (
    Bootloader,
    Disk,
    FilesystemType,
    Firmware,
    Fixed,
    Flag,
    LabelType,
    Layout,
    Partition,
    PartitionKind,
    Rest,
    Size,
)
from si.layout.sizes import SECTOR

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
    "fd": Flag.RAID,
    "A19D880F-05FC-4D3B-A006-743F0F84911E": Flag.RAID,
    "8e": Flag.LVM,
    "E6D6D379-F507-44C2-A23C-238F2A3DF928": Flag.LVM,
}
# Types that a partition gets from parted anyway, by what stands on it.
_USUAL_TYPES = {
    "vfat": frozenset(("c", _DATA)),
    "vfat -F 16": frozenset(("e", _DATA)),
    "swap": frozenset(("82", _SWAP)),
}


def infer_layout(facts: Facts) -> Layout:
    """The layout of the machine that these facts describe.

    Raises DocumentInvalid, with every reason, for what cannot be a layout yet: other volumes than
    linear and thin ones, file systems that BOEL does not make, a disk without partitions.
    """
    inventory = take_inventory(facts)
    used = [disk for disk in inventory.disks if disk.in_use]
    layers = infer_layers(facts, inventory)
    problems = [text for disk in used for text in _obstacles(disk)]
    problems += [text for volume in inventory.volumes for text in _unmakeable(volume)]
    problems += layers.obstacles
    if not used:
        problems.append("no disk of the golden client has anything mounted")
    if problems:
        raise DocumentInvalid(
            [Problem(f"facts of {facts.hostname}", 0, text) for text in problems],
            hint="put a layout document that you write into its /etc/systemimager/layout.xml",
        )
    disks = tuple(_infer_disk(disk) for disk in used)
    entries = tuple(infer_entries(facts, inventory, {disk.device for disk in disks}))
    loader = _infer_bootloader(facts, disks)
    return Layout(disks, entries, loader, layers.raids, layers.crypts, layers.groups)


def _obstacles(disk: FoundDisk) -> Iterator[str]:
    if disk.table not in _TABLES:
        what = f"a {disk.table} partition table" if disk.table else "no partition table"
        yield f"{disk.path} has {what}, which is not supported yet: msdos and gpt are"
    for part in disk.partitions:
        unknown = [held for held in part.held_by if held.split()[0] not in VOLUME_TYPES]
        if unknown:
            yield f"{part.path} holds {unknown[0]}, which is not supported yet"
        else:
            yield from _unmakeable(part)


def _unmakeable(part: FoundPartition) -> Iterator[str]:
    if part.mount_points and type_of(part) is None:
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
    sector = disk.sector if disk.sector != 512 else None
    return Disk(disk.path, label, partitions, disk.size or None, sector=sector)


def _kind(part: FoundPartition, label: LabelType) -> PartitionKind:
    if label is LabelType.MSDOS and part.number > 4:
        return PartitionKind.LOGICAL
    if label is LabelType.MSDOS and part.type_id.lower() in _EXTENDED:
        return PartitionKind.EXTENDED
    return PartitionKind.PRIMARY


def _growing(disk: FoundDisk, kinds: dict[int, PartitionKind]) -> set[int]:
    """The numbers of the partitions that take the rest, one a row."""
    logical = [part for part in disk.partitions if kinds[part.number] is PartitionKind.LOGICAL]
    top = [part for part in disk.partitions if part not in logical]
    last = top[-1:]
    if logical and [kinds[part.number] for part in last] == [PartitionKind.EXTENDED]:
        top = last
    return {_last_file_system(row).number for row in (top, logical) if row}


def _last_file_system(row: list[FoundPartition]) -> FoundPartition:
    fit = [part for part in row if part.held_by or _is_file_system(part)]
    return (fit or row)[-1]


def _is_file_system(part: FoundPartition) -> bool:
    return type_of(part) not in (None, FilesystemType.SWAP)


def _size(part: FoundPartition) -> Size:
    return Fixed(max(part.size, SECTOR))


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
    use = f"{part.fstype} {fat_size(part)}".strip() if part.fstype == "vfat" else part.fstype
    usual = _USUAL_TYPES.get(use, frozenset(("83", _LINUX)))
    if not found or found in usual or found in _FLAG_TYPES or found in _EXTENDED:
        return None
    return f"{int(found, 16):02x}" if label is LabelType.MSDOS else found


def _normal_type(part: FoundPartition, label: LabelType) -> str:
    text = part.type_id
    return text.upper() if label is LabelType.GPT else text.lower().removeprefix("0x")


def _infer_bootloader(facts: Facts, disks: tuple[Disk, ...]) -> Bootloader | None:
    if facts.boot.loader == "systemd-boot":
        return Bootloader("systemd", Firmware.EFI)
    if not facts.boot.loader.startswith("grub"):
        return None
    if facts.firmware == "uefi":
        return Bootloader("grub2", Firmware.EFI)
    ours = {disk.device for disk in disks}
    devices = tuple(device for device in facts.boot.grub_disks if device in ours)
    return Bootloader("grub2", Firmware.LEGACY, devices)
