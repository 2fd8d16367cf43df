"""Steps that write partition tables.

Stage 5. Pure. parted gets positions in whole MiB, which it takes as exact (only decimal units and
percentages are approximate to it), so the same numbers are right for sectors of 512 and of 4096
bytes. Identifiers, types and names are set by sfdisk, because parted cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from si.layout.check_table import least_sizes
from si.layout.fitting import smallest_disk
from si.layout.geometry import (
    LAST_MIB,
    Extent,
    Geometry,
    Offset,
    Share,
    fixed_mib,
    most_mib,
    place,
    step_mib,
)
from si.layout.model import (
    MIB,
    Disk,
    FilesystemType,
    Fixed,
    Flag,
    LabelType,
    Layout,
    Partition,
    PartitionKind,
    Percent,
    Rest,
    partition_path,
)
from si.script.identifiers import disk_variable, partition_variable
from si.script.room import UNMEASURED, needed_bytes
from si.script.steps import (
    Arithmetic,
    Assign,
    Call,
    Capture,
    Command,
    Comment,
    Step,
    Variable,
    Word,
)

_PARTED_TYPES = {
    FilesystemType.VFAT: "fat32",
    FilesystemType.SWAP: "linux-swap",
}
_NO_NAME = '""'
# A partition that only keeps a number taken lies here for a moment, before the first MiB ends.
_FILLER_SECTOR = 64
_IMPLIED_FLAGS = (Flag.SWAP, Flag.ROOT)


def least_disk_bytes(disk: Disk, layout: Layout, *, content: Mapping[str, int] = UNMEASURED) -> int:
    """The smallest disk that can take this table, and the image: bytes by mount point."""
    needed = smallest_disk(place(disk), least_sizes(disk, layout, needed_bytes(layout, content)))
    assert needed is not None, f"{disk.device}: checked layouts fit on some disk"
    return needed


def partition_steps(disk: Disk, layout: Layout) -> Iterator[Step]:
    """Everything between a disk with anything on it and partitions with nothing on them."""
    if disk.keeps_table:
        yield Comment((f"{disk.device}: its table is kept",))
        return
    geometry = place(disk)
    yield Comment((f"{disk.device}: {disk.label} with {len(disk.partitions)} partitions",))
    yield Command(("wipefs", "--all", "--quiet", disk.device))
    yield from _measure(geometry)
    yield Command(
        ("parted", "--script", "--align", "optimal", disk.device),
        (("mklabel", str(disk.label)), *_subcommands(geometry, layout)),
    )
    yield from _identify(disk)
    paths = tuple(
        partition_path(disk.device, part.number)
        for part in disk.partitions
        if part.kind is not PartitionKind.EXTENDED
    )
    yield from link_steps(disk)
    yield Call("wait_for", paths)
    yield Command(("wipefs", "--all", "--quiet", *paths))


def link_steps(disk: Disk) -> Iterator[Step]:
    """The names of partitions of a disk by rule."""
    if disk.rule is not None:
        numbers = (str(part.number) for part in disk.partitions)
        yield Call("link_partitions", (disk.device, *numbers))


def kept_steps(
    disk: Disk, layout: Layout, *, content: Mapping[str, int] = UNMEASURED
) -> Iterator[Step]:
    """Whether a disk that keeps its table, and what is kept on it, are as the layout says."""
    yield from link_steps(disk)
    needed = least_sizes(disk, layout, needed_bytes(layout, content))
    shrunk = place(disk).shrunk_mib
    sizes = []
    for part in disk.partitions:
        if isinstance(part.size, Fixed):
            size = str(fixed_mib(part.size) - shrunk.get(part.number, 0))
        else:
            size = f"{_least_mib(part, disk, needed)}-{most_mib(part, disk) or ''}"
        sizes.append(f"{part.number}={size}")
    label = "dos" if disk.label is LabelType.MSDOS else "gpt"
    yield Call("check_kept_disk", (disk.device, label, *sizes))
    for filesystem in layout.filesystems:
        on = layout.partition_paths().get(filesystem.device)
        if on is not None and on[0] is disk and layout.is_kept(filesystem.device):
            source = filesystem.mount_source
            words = (source,) if source is not None else ()
            yield Call("check_kept", (filesystem.device, str(filesystem.type), *words))


def _least_mib(part: Partition, disk: Disk, needed: Mapping[int, int]) -> int:
    """What is kept may be as small as it is; what is made anew must take in its part."""
    if part in disk.rewritten:
        return needed[part.number]
    return 1 if part.least is None else -(-part.least // MIB)


def _measure(geometry: Geometry) -> Iterator[Step]:
    """Variables for positions that depend on the size of the disk, where there are any."""
    disk = geometry.disk
    offsets = [offset for extent in geometry.extents for offset in (extent.start, extent.end)]
    if all(_is_plain(offset) for offset in offsets):
        return
    name = _slug(disk.device)
    yield Capture(f"{name}_bytes", ("blockdev", "--getsize64", disk.device))
    end = f"{name}_bytes / {MIB} - {LAST_MIB}"
    yield Assign(f"{name}_end", Arithmetic(_whole_steps(end, disk)))
    for share in geometry.varying:
        yield from _measure_share(share, disk)


def _measure_share(share: Share, disk: Disk) -> Iterator[Step]:
    variable = _share_variable(disk, share.number)
    if isinstance(share.of, Percent):
        usable = f"({_slug(disk.device)}_end - {step_mib(disk)})"
        length = _whole_steps(f"{usable} * {share.of.hundredths} / 10000", disk)
    else:
        length = _sum(share.of, disk)
    yield Assign(variable, Arithmetic(length))
    if share.most_mib is not None:
        bound = f"{variable} < {share.most_mib} ? {variable} : {share.most_mib}"
        yield Assign(variable, Arithmetic(bound))


def _whole_steps(length: str, disk: Disk) -> str:
    """An expression rounded down to the disk's alignment."""
    step = step_mib(disk)
    return length if step == 1 else f"({length}) / {step} * {step}"


def _subcommands(geometry: Geometry, layout: Layout) -> Iterator[tuple[Word, ...]]:
    """mkpart in the order of the numbers, because parted gives each the first free one."""
    disk = geometry.disk
    by_number = {extent.partition.number: extent for extent in geometry.extents}
    fillers = _missing_numbers(by_number)
    for number in sorted([*by_number, *fillers]):
        if number in by_number:
            yield _mkpart(by_number[number], disk, layout)
        else:
            sector = f"{_FILLER_SECTOR + number}s"
            kind = "primary" if disk.label is LabelType.MSDOS else _NO_NAME
            yield ("mkpart", kind, sector, sector)
    for number in sorted(by_number):
        partition = by_number[number].partition
        for flag in _parted_flags(partition, disk, layout):
            yield ("set", str(number), flag, "on")
    for number in fillers:
        yield ("rm", str(number))


def _missing_numbers(numbers: Mapping[int, Extent]) -> list[int]:
    kinds = PartitionKind
    top = [n for n, extent in numbers.items() if extent.partition.kind is not kinds.LOGICAL]
    return [number for number in range(1, max(top)) if number not in numbers]


def _mkpart(extent: Extent, disk: Disk, layout: Layout) -> tuple[Word, ...]:
    partition = extent.partition
    first = str(partition.kind) if disk.label is LabelType.MSDOS else _NO_NAME
    filesystem = layout.filesystem_on(partition_path(disk.device, partition.number))
    words: list[Word] = ["mkpart", first]
    if partition.kind is not PartitionKind.EXTENDED:
        kind = filesystem.type if filesystem is not None else None
        if kind is None and Flag.SWAP in partition.flags:
            kind = FilesystemType.SWAP
        fat16 = filesystem is not None and "-F 16" in filesystem.mkfs_opts
        if kind is not None:
            words.append("fat16" if fat16 else _PARTED_TYPES.get(kind, str(kind)))
    return (*words, _position(extent.start, disk), _end(extent, disk))


def _end(extent: Extent, disk: Disk) -> Word:
    if _is_plain(extent.end) and extent.end.from_end:
        # parted's 100% may be some sectors more than whole MiB: right for `*`, not for a size.
        rest = isinstance(extent.partition.size, Rest)
        return "100%" if rest else _position(extent.end, disk)
    return _position(extent.end, disk)


def _parted_flags(partition: Partition, disk: Disk, layout: Layout) -> list[str]:
    flags = [flag for flag in partition.flags if flag not in _IMPLIED_FLAGS]
    if disk.label is LabelType.MSDOS:
        return [str(flag) for flag in flags]
    # On gpt parted takes "boot" for "esp"; older documents also mean the legacy boot attribute.
    filesystem = layout.filesystem_on(partition_path(disk.device, partition.number))
    vfat = filesystem is not None and filesystem.type is FilesystemType.VFAT
    boot = Flag.ESP if vfat or Flag.ESP in flags else Flag.LEGACY_BOOT
    kept = (boot if flag is Flag.BOOT else flag for flag in flags if flag is not Flag.LBA)
    return [str(flag) for flag in dict.fromkeys(kept)]


def _identify(disk: Disk) -> Iterator[Step]:
    identity: Word = (Variable(disk_variable(disk.device, disk.label)),)
    # The kernel knows the partitions from parted; to read the table once more would only make
    # their devices vanish for a moment.
    sfdisk = ("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel")
    yield Command((*sfdisk, "--disk-id", disk.device, identity))
    for part in disk.partitions:
        number = str(part.number)
        if part.type_id is not None:
            yield Command((*sfdisk, "--part-type", disk.device, number, part.type_id))
        if disk.label is LabelType.MSDOS:
            continue
        variable = partition_variable(partition_path(disk.device, part.number))
        yield Command((*sfdisk, "--part-uuid", disk.device, number, (Variable(variable),)))
        if part.name is not None:
            yield Command((*sfdisk, "--part-label", disk.device, number, part.name))


def _position(offset: Offset, disk: Disk) -> Word:
    if _is_plain(offset) and not offset.from_end:
        return f"{offset.mib}MiB"
    return (Arithmetic(_sum(offset, disk)), "MiB")


def _sum(offset: Offset, disk: Disk) -> str:
    name = _slug(disk.device)
    terms = [f"+ {name}_end"] if offset.from_end else []
    terms += [f"+ {_share_variable(disk, number)}" for number in offset.plus]
    terms += [f"- {_share_variable(disk, number)}" for number in offset.minus]
    if offset.mib:
        signed = f"{offset.mib:+d}"
        terms.append(f"{signed[0]} {signed[1:]}")
    return " ".join(terms).removeprefix("+ ")


def _is_plain(offset: Offset) -> bool:
    """Whether a position can be written without knowing the disk: a number, or its very end."""
    moved = offset.plus or offset.minus
    return not moved and (not offset.from_end or offset.mib == 0)


def _share_variable(disk: Disk, number: int) -> str:
    return f"{_slug(disk.device)}_share{number}"


def _slug(device: str) -> str:
    return "disk_" + re.sub(r"[^A-Za-z0-9]", "_", device.removeprefix("/dev/"))
