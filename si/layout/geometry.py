"""Where each partition begins and ends, for a disk whose size is known only when it is installed.

Stage 4. Pure. Positions are whole MiB, which is aligned on every disk with sectors of 512 or 4096
bytes, and which parted takes as exact. The first MiB stays free (boot loader, table), the last one
too (second table of gpt; and parted refuses a partition that ends with the disk, but for `100%`,
which is how a `*` at the end is written). A partition before the `*` is placed from the beginning,
one after it from the end, and a percentage is a share of what lies between. An `Offset` is such a
position: it has a number for every size of disk (`at`), and `si.script` writes the same sum as
shell arithmetic, so that what the tests try is what the client computes.

Fixed sizes are rounded up to whole MiB. Each logical partition is preceded by 1 MiB that holds its
own table; percentages of logical partitions include it.

Documents written by hand hold sizes that together slightly exceed the disk they were written for.
The rule: where nothing is `*` or a percentage and the capacity of the golden client's disk is
known, the last partition shrinks to fit that disk, if no more than a tenth of the disk is missing
and at least half of the partition remains. The last logical partition shrinks likewise to fit a
fixed extended one. More than that is an error, and so is a client's disk that is smaller still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from si.layout.model import (
    MIB,
    Disk,
    Fixed,
    Partition,
    PartitionKind,
    Percent,
    Rest,
)

FIRST_MIB = 1
LAST_MIB = 1
LOGICAL_GAP_MIB = 1
_MOST_MIB = 2**42


@dataclass(frozen=True, slots=True)
class Offset:
    """`mib`, plus the end of the disk, plus and minus shares of partitions (by number)."""

    mib: int
    from_end: bool = False
    plus: tuple[int, ...] = ()
    minus: tuple[int, ...] = ()

    def add(self, other: Offset) -> Offset:
        """This position moved up by a length."""
        return Offset(
            self.mib + other.mib, self.from_end, self.plus + other.plus, self.minus + other.minus
        )

    def take(self, other: Offset) -> Offset:
        """This position moved down by a length."""
        return Offset(
            self.mib - other.mib, self.from_end, self.plus + other.minus, self.minus + other.plus
        )

    def at(self, end_mib: int, shares: Mapping[int, int]) -> int:
        """The position in MiB on a disk with this end and these shares."""
        total = self.mib + (end_mib if self.from_end else 0)
        return total + sum(shares[n] for n in self.plus) - sum(shares[n] for n in self.minus)


@dataclass(frozen=True, slots=True)
class Extent:
    """A partition from `start` up to, but not including, `end`."""

    partition: Partition
    start: Offset
    end: Offset


@dataclass(frozen=True, slots=True)
class Geometry:
    """The extents of one disk in their order on it, and what was cut off the last partition."""

    disk: Disk
    extents: tuple[Extent, ...]
    shrunk_mib: Mapping[int, int]
    """MiB taken off a partition so that it fits, by partition number."""

    def shares(self, end_mib: int) -> dict[int, int]:
        """MiB of each percentage on a disk with this end."""
        return {
            partition.number: share_mib(partition.size, end_mib)
            for partition in self.disk.partitions
            if isinstance(partition.size, Percent)
        }


def end_mib(disk_bytes: int) -> int:
    """The first MiB that no partition may use on a disk of this many bytes."""
    return disk_bytes // MIB - LAST_MIB


def share_mib(size: Percent, end: int) -> int:
    """MiB of a percentage of the disk."""
    return (end - FIRST_MIB) * size.hundredths // 10_000


def fixed_mib(size: Fixed) -> int:
    """A fixed size in MiB, rounded up."""
    return -(-size.size // MIB)


def place(disk: Disk) -> Geometry:
    """Positions of all partitions of a disk. The disk must be free of what `check` refuses."""
    shrunk: dict[int, int] = {}
    top = [part for part in disk.partitions if part.kind is not PartitionKind.LOGICAL]
    extents = _place_row(top, Offset(FIRST_MIB), Offset(0, from_end=True), gap=0)
    if disk.capacity is not None:
        extents = _shrink_last(extents, Offset(end_mib(disk.capacity)), shrunk)
    extended = next((e for e in extents if e.partition.kind is PartitionKind.EXTENDED), None)
    logical = [part for part in disk.partitions if part.kind is PartitionKind.LOGICAL]
    if extended is not None:
        inner = _place_row(logical, extended.start, extended.end, gap=LOGICAL_GAP_MIB)
        extents += _shrink_last(inner, extended.end, shrunk)
    return Geometry(disk, tuple(extents), shrunk)


def smallest_disk(geometry: Geometry, least_mib: Mapping[int, int]) -> int | None:
    """Bytes of the smallest disk on which everything fits; None when it fits on none.

    `least_mib` says, by partition number, how small a partition without fixed size may become.
    """
    low, high = FIRST_MIB, _MOST_MIB
    if not _fits(geometry, high, least_mib):
        return None
    while low < high:
        middle = (low + high) // 2
        if _fits(geometry, middle, least_mib):
            high = middle
        else:
            low = middle + 1
    return low * MIB


def _place_row(
    partitions: list[Partition], start: Offset, end: Offset, *, gap: int
) -> list[Extent]:
    rest = next((n for n, part in enumerate(partitions) if isinstance(part.size, Rest)), None)
    before = partitions if rest is None else partitions[:rest]
    after = [] if rest is None else partitions[rest + 1 :]
    extents, cursor, space = [], start, Offset(gap)
    for partition in before:
        begin = cursor.add(space)
        cursor = begin.add(_length(partition, gap))
        extents.append(Extent(partition, begin, cursor))
    tail: list[Extent] = []
    for partition in reversed(after):
        begin = end.take(_length(partition, gap))
        tail.append(Extent(partition, begin, end))
        end = begin.take(space)
    if rest is not None:
        extents.append(Extent(partitions[rest], cursor.add(space), end))
    return [*extents, *reversed(tail)]


def _length(partition: Partition, gap: int) -> Offset:
    match partition.size:
        case Fixed() as size:
            return Offset(fixed_mib(size))
        case Percent():
            return Offset(-gap, plus=(partition.number,))
        case Rest():
            raise ValueError("only one partition of a row can take the rest")


def _shrink_last(extents: list[Extent], limit: Offset, shrunk: dict[int, int]) -> list[Extent]:
    """Cut the last extent at `limit` where the rule above allows it."""
    if not extents:
        return extents
    last = extents[-1]
    plain = all(isinstance(e.partition.size, Fixed) for e in extents)
    if not plain or limit.from_end or limit.plus or limit.minus:
        return extents
    missing = last.end.mib - limit.mib
    length = last.end.mib - last.start.mib
    if missing <= 0 or missing > limit.mib // 10 or missing > length // 2:
        return extents
    shrunk[last.partition.number] = missing
    return [*extents[:-1], replace(last, end=limit)]


def _fits(geometry: Geometry, disk_mib: int, least_mib: Mapping[int, int]) -> bool:
    end = end_mib(disk_mib * MIB)
    shares = geometry.shares(end)
    row_end = {False: FIRST_MIB, True: FIRST_MIB}
    extended = (FIRST_MIB, end)
    for extent in geometry.extents:
        begin, stop = extent.start.at(end, shares), extent.end.at(end, shares)
        logical = extent.partition.kind is PartitionKind.LOGICAL
        if extent.partition.kind is PartitionKind.EXTENDED:
            extended = (begin, stop)
        floor = max(row_end[logical], extended[0] if logical else FIRST_MIB)
        ceiling = extended[1] if logical else end
        least = least_mib.get(extent.partition.number, 1)
        if begin < floor or stop > ceiling or stop - begin < least:
            return False
        row_end[logical] = stop
    return True
