"""Partitions never overlap, never pass the end, and are as large as they are said to be."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.layout.fitting import smallest_disk
from si.layout.geometry import (
    Extent,
    Geometry,
    Offset,
    end_mib,
    fixed_mib,
    place,
    share_mib,
)
from si.layout.model import (
    MIB,
    Disk,
    Fixed,
    LabelType,
    Partition,
    PartitionKind,
    Percent,
    Rest,
)
from tests.unit.layout.strategies import disks


def placed(geometry: Geometry, disk_bytes: int) -> dict[int, tuple[int, int]]:
    end = end_mib(geometry.disk, disk_bytes)
    shares = geometry.shares(end)
    return {
        extent.partition.number: (extent.start.at(end, shares), extent.end.at(end, shares))
        for extent in geometry.extents
    }


def extents_of(geometry: Geometry, *, logical: bool) -> list[Extent]:
    kind = PartitionKind.LOGICAL
    return [e for e in geometry.extents if (e.partition.kind is kind) is logical]


# What a disk is larger than it must be: a little, where roundings tell, or much.
EXTRA = st.one_of(st.integers(0, 400).map(lambda mib: mib * MIB), st.integers(0, 2**43))


@given(disks(), EXTRA)
def test_no_overlap_and_nothing_past_the_end(disk: Disk, extra: int) -> None:
    geometry = place(disk)
    least = dict.fromkeys((part.number for part in disk.partitions), 1)
    needed = smallest_disk(geometry, least)
    assert needed is not None
    size = needed + extra
    found = placed(geometry, size)
    for row in (extents_of(geometry, logical=False), extents_of(geometry, logical=True)):
        spans = [found[extent.partition.number] for extent in row]
        assert spans == sorted(spans)
        for before, after in itertools.pairwise(spans):
            assert before[1] <= after[0]
        for start, stop in spans:
            assert 1 <= start < stop <= size // MIB - 1
            assert start * MIB % disk.alignment == 0


@given(disks(), EXTRA)
def test_sizes_are_those_of_the_document(disk: Disk, extra: int) -> None:
    geometry = place(disk)
    needed = smallest_disk(geometry, dict.fromkeys((p.number for p in disk.partitions), 1))
    assert needed is not None
    end = end_mib(disk, needed + extra)
    found = placed(geometry, needed + extra)
    step = disk.alignment // MIB
    for part in disk.partitions:
        length = found[part.number][1] - found[part.number][0]
        logical = part.kind is PartitionKind.LOGICAL
        bound = part.most is not None and 0 <= part.most // MIB - length < step
        assert part.most is None or length * MIB <= part.most
        if isinstance(part.size, Fixed):
            assert length == -(-part.size.size // MIB)
        elif isinstance(part.size, Percent) and not bound:
            share = (end - step) * part.size.hundredths / 10_000
            assert 0 <= share - length - (step if logical else 0) < step
        elif isinstance(part.size, Rest) and not bound:
            stop = max(stop for start, stop in row_of(geometry, found, logical=logical))
            outer = [found[p.number][1] for p in disk.partitions if p.kind == "extended"]
            assert 0 <= (outer[0] if logical else end) - stop < 2 * step


def row_of(
    geometry: Geometry, found: dict[int, tuple[int, int]], *, logical: bool
) -> list[tuple[int, int]]:
    return [found[extent.partition.number] for extent in extents_of(geometry, logical=logical)]


@given(disks(), EXTRA)
def test_logical_partitions_lie_in_the_extended_one_with_gaps(disk: Disk, extra: int) -> None:
    geometry = place(disk)
    needed = smallest_disk(geometry, dict.fromkeys((p.number for p in disk.partitions), 1))
    assert needed is not None
    found = placed(geometry, needed + extra)
    outer = [e for e in geometry.extents if e.partition.kind is PartitionKind.EXTENDED]
    if not outer:
        return
    start, stop = found[outer[0].partition.number]
    cursor = start
    for extent in extents_of(geometry, logical=True):
        begin, end = found[extent.partition.number]
        assert begin >= cursor + 1
        cursor = end
    assert cursor <= stop


@given(disks())
def test_the_smallest_disk_is_the_smallest(disk: Disk) -> None:
    """To the MiB where that is the alignment; a larger one asks for some steps more."""
    disk = dataclasses.replace(disk, alignment=MIB)
    geometry = place(disk)
    least = {part.number: 20 for part in disk.partitions if not isinstance(part.size, Fixed)}
    needed = smallest_disk(geometry, least)
    assert needed is not None
    found = placed(geometry, needed)
    assert all(found[number][1] - found[number][0] >= 20 for number in least)
    smaller = placed(geometry, needed - MIB)
    end = end_mib(disk, needed - MIB)
    broken = [number for number in least if smaller[number][1] - smaller[number][0] < 20]
    outer = [e for e in geometry.extents if e.partition.kind is PartitionKind.EXTENDED]
    inner_end = smaller[outer[0].partition.number][1] if outer else end
    stops = [smaller[e.partition.number][1] for e in extents_of(geometry, logical=True)]
    past = [stop for _start, stop in smaller.values() if stop > end]
    assert broken or past or any(stop > inner_end for stop in stops)


def row(*sizes: object, **options: object) -> Disk:
    parts = tuple(Partition(n, size) for n, size in enumerate(sizes, 1))  # type: ignore[arg-type]
    return Disk("/dev/vda", LabelType.MSDOS, parts, **options)  # type: ignore[arg-type]


def mib(number: int) -> Fixed:
    return Fixed(number * MIB)


def test_by_hand() -> None:
    geometry = place(row(mib(100), Rest(), mib(50)))
    assert placed(geometry, 1000 * MIB) == {1: (1, 101), 2: (101, 949), 3: (949, 999)}
    assert [extent.start for extent in geometry.extents] == [
        Offset(1),
        Offset(101),
        Offset(-50, from_end=True),
    ]
    assert geometry.extents[1].end == Offset(-50, from_end=True)


def test_shares_by_hand() -> None:
    geometry = place(row(mib(100), Percent(2500), Rest(), Percent(1000)))
    assert placed(geometry, 1001 * MIB + 5) == {
        1: (1, 101),
        2: (101, 350),
        3: (350, 901),
        4: (901, 1000),
    }


def test_a_share_is_of_what_partitions_may_use() -> None:
    assert share_mib(Percent(10_000), 1000) == 999
    assert share_mib(Percent(1), 1000) == 0


def test_sizes_are_rounded_up() -> None:
    assert fixed_mib(Fixed(1)) == 1
    assert fixed_mib(Fixed(MIB)) == 1
    assert fixed_mib(Fixed(MIB + 1)) == 2


def test_what_fits_nowhere() -> None:
    disk = row(Percent(5000), Percent(5000), mib(1))
    assert smallest_disk(place(disk), {1: 1, 2: 1}) is None


@pytest.mark.parametrize(
    ("capacity_mib", "end", "shrunk"),
    [
        (1103, 1101, {}),  # fits
        (1102, 1101, {}),
        (1101, 1100, {2: 1}),
        (1052, 1051, {2: 50}),
        (1002, 1001, {2: 100}),  # a tenth of the disk
        (1001, 1101, {}),  # more than that
    ],
)
def test_the_last_partition_shrinks_a_little(
    capacity_mib: int, end: int, shrunk: dict[int, int]
) -> None:
    geometry = place(row(mib(500), mib(600), capacity=capacity_mib * MIB))
    assert geometry.shrunk_mib == shrunk
    assert placed(geometry, capacity_mib * MIB)[2] == (501, end)
    # A larger disk leaves it as it is: the size was written, only that disk was too small for it.
    assert placed(geometry, 10**12)[2] == (501, end)


def test_it_shrinks_to_half_at_most() -> None:
    disk = row(mib(2000), mib(100), capacity=2051 * MIB)
    assert place(disk).shrunk_mib == {}
    disk = dataclasses.replace(disk, capacity=2052 * MIB)
    assert place(disk).shrunk_mib == {2: 50}


def test_nothing_shrinks_where_something_can_give() -> None:
    disk = row(Rest(), mib(600), capacity=500 * MIB)
    assert place(disk).shrunk_mib == {}
    disk = row(Percent(3000), mib(1050), capacity=1000 * MIB)
    assert place(disk).shrunk_mib == {}


def test_an_extended_partition_may_be_empty() -> None:
    disk = row(mib(50), capacity=100 * MIB)
    extended = dataclasses.replace(disk.partitions[0], kind=PartitionKind.EXTENDED)
    empty = dataclasses.replace(disk, partitions=(extended,))
    assert placed(place(empty), 100 * MIB) == {1: (1, 51)}


def test_alignment_by_hand() -> None:
    sizes = (mib(1), mib(513), Percent(2500), Rest(), mib(50))
    geometry = place(row(*sizes, alignment=4 * MIB))
    assert end_mib(geometry.disk, 1003 * MIB) == 1000
    assert placed(geometry, 1003 * MIB) == {
        1: (4, 5),
        2: (8, 521),
        3: (524, 772),  # 249 of 996 are whole steps of 4 but one
        4: (772, 948),
        5: (948, 998),  # 50 takes 52
    }


@pytest.mark.parametrize("last", [Rest(), mib(100)])
def test_what_fits_on_a_disk_fits_on_every_larger_one(last: Rest | Fixed) -> None:
    """Several shares may take a step more at once, on a disk that has one step more."""
    geometry = place(row(*[Percent(3000)] * 3, last, alignment=64 * MIB))
    needed = smallest_disk(geometry, {4: 100})
    assert needed is not None
    for larger in range(0, 4096, 16):
        size = needed + larger * MIB
        start, stop = placed(geometry, size)[4]
        assert stop - start >= 100
        assert stop <= end_mib(geometry.disk, size)


def test_an_extended_partition_may_end_beside_a_step() -> None:
    logical = PartitionKind.LOGICAL
    inner = (Partition(5, Rest(), logical), Partition(6, mib(40), logical))
    outer = Partition(1, mib(513), PartitionKind.EXTENDED)
    disk = Disk("/dev/vda", LabelType.MSDOS, (outer, *inner), alignment=4 * MIB)
    assert placed(place(disk), 1000 * MIB) == {1: (4, 517), 5: (8, 472), 6: (476, 516)}


def bound(size: Percent | Rest, most_mib: int, number: int, **options: object) -> Partition:
    return Partition(number, size, most=most_mib * MIB, **options)  # type: ignore[arg-type]


def test_what_follows_a_bound_rest_moves_up_to_it() -> None:
    disk = Disk("/dev/vda", LabelType.GPT, (bound(Rest(), 100, 1), Partition(2, mib(50))))
    assert placed(place(disk), 1000 * MIB) == {1: (1, 101), 2: (101, 151)}
    assert placed(place(disk), 152 * MIB) == {1: (1, 101), 2: (101, 151)}
    assert placed(place(disk), 151 * MIB) == {1: (1, 100), 2: (100, 150)}


def test_what_a_bound_share_does_not_take_is_for_the_rest() -> None:
    disk = Disk("/dev/vda", LabelType.GPT, (bound(Percent(5000), 100, 1), Partition(2, Rest())))
    assert placed(place(disk), 1000 * MIB) == {1: (1, 101), 2: (101, 999)}
    assert placed(place(disk), 102 * MIB) == {1: (1, 51), 2: (51, 101)}


def test_bounds_of_logical_partitions_are_without_what_lies_before_them() -> None:
    logical = PartitionKind.LOGICAL
    parts = (
        bound(Rest(), 600, 1, kind=PartitionKind.EXTENDED),
        bound(Percent(5000), 100, 5, kind=logical),
        bound(Rest(), 200, 6, kind=logical),
        Partition(7, mib(30), logical),
    )
    disk = Disk("/dev/vda", LabelType.MSDOS, parts)
    assert placed(place(disk), 1000 * MIB) == {
        1: (1, 601),
        5: (2, 102),
        6: (103, 303),
        7: (304, 334),
    }
