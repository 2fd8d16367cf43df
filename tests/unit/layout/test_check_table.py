"""Partition tables at their limits, and disks that are chosen by rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from si.layout.check_table import least_sizes, table_problems, table_warnings
from si.layout.model import (
    MIB,
    Disk,
    DiskRule,
    Fixed,
    Flag,
    LabelType,
    Layout,
    Partition,
    PartitionKind,
    Percent,
    Rest,
    Size,
)

Problems = Callable[..., list[str]]
GPT, MSDOS = LabelType.GPT, LabelType.MSDOS
EXTENDED, LOGICAL = PartitionKind.EXTENDED, PartitionKind.LOGICAL


def part(number: int, size: Size, *flags: Flag, kind: PartitionKind | None = None) -> Partition:
    kind = kind or PartitionKind.PRIMARY
    return Partition(number, size, kind, flags, source_line=10 + number)


def told(disk: Disk) -> list[tuple[int, str]]:
    return list(table_problems(disk, Layout((disk,), ())))


def shares(*hundredths: int, kind: PartitionKind | None = None) -> tuple[Partition, ...]:
    first = 5 if kind is LOGICAL else 1
    return tuple(part(n, Percent(h), kind=kind) for n, h in enumerate(hundredths, first))


def test_shares_may_be_all_of_a_disk_and_not_more() -> None:
    assert told(Disk("/dev/sda", GPT, shares(2500, 5000, 2500))) == []
    assert told(Disk("/dev/sda", GPT, shares(2500, 5000, 2501))) == [
        (
            13,
            "the percentages of the primary and extended partitions add up to 100.01, "
            "more than 100",
        )
    ]


def test_shares_of_logical_partitions_are_a_sum_of_their_own() -> None:
    row = (part(1, Rest(), kind=EXTENDED), *shares(2500, 5000, 2501, kind=LOGICAL))
    assert (
        17,
        "the percentages of the logical partitions add up to 100.01, more than 100",
    ) in told(Disk("/dev/sda", MSDOS, row))


@pytest.mark.parametrize("flag", [Flag.BIOS_GRUB, Flag.LEGACY_BOOT])
def test_flags_of_gpt_only(flag: Flag) -> None:
    row = (part(1, Rest(), flag),)
    assert told(Disk("/dev/sda", GPT, row)) == []
    assert told(Disk("/dev/sda", MSDOS, row)) == [(11, f'flag "{flag}" is of gpt only: remove it')]


def test_only_msdos_has_one_active_partition() -> None:
    row = (part(1, Fixed(MIB), Flag.BOOT), part(2, Fixed(MIB), Flag.BOOT))
    assert told(Disk("/dev/sda", GPT, row)) == []
    assert [line for line, _text in told(Disk("/dev/sda", MSDOS, row))] == [12]


def test_flags_without_a_meaning_are_warned_of() -> None:
    row = (part(1, Fixed(MIB), Flag.LBA), part(2, Fixed(MIB), Flag.ROOT))
    assert list(table_warnings(Disk("/dev/sda", GPT, row))) == [
        (11, 'ignored: flag "lba" has no meaning on gpt'),
        (12, 'ignored: flag "root" has no meaning on gpt'),
    ]
    assert [line for line, _text in table_warnings(Disk("/dev/sda", MSDOS, row))] == [12]


@pytest.mark.parametrize(
    ("device", "rule", "lines"),
    [
        ("/dev/si/system", DiskRule(), []),
        ("/dev/sda", None, []),
        ("/dev/sda", DiskRule(), [7]),
        ("/dev/si/a/b", DiskRule(), [7]),
        ("/dev/si/system", None, [7]),
    ],
)
def test_a_disk_has_a_rule_or_a_name(device: str, rule: DiskRule | None, lines: list[int]) -> None:
    disk = Disk(device, GPT, (part(1, Rest()),), rule=rule, source_line=7)
    assert [line for line, _text in told(disk)] == lines


@pytest.mark.parametrize(
    ("alignment", "sector", "count"),
    [(MIB, 512, 0), (4 * MIB, 4096, 0), (MIB, 1024, 1)],
)
def test_alignment_and_sectors(alignment: int, sector: int | None, count: int) -> None:
    disk = Disk("/dev/sda", GPT, (part(1, Rest()),), alignment=alignment, sector=sector)
    assert len(told(disk)) == count


def test_the_numbers_of_msdos() -> None:
    extended = part(4, Rest(), kind=EXTENDED)
    logical = tuple(part(number, Fixed(MIB), kind=LOGICAL) for number in (5, 6))
    most = (*(part(number, Fixed(MIB)) for number in (1, 2, 3)), extended, *logical)
    assert told(Disk("/dev/sda", MSDOS, most)) == []
    fifth = (*most[:3], part(5, Fixed(MIB)), extended)
    found = told(Disk("/dev/sda", MSDOS, fifth))
    assert [line for line, _text in found] == [14, 15]


def test_how_small_a_partition_may_become() -> None:
    row = (Partition(1, Rest(), least=3 * MIB + 1), Partition(2, Percent(100)), part(3, Fixed(MIB)))
    disk = Disk("/dev/sda", GPT, row)
    layout = Layout((disk,), ())
    assert least_sizes(disk, layout) == {1: 16, 2: 16}
    large = Disk("/dev/sda", GPT, (Partition(1, Rest(), least=30 * MIB + 1),))
    assert least_sizes(large, Layout((large,), ())) == {1: 31}


def test_a_bound_is_told_of_once() -> None:
    low = Partition(1, Rest(), most=15 * MIB + 1, source_line=11)
    assert told(Disk("/dev/sda", GPT, (low,))) == [
        (11, "max=15728641B is less than what must fit into it: make it 16MiB at least")
    ]
    fixed = Partition(1, Fixed(MIB), most=1, source_line=11)
    assert told(Disk("/dev/sda", GPT, (fixed,))) == [
        (11, 'min and max need a size that varies: write size="*" or a percentage')
    ]


def test_gpt_goes_beyond_what_msdos_can_count() -> None:
    large = part(1, Fixed(3 * 2**40))
    assert told(Disk("/dev/sda", GPT, (large,))) == []
    assert [line for line, _text in told(Disk("/dev/sda", MSDOS, (large,)))] == [11]


def test_what_fits_on_no_disk() -> None:
    row = (part(1, Percent(10_000)), part(2, Fixed(MIB)))
    assert told(Disk("/dev/sda", GPT, row, source_line=7)) == [
        (
            7,
            "/dev/sda: the partitions fit on no disk: leave less than 100 % or fixed sizes",
        )
    ]
    inner = tuple(part(number, Fixed(50 * MIB), kind=LOGICAL) for number in (5, 6, 7))
    extended = part(1, Fixed(100 * MIB), kind=EXTENDED)
    assert told(Disk("/dev/sda", MSDOS, (extended, *inner))) == [
        (17, "/dev/sda: the logical partitions do not fit into the extended one")
    ]


def test_a_share_of_too_small_a_disk_is_told_of_the_disk() -> None:
    row = (part(1, Percent(100)), part(2, Fixed(MIB)))
    ((line, text),) = told(Disk("/dev/sda", GPT, row, capacity=100 * MIB, source_line=7))
    assert (line, text.partition(", but")[2]) == (
        7,
        ' the disk has 100MiB: make them smaller, or give the last one size="*"',
    )


@pytest.mark.parametrize("count", [1, 2])
def test_what_shrinks_is_told_beside_partitions_that_take_the_rest(count: int) -> None:
    """Where two take it, which is told as a problem, no less."""
    rest = tuple(part(number, Rest()) for number in range(1, count + 1))
    inner = (part(5, Fixed(512 * MIB), kind=LOGICAL), part(6, Fixed(487 * MIB), kind=LOGICAL))
    extended = part(3, Fixed(1000 * MIB), kind=EXTENDED)
    found = table_warnings(Disk("/dev/sda", MSDOS, (extended, *rest, *inner)))
    assert [line for line, _text in found] == [16]


def test_the_first_partition_past_the_end_is_named() -> None:
    row = tuple(part(number, Fixed(100 * MIB)) for number in (1, 2, 3, 4))
    disk = Disk("/dev/sda", GPT, row, capacity=250 * MIB)
    (found,) = told(disk)
    assert found == (
        13,
        "the partitions of /dev/sda need 402 MiB, but the disk has 250MiB: "
        'make them smaller, or give the last one size="*"',
    )
