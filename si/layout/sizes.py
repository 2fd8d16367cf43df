"""Sizes as text: every unit that either dialect of layout document knows.

Stage 4. Pure. Decimal units are powers of 1000 and binary ones of 1024, as in parted; `s` is a
sector of 512 bytes whatever the disk has. A size may carry its own unit ("512MiB", "25%"); one
without takes that of its disk.
"""

from __future__ import annotations

import re
from decimal import Decimal

from si.layout.model import Fixed, Percent, Rest, Size

PERCENT = "%"
LARGEST = 2**60
SECTOR = 512

_UNITS = {
    "TiB": 1024**4,
    "TB": 1000**4,
    "GiB": 1024**3,
    "GB": 1000**3,
    "MiB": 1024**2,
    "MB": 1000**2,
    "KiB": 1024,
    "kB": 1000,
    "B": 1,
}
_SYNONYMS = {
    **{unit.lower(): unit for unit in _UNITS},
    **{"s": "s", "sector": "s", "sectors": "s", "byte": "B", "bytes": "B"},
    **{"kilobytes": "kB", "megabyte": "MB", "megabytes": "MB", "gigabytes": "GB"},
    **{"terabytes": "TB"},
    **dict.fromkeys(("%", "percent", "percentage", "percentages"), PERCENT),
}
_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)\s*([A-Za-z]*|%)", re.ASCII)


_LVM_LETTER = re.compile(r"([0-9.]+)\s*([kmgt])", re.IGNORECASE | re.ASCII)
_LVM_SHARE = re.compile(r"([0-9.]+)\s*%\s*(VG|FREE|PVS)?", re.IGNORECASE | re.ASCII)


class SizeInvalid(ValueError):
    """A text that is no size; the message says what to write instead."""


def parse_unit(text: str) -> str:
    """The unit that `text` means, any case and synonym. Raises SizeInvalid."""
    unit = _SYNONYMS.get(text.strip().lower())
    if unit is None:
        raise SizeInvalid(f"unknown unit {text!r}: write MiB, GiB, MB, GB, B, s or %")
    return unit


def parse_size(text: str, unit: str) -> Size:
    """The size that `text` means, in `unit` (of `parse_unit`) when it has none of its own.

    `*`, and 0 as in generation 5, is the rest. Raises SizeInvalid.
    """
    text = text.strip()
    if text == "*":
        return Rest()
    found = _SIZE.fullmatch(text)
    if found is None:
        raise SizeInvalid(f"{text!r} is no size: write a number, like 512 or 512MiB, or *")
    number, own = Decimal(found[1]), found[2]
    unit = parse_unit(own) if own else unit
    if number == 0:
        return Rest()
    return _percent(number) if unit == PERCENT else _fixed(number, unit)


def parse_lvm_size(text: str) -> Size:
    """The size of a volume as lvcreate takes it, or as a partition's.

    One letter is a binary unit ("4096K", "10G"), none is MiB, and shares are those of the group:
    "25%", "25%VG", and "100%FREE" for the rest. Raises SizeInvalid.
    """
    text = text.strip()
    share = _LVM_SHARE.fullmatch(text)
    if share is not None and (share[2] or "VG").upper() != "VG":
        if share[1] == "100":
            return Rest()
        raise SizeInvalid(f"{text!r} depends on what was made before: write a share of the group")
    if share is not None:
        return parse_size(f"{share[1]}%", PERCENT)
    letter = _LVM_LETTER.fullmatch(text)
    if letter is not None:
        return parse_size(f"{letter[1]}{letter[2].upper()}iB", "MiB")
    return parse_size(text, "MiB")


def parse_bytes(text: str) -> int:
    """A size that must be fixed, in bytes when it has no unit. Raises SizeInvalid."""
    size = parse_size(text, "B")
    if not isinstance(size, Fixed):
        raise SizeInvalid(f"{text!r} is no fixed size: write a number and a unit, like 12GiB")
    return size.size


def format_bytes(size: int) -> str:
    """`size` in the unit that makes the shortest whole number of it: "12GiB", "101MB", "513B"."""
    exact = [(size // factor, unit) for unit, factor in _UNITS.items() if size % factor == 0]
    number, unit = min(exact)
    return f"{number}{unit}"


def format_size(size: Size) -> str:
    """The text of a size; `parse_size` gives it back, whatever the disk's unit."""
    match size:
        case Rest():
            return "*"
        case Percent(hundredths):
            return f"{Decimal(hundredths) / 100:f}%"
        case Fixed(number):
            return format_bytes(number)


def _percent(number: Decimal) -> Percent:
    hundredths = int(number * 100)
    if not 1 <= hundredths <= 10_000:
        raise SizeInvalid(f"{number}% is no share of a disk: write 1 to 100")
    return Percent(hundredths)


def _fixed(number: Decimal, unit: str) -> Fixed:
    size = int(number * (SECTOR if unit == "s" else _UNITS[unit]))
    if not SECTOR <= size <= LARGEST:
        raise SizeInvalid(f"{number} {unit} is no possible size of a partition")
    return Fixed(size)
