"""Every unit, `*`, percentages, and what is no size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.layout.model import Fixed, Percent, Rest, Size
from si.layout.sizes import (
    LARGEST,
    SizeInvalid,
    format_bytes,
    format_size,
    parse_bytes,
    parse_lvm_size,
    parse_size,
    parse_unit,
)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("MB", "MB"),
        ("mb", "MB"),
        ("megabytes", "MB"),
        ("MegaBytes", "MB"),
        ("MiB", "MiB"),
        ("mib", "MiB"),
        ("GB", "GB"),
        ("kB", "kB"),
        ("KB", "kB"),
        ("B", "B"),
        ("s", "s"),
        ("sectors", "s"),
        ("%", "%"),
        (" percent ", "%"),
        ("Percentage", "%"),
        ("percentages", "%"),
        ("sector", "s"),
        ("byte", "B"),
        ("bytes", "B"),
        ("kilobytes", "kB"),
        ("megabyte", "MB"),
        ("gigabytes", "GB"),
        ("terabytes", "TB"),
        ("TiB", "TiB"),
        ("KiB", "KiB"),
    ],
)
def test_units(text: str, unit: str) -> None:
    assert parse_unit(text) == unit


@pytest.mark.parametrize("text", ["", "M", "blocks", "MB/s", "ＭＢ"])
def test_unknown_units_are_told(text: str) -> None:
    with pytest.raises(SizeInvalid, match="write MiB"):
        parse_unit(text)


@pytest.mark.parametrize(
    ("text", "unit", "size"),
    [
        ("512", "MiB", Fixed(512 * 1024**2)),
        ("512", "MB", Fixed(512 * 1000**2)),
        ("101.975", "MB", Fixed(101_975_000)),
        (" 7 ", "GiB", Fixed(7 * 1024**3)),
        ("2048", "s", Fixed(2048 * 512)),
        ("1.0000001", "kB", Fixed(1000)),
        ("4GiB", "MB", Fixed(4 * 1024**3)),
        ("4 GiB", "%", Fixed(4 * 1024**3)),
        ("25", "%", Percent(2500)),
        ("12.5%", "MB", Percent(1250)),
        ("100%", "MB", Percent(10_000)),
        ("*", "MB", Rest()),
        (" * ", "%", Rest()),
        ("0", "MiB", Rest()),
        ("1", "TiB", Fixed(2**40)),
        ("1", "TB", Fixed(10**12)),
        ("1", "GB", Fixed(10**9)),
        ("1", "KiB", Fixed(1024)),
        ("512", "B", Fixed(512)),
        ("1", "s", Fixed(512)),
        ("0.01", "%", Percent(1)),
        ("1048576", "TiB", Fixed(LARGEST)),
    ],
)
def test_sizes(text: str, unit: str, size: Size) -> None:
    assert parse_size(text, unit) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1,5",
        "ten",
        "1e3",
        "0x10",
        "5 MB MB",
        "**",
        "1.",
        ".5",
        "٣",
        "100.01%",
        "1B",
        "1" * 25,
        "0.001%",
        "2000000TB",
        "511B",
        "1048576.1TiB",
    ],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(SizeInvalid):
        parse_size(text, "MB")


def test_a_fixed_size_is_asked_for() -> None:
    assert parse_bytes("12GiB") == 12 * 1024**3
    assert parse_bytes("4096") == 4096
    for text in ("*", "50%"):
        with pytest.raises(SizeInvalid, match="no fixed size"):
            parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096K", Fixed(4 * 1024**2)),
        ("512m", Fixed(512 * 1024**2)),
        ("10G", Fixed(10 * 1024**3)),
        ("1.5t", Fixed(3 * 1024**4 // 2)),
        (" 64 ", Fixed(64 * 1024**2)),
        ("10GB", Fixed(10 * 1000**3)),
        ("25%", Percent(2500)),
        ("25 % vg", Percent(2500)),
        ("100%VG", Percent(10_000)),
        ("100%FREE", Rest()),
        ("*", Rest()),
    ],
)
def test_sizes_as_lvcreate_takes_them(text: str, size: Size) -> None:
    assert parse_lvm_size(text) == size


@pytest.mark.parametrize("text", ["50%FREE", "50%PVS", "10x", "K", "1.2.3G"])
def test_what_is_no_size_of_a_volume(text: str) -> None:
    with pytest.raises(SizeInvalid):
        parse_lvm_size(text)


def test_the_shortest_text_is_written() -> None:
    assert format_bytes(12 * 1024**3) == "12GiB"
    assert format_bytes(101_000_000) == "101MB"
    assert format_bytes(513) == "513B"
    assert format_size(Percent(1250)) == "12.5%"
    assert format_size(Percent(10_000)) == "100%"
    assert format_size(Rest()) == "*"


@given(
    st.one_of(
        st.builds(Fixed, st.integers(512, LARGEST)),
        st.builds(Percent, st.integers(1, 10_000)),
        st.just(Rest()),
    ),
    st.sampled_from(["MB", "%", "s"]),
)
def test_a_size_survives_its_text(size: Size, unit: str) -> None:
    assert parse_size(format_size(size), unit) == size
