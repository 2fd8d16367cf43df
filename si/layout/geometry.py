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

A disk with a larger `alignment` has that as its step in place of 1 MiB: partitions begin at
multiples of it, shares and the end of the disk are rounded down to it, and a fixed size that is no
multiple of it leaves a gap before the next partition. A partition with `max` stops growing there:
a share leaves more to the `*`, and what follows a `*` moves up to it, so that the end of the disk
is what stays free.

Documents written by hand hold sizes that together slightly exceed the disk they were written for.
The rule: where nothing is `*` or a percentage and the capacity of the golden client's disk is
known, the last partition shrinks to fit that disk, if no more than a tenth of the disk is missing
and at least half of the partition remains. The last logical partition shrinks likewise to fit a
fixed extended one. More than that is an error, and so is a client's disk that is smaller still.
"""

from __future__ import annotations

from collections import Counter
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

LAST_MIB = 1


@dataclass(frozen=True, slots=True)
class Offset:
    """`mib`, plus the end of the disk, plus and minus shares of partitions (by number)."""

    mib: int
    from_end: bool = False
    plus: tuple[int, ...] = ()
    minus: tuple[int, ...] = ()

    def add(self, other: Offset) -> Offset:
        """This position moved up by a length."""
        plus, minus = _settle(self.plus + other.plus, self.minus + other.minus)
        return Offset(self.mib + other.mib, self.from_end, plus, minus)

    def take(self, other: Offset) -> Offset:
        """This position moved down by a length, or the length from another position to this."""
        plus, minus = _settle(self.plus + other.minus, self.minus + other.plus)
        from_end = self.from_end and not other.from_end
        return Offset(self.mib - other.mib, from_end, plus, minus)

    def at(self, end_mib: int, shares: Mapping[int, int]) -> int:
        """The position in MiB on a disk with this end and these shares."""
        total = self.mib + (end_mib if self.from_end else 0)
        return total + sum(shares[n] for n in self.plus) - sum(shares[n] for n in self.minus)


def _settle(plus: tuple[int, ...], minus: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Without what is both added and taken away."""
    added, taken = Counter(plus), Counter(minus)
    return tuple((added - taken).elements()), tuple((taken - added).elements())


@dataclass(frozen=True, slots=True)
class Extent:
    """A partition from `start` up to, but not including, `end`."""

    partition: Partition
    start: Offset
    end: Offset


@dataclass(frozen=True, slots=True)
class Share:
    """The length of a partition that depends on the disk: a percentage of it, or a length that the
    others of its row leave over, and never more than `most_mib`."""

    number: int
    of: Percent | Offset
    most_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Geometry:
    """The extents of one disk in their order on it, and what was cut off the last partition."""

    disk: Disk
    extents: tuple[Extent, ...]
    varying: tuple[Share, ...]
    """Each after those that it depends on."""
    shrunk_mib: Mapping[int, int]
    """MiB taken off a partition so that it fits, by partition number."""

    def shares(self, end_mib: int) -> dict[int, int]:
        """MiB of each share on a disk with this end."""
        found: dict[int, int] = {}
        step = step_mib(self.disk)
        for share in self.varying:
            length = (
                share_mib(share.of, end_mib, step)
                if isinstance(share.of, Percent)
                else share.of.at(end_mib, found)
            )
            found[share.number] = length if share.most_mib is None else min(length, share.most_mib)
        return found


def step_mib(disk: Disk) -> int:
    """MiB that every position of a beginning is a multiple of."""
    return disk.alignment // MIB


def end_mib(disk: Disk, disk_bytes: int) -> int:
    """The first MiB that no partition may use when the disk has this many bytes."""
    return _down(disk_bytes // MIB - LAST_MIB, step_mib(disk))


def share_mib(size: Percent, end: int, step: int = 1) -> int:
    """MiB of a percentage of the disk."""
    return _down((end - step) * size.hundredths // 10_000, step)


def fixed_mib(size: Fixed) -> int:
    """A fixed size in MiB, rounded up."""
    return -(-size.size // MIB)


def most_mib(partition: Partition, disk: Disk) -> int | None:
    """The MiB beyond which a partition does not grow: whole steps."""
    return None if partition.most is None else whole_steps(partition.most, disk)


def whole_steps(size: int, disk: Disk) -> int:
    """Bytes in MiB, rounded down to what a partition of varying size can have."""
    return _down(size // MIB, step_mib(disk))


def _down(mib: int, step: int) -> int:
    return mib // step * step


def place(disk: Disk) -> Geometry:
    """Positions of all partitions of a disk. The disk must be free of what `check` refuses."""
    shrunk: dict[int, int] = {}
    step = step_mib(disk)
    varying = [
        Share(part.number, part.size, _most_share(part, disk))
        for part in disk.partitions
        if isinstance(part.size, Percent)
    ]
    top = [part for part in disk.partitions if part.kind is not PartitionKind.LOGICAL]
    row = _Row(disk, Offset(step), Offset(0, from_end=True), gap=0)
    extents = row.place(top, varying)
    if disk.capacity is not None:
        extents = _shrink_last(extents, Offset(end_mib(disk, disk.capacity)), shrunk)
    extended = next((e for e in extents if e.partition.kind is PartitionKind.EXTENDED), None)
    logical = [part for part in disk.partitions if part.kind is PartitionKind.LOGICAL]
    if extended is not None:
        end = replace(extended.end, mib=_down(extended.end.mib, step))
        inner = _Row(disk, extended.start, end, gap=step).place(logical, varying)
        extents += _shrink_last(inner, extended.end, shrunk)
    return Geometry(disk, tuple(extents), tuple(varying), shrunk)


@dataclass(frozen=True, slots=True)
class _Row:
    """The partitions beside each other from `start` to `end`, with `gap` MiB before each."""

    disk: Disk
    start: Offset
    end: Offset
    gap: int

    def place(self, partitions: list[Partition], varying: list[Share]) -> list[Extent]:
        """Their extents; a `*` with a bound is put behind `varying`, and is a share from then."""
        rest = next((part for part in partitions if isinstance(part.size, Rest)), None)
        if rest is not None and rest.most is not None:
            others = [part for part in partitions if part is not rest]
            varying.append(Share(rest.number, self._left(others), most_mib(rest, self.disk)))
            rest = None
        at = len(partitions) if rest is None else partitions.index(rest)
        extents, cursor, space = [], self.start, Offset(self.gap)
        for partition in partitions[:at]:
            begin = cursor.add(space)
            extents.append(Extent(partition, begin, begin.add(self._length(partition))))
            cursor = begin.add(self._slot(partition))
        tail, end = [], self.end
        for partition in reversed(partitions[at + 1 :]):
            begin = end.take(self._slot(partition))
            tail.append(Extent(partition, begin, begin.add(self._length(partition))))
            end = begin.take(space)
        if rest is not None:
            extents.append(Extent(rest, cursor.add(space), end))
        return [*extents, *reversed(tail)]

    def _left(self, others: list[Partition]) -> Offset:
        """What others leave over for one more."""
        left = self.end.take(self.start).take(Offset(self.gap))
        for partition in others:
            left = left.take(Offset(self.gap)).take(self._slot(partition))
        return left

    def _slot(self, partition: Partition) -> Offset:
        """How far behind its beginning the next may begin."""
        length, step = self._length(partition), step_mib(self.disk)
        return replace(length, mib=-_down(-length.mib, step))

    def _length(self, partition: Partition) -> Offset:
        match partition.size:
            case Fixed() as size:
                return Offset(fixed_mib(size))
            case Percent():
                return Offset(-self.gap, plus=(partition.number,))
            case Rest():
                return Offset(0, plus=(partition.number,))


def _most_share(partition: Partition, disk: Disk) -> int | None:
    """A percentage of a logical partition includes the space before it."""
    most = most_mib(partition, disk)
    logical = partition.kind is PartitionKind.LOGICAL
    return most + step_mib(disk) if most is not None and logical else most


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
