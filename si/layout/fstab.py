"""Reads fstab.

Stage 4. Pure. fstab(5): six fields separated by blanks, in which a blank is written \\040.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class FstabLine:
    """One line that mounts something."""

    source: str
    mount_point: str
    type: str
    options: str = "defaults"
    dump: int = 0
    fsck_pass: int = 0


def parse_fstab(text: str) -> Iterator[FstabLine | str]:
    """The lines of an fstab: those that mount, and as text comments, blanks, and what is neither.

    Blank lines at the end are left out.
    """
    for line in text.rstrip().splitlines():
        fields = [_unescape(field) for field in line.split()]
        if line.lstrip().startswith("#") or len(fields) < 3:
            yield line.strip()
            continue
        source, mount_point, kind = fields[:3]
        options = fields[3] if len(fields) > 3 else "defaults"
        dump, fsck_pass = _number(fields[4:5]), _number(fields[5:6])
        yield FstabLine(source, mount_point, kind, options, dump, fsck_pass)


def _number(field: list[str]) -> int:
    return int(field[0]) if field in (["1"], ["2"]) else 0


def _unescape(field: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), field)
