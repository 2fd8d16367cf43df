"""What can be wrong with the partitions of one disk.

Stage 4. Pure. A part of `si.layout.check`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from si.layout.capacity import LEAST_ANY, NOTHING, least_bytes
from si.layout.disks import NO_NUMBER
from si.layout.fitting import smallest_disk
from si.layout.geometry import Geometry, end_mib, place, whole_steps
from si.layout.model import (
    MIB,
    Disk,
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
from si.layout.sizes import format_bytes

Found = Iterator[tuple[int, str]]

CHOSEN = "/dev/si/"
"""Where BOEL puts names for the disks that it chooses."""

_MSDOS_LARGEST = 2**32 * 512
_MSDOS_PRIMARIES = 4
_GPT_ONLY = (Flag.BIOS_GRUB, Flag.LEGACY_BOOT)


def table_problems(disk: Disk, layout: Layout) -> Found:
    """Problems of the partition table of `disk`."""
    if not disk.partitions:
        yield disk.source_line, f"{disk.device} has no <part>: write at least one"
    faults = [*_numbers(disk), *_rows(disk)]
    yield from faults
    yield from _sizes(disk)
    yield from _flags(disk)
    yield from _bounds(disk)
    yield from _choice(disk)
    if not faults and not any(part.number == NO_NUMBER for part in disk.partitions):
        yield from _fit(disk, layout)


def table_warnings(disk: Disk) -> Found:
    """What is ignored or changed."""
    for part in disk.partitions:
        if part.name is not None and disk.label is LabelType.MSDOS:
            yield part.source_line, "ignored: p_name, because msdos has no partition names"
        for flag in part.flags:
            if flag is Flag.ROOT or (flag is Flag.LBA and disk.label is LabelType.GPT):
                yield part.source_line, f'ignored: flag "{flag}" has no meaning on {disk.label}'
    shrunk = place(disk).shrunk_mib
    for part in disk.partitions:
        if part.number in shrunk:
            text = (
                f"partition {part.number} becomes {shrunk[part.number]} MiB smaller than written: "
                f"together the sizes exceed the space that there is"
            )
            yield part.source_line, text


def least_sizes(disk: Disk, layout: Layout, content: Mapping[str, int] = NOTHING) -> dict[int, int]:
    """How small each partition of a variable size may become, in MiB, by number.

    `content` is what file systems must have room for, by their devices.
    """
    least = {}
    circular = bool(layout.circular_layers)
    for part in disk.partitions:
        if isinstance(part.size, Fixed):
            continue
        path = partition_path(disk.device, part.number)
        needed = LEAST_ANY if circular else least_bytes(path, layout, content)
        bound = needed if part.least is None else max(needed, part.least)
        least[part.number] = -(-bound // MIB)
    return least


def too_small(disk: Disk, least_mib: Mapping[int, int]) -> Iterator[tuple[Partition, int]]:
    """Partitions that a bound keeps below their least size, on a disk of any size; and that bound,
    in bytes."""
    for part in disk.partitions:
        most, least = part.most, least_mib.get(part.number)
        if most is not None and least is not None and whole_steps(most, disk) < least:
            yield part, most


def _numbers(disk: Disk) -> Found:
    seen: dict[int, int] = {}
    for part in disk.partitions:
        if part.number != NO_NUMBER and part.number in seen:
            where = seen[part.number]
            text = f"{disk.device}: partition {part.number} stands on line {where} already"
            yield part.source_line, f"{text}: give it a number of its own"
        seen.setdefault(part.number, part.source_line)
        if disk.label is LabelType.GPT and part.kind is not PartitionKind.PRIMARY:
            yield part.source_line, f'p_type="{part.kind}" is of msdos only: write primary on gpt'
    if disk.label is LabelType.MSDOS:
        yield from _msdos_numbers(disk)


def _msdos_numbers(disk: Disk) -> Found:
    top = [part for part in disk.partitions if part.kind is not PartitionKind.LOGICAL]
    for part in top[_MSDOS_PRIMARIES:]:
        text = f"{disk.device}: msdos has room for 4 primary and extended partitions, not more"
        yield part.source_line, f"{text}: make this one logical, or write label_type gpt"
    for part in top[:_MSDOS_PRIMARIES]:
        if part.number > _MSDOS_PRIMARIES:
            text = f"a {part.kind} partition has a number from 1 to 4, not {part.number}"
            yield part.source_line, text
    extended = [part for part in top if part.kind is PartitionKind.EXTENDED]
    for part in extended[1:]:
        yield part.source_line, f"{disk.device}: a second extended partition: msdos has one"
    logical = [part for part in disk.partitions if part.kind is PartitionKind.LOGICAL]
    if logical and not extended:
        text = "a logical partition needs an extended one on the same disk"
        yield logical[0].source_line, f'{text}: add one with p_type="extended"'
    expected = range(5, 5 + len(logical))
    for part in logical:
        if part.number != NO_NUMBER and part.number not in expected:
            text = f"logical partitions have the numbers 5, 6, ... without gaps, not {part.number}"
            yield part.source_line, text


def _rows(disk: Disk) -> Found:
    for row, what in _split(disk.partitions):
        rest = [part for part in row if isinstance(part.size, Rest)]
        for part in rest[1:]:
            where = rest[0].source_line
            text = f'size="*" stands on line {where} already: only one of the {what} can have it'
            yield part.source_line, text
        shares = [part for part in row if isinstance(part.size, Percent)]
        total = sum(part.size.hundredths for part in shares if isinstance(part.size, Percent))
        if total > 10_000:
            text = f"the percentages of the {what} add up to {total / 100:g}, more than 100"
            yield shares[-1].source_line, text


def _sizes(disk: Disk) -> Found:
    if disk.label is not LabelType.MSDOS:
        return
    for part in disk.partitions:
        if isinstance(part.size, Fixed) and part.size.size > _MSDOS_LARGEST:
            yield part.source_line, "msdos ends at 2 TiB: write label_type gpt"


def _flags(disk: Disk) -> Found:
    for part in disk.partitions:
        if disk.label is LabelType.MSDOS:
            for flag in part.flags:
                if flag in _GPT_ONLY:
                    yield part.source_line, f'flag "{flag}" is of gpt only: remove it'
    active = [part for part in disk.partitions if Flag.BOOT in part.flags]
    if disk.label is LabelType.MSDOS:
        for part in active[1:]:
            text = f'flag "boot" stands on line {active[0].source_line} already'
            yield part.source_line, f"{text}: only one partition can be the active one"


def _bounds(disk: Disk) -> Found:
    for part in disk.partitions:
        line, bounds = part.source_line, (part.least, part.most)
        if isinstance(part.size, Fixed) and bounds != (None, None):
            yield line, 'min and max need a size that varies: write size="*" or a percentage'
        elif part.least is not None and part.most is not None and part.least > part.most:
            yield line, f"min is {format_bytes(part.least)}, more than max: make max larger"
    if disk.sector not in (None, 512, 4096):
        yield disk.source_line, f'sector="{disk.sector}" is neither 512 nor 4096'


def _choice(disk: Disk) -> Found:
    line, chosen = disk.source_line, disk.device.startswith(CHOSEN)
    if disk.rule is not None and (not chosen or "/" in disk.device.removeprefix(CHOSEN)):
        text = f"{disk.device} is chosen by rule, so it has a name of your choice"
        yield line, f'{text}: write dev="{CHOSEN}system", and {CHOSEN}system-part1 for partition 1'
    elif disk.rule is None and chosen:
        yield line, f'{disk.device} needs a rule, like choose="smallest" or min_size="20GiB"'


def _fit(disk: Disk, layout: Layout) -> Found:
    geometry = place(disk)
    logical = [part for part in disk.partitions if part.kind is PartitionKind.LOGICAL]
    least = least_sizes(disk, layout)
    small = list(too_small(disk, least))
    for part, most in small:
        text = f"max={format_bytes(most)} is less than what must fit into it"
        yield part.source_line, f"{text}: make it {least[part.number]}MiB at least"
    if small:
        return
    needed = smallest_disk(geometry, least)
    if needed is None and logical:
        line = logical[-1].source_line
        yield line, f"{disk.device}: the logical partitions do not fit into the extended one"
    elif needed is None:
        text = f"{disk.device}: the partitions fit on no disk: leave less than 100 % or fixed sizes"
        yield disk.source_line, text
    elif disk.capacity is not None and needed > disk.capacity:
        line = _too_large(geometry, disk.capacity)
        yield line, _too_large_text(disk, needed, disk.capacity)


def _too_large(geometry: Geometry, capacity: int) -> int:
    """The line of the first partition that passes the end of the golden client's disk."""
    disk = geometry.disk
    end = end_mib(disk, capacity)
    shares = geometry.shares(end)
    for extent in geometry.extents:
        if extent.end.at(end, shares) > end:
            return extent.partition.source_line
    return disk.source_line


def _too_large_text(disk: Disk, needed: int, capacity: int) -> str:
    return (
        f"the partitions of {disk.device} need {needed // MIB} MiB, but the disk has "
        f'{format_bytes(capacity)}: make them smaller, or give the last one size="*"'
    )


def _split(partitions: Sequence[Partition]) -> list[tuple[list[Partition], str]]:
    logical = [part for part in partitions if part.kind is PartitionKind.LOGICAL]
    others = [part for part in partitions if part.kind is not PartitionKind.LOGICAL]
    return [(others, "primary and extended partitions"), (logical, "logical partitions")]
