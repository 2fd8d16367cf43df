"""Makes ELF files that no program runs but that say what they need."""

from __future__ import annotations

import struct

BASE = 0x400000


def make_elf(
    needed: list[str],
    *,
    runpath: list[str] | None = None,
    rpath: list[str] | None = None,
    interpreter: str = "",
    machine: int = 62,
) -> bytes:
    """A 64-bit shared object with a dynamic section."""
    strings = bytearray(b"\0")

    def add(text: str) -> int:
        offset = len(strings)
        strings.extend(text.encode() + b"\0")
        return offset

    dynamic = [(1, add(name)) for name in needed]
    if rpath is not None:
        dynamic.append((15, add(":".join(rpath))))
    if runpath:
        dynamic.append((29, add(":".join(runpath or []))))
    interpreter_at = add(interpreter)
    segments = 3 if interpreter else 2
    body = 64 + segments * 56
    dynamic_at = body + len(strings)
    dynamic += [(5, BASE + body), (0, 0)]
    table = b"".join(struct.pack("<QQ", *entry) for entry in dynamic)
    size = dynamic_at + len(table)
    heads = [(1, 0, BASE, size), (2, dynamic_at, BASE + dynamic_at, len(table))]
    if interpreter:
        heads.append((3, body + interpreter_at, 0, len(interpreter) + 1))
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, segments, 0, 0, 0)
    programs = b"".join(
        struct.pack("<IIQQQQQQ", kind, 4, offset, address, address, length, length, 1)
        for kind, offset, address, length in heads
    )
    return header + programs + bytes(strings) + table
