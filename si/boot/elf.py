"""What an ELF file needs to run: its interpreter, its libraries, where to look for them.

Stage 6, pure. The bytes of a program go in, an `ElfFile` comes out. Read here and not asked of
`ldd`, because ldd executes the program it is asked about, and because the tree that programs are
taken from need not be the running system. Source: System V ABI, chapters 4 and 5.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29
_MAGIC = b"\x7fELF"
MACHINES: Mapping[str, int] = {"x86_64": 62}
"""e_machine of each architecture that flavors are built for."""


class ElfInvalid(ValueError):
    """The bytes begin like an ELF file but are not one."""


@dataclass(frozen=True, slots=True)
class ElfFile:
    """The part of an ELF file that the dynamic loader reads."""

    machine: int
    interpreter: str | None
    needed: tuple[str, ...]
    search: tuple[str, ...]
    """RUNPATH, else RPATH, as written: may hold $ORIGIN."""


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def is_elf(data: bytes) -> bool:
    """Whether `data` begins like an ELF file."""
    return data.startswith(_MAGIC)


def parse_elf(data: bytes) -> ElfFile:
    """Read the headers and the dynamic section of a 64-bit little-endian ELF file.

    Raises ElfInvalid for other classes of ELF files and for offsets outside of `data`.
    """
    if not is_elf(data) or data[4:6] != b"\x02\x01":
        raise ElfInvalid("not a 64-bit little-endian ELF file")
    try:
        machine = struct.unpack_from("<H", data, 18)[0]
        segments = _read_segments(data)
        interpreter = None
        dynamic: tuple[tuple[int, int], ...] = ()
        for segment in segments:
            if segment.kind == _PT_INTERP:
                interpreter = _text(data, segment.offset)
            elif segment.kind == _PT_DYNAMIC:
                dynamic = _read_dynamic(data, segment)
        needed, search = _read_names(data, dynamic, segments)
    except (struct.error, IndexError, OverflowError) as error:
        raise ElfInvalid("the ELF file is cut short") from error
    return ElfFile(machine, interpreter, needed, search)


def _read_segments(data: bytes) -> tuple[_Segment, ...]:
    table = struct.unpack_from("<Q", data, 32)[0]
    entry_size, count = struct.unpack_from("<HH", data, 54)
    segments = []
    for index in range(count):
        kind, _flags, offset, address, _physical, size = struct.unpack_from(
            "<IIQQQQ", data, table + index * entry_size
        )
        segments.append(_Segment(kind, offset, address, size))
    return tuple(segments)


def _read_dynamic(data: bytes, segment: _Segment) -> tuple[tuple[int, int], ...]:
    entries = []
    for offset in range(segment.offset, segment.offset + segment.size - 15, 16):
        tag, value = struct.unpack_from("<QQ", data, offset)
        if tag == 0:
            break
        entries.append((tag, value))
    return tuple(entries)


def _read_names(
    data: bytes, dynamic: tuple[tuple[int, int], ...], segments: tuple[_Segment, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tables = [value for tag, value in dynamic if tag == _DT_STRTAB]
    if not tables:
        return (), ()
    strings = _file_offset(tables[0], segments)
    needed = tuple(_text(data, strings + value) for tag, value in dynamic if tag == _DT_NEEDED)
    for wanted in (_DT_RUNPATH, _DT_RPATH):
        for tag, value in dynamic:
            if tag == wanted:
                folders = _text(data, strings + value).split(":")
                return needed, tuple(folder for folder in folders if folder)
    return needed, ()


def _file_offset(address: int, segments: tuple[_Segment, ...]) -> int:
    for segment in segments:
        inside = segment.address <= address < segment.address + segment.size
        if segment.kind == _PT_LOAD and inside:
            return address - segment.address + segment.offset
    raise ElfInvalid("the string table lies in no loaded segment")


def _text(data: bytes, offset: int) -> str:
    end = data.find(b"\0", offset)
    if offset >= len(data) or end < 0:
        raise ElfInvalid("a string runs past the end of the file")
    return data[offset:end].decode("utf-8", "surrogateescape")
