"""ELF files made byte by byte, and read back."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.boot.elf import MACHINES, ElfFile, ElfInvalid, is_elf, parse_elf
from tests.unit.boot.elf_maker import make_elf

NAMES = st.lists(st.from_regex(r"lib[a-z0-9_+-]{1,12}\.so\.[0-9]", fullmatch=True), max_size=8)
FOLDERS = st.lists(st.from_regex(r"(/[a-z0-9]{1,8}|\$ORIGIN)(/[a-z0-9]{1,8}){0,2}", fullmatch=True))


@given(NAMES, FOLDERS)
def test_reads_what_was_written(needed: list[str], folders: list[str]) -> None:
    data = make_elf(needed, runpath=folders, interpreter="/lib64/ld-linux-x86-64.so.2")
    assert parse_elf(data) == ElfFile(
        machine=MACHINES["x86_64"],
        interpreter="/lib64/ld-linux-x86-64.so.2",
        needed=tuple(needed),
        search=tuple(folders),
    )


def test_runpath_wins_over_rpath_and_rpath_counts_without_it() -> None:
    both = make_elf(["liba.so.1"], runpath=["/new"], rpath=["/old"])
    old = make_elf(["liba.so.1"], runpath=[], rpath=["/old", "$ORIGIN/../lib"])
    assert parse_elf(both).search == ("/new",)
    assert parse_elf(old).search == ("/old", "$ORIGIN/../lib")


def test_static_program_needs_nothing() -> None:
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    data = header + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 0, 0, 0, 0)
    assert parse_elf(data) == ElfFile(62, None, (), ())


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x01\x01" + bytes(80)])
def test_what_is_no_64_bit_elf_file_is_refused(data: bytes) -> None:
    with pytest.raises(ElfInvalid, match="64-bit"):
        parse_elf(data)


@given(st.data())
def test_damage_is_told_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(make_elf(["liba.so.1", "libb.so.2"], runpath=["/x"], interpreter="/ld.so"))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(16, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(20, len(whole)))])
    try:
        parse_elf(cut)
    except ElfInvalid:
        assert is_elf(cut)


@pytest.mark.parametrize("place", [32, 40 + 32])
def test_offsets_beyond_all_files(place: int) -> None:
    """The table of segments, and where the first segment lies."""
    data = bytearray(make_elf(["liba.so.1"], interpreter="/ld.so"))
    data[place : place + 8] = b"\xff" * 8
    with pytest.raises(ElfInvalid):
        parse_elf(bytes(data))
