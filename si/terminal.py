"""Text from elsewhere, made fit for a terminal, and columns.

Stage: none. Pure. What clients send passes here before it is shown: a log must not drive a
terminal, nor hide one text behind another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# C0 but for tab and line end, DEL, C1, and what turns the direction of writing or breaks lines.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape_controls(data: bytes) -> str:
    """`data` as text whose only control characters are line ends and tabs."""
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return _CONTROLS.sub(_escape, text)


def one_line(text: str, width: int) -> str:
    """`text` fit for a cell: escaped, every run of white space one space, at most `width` long."""
    line = " ".join(escape_controls(text.encode("utf-8", "backslashreplace")).split())
    return line if len(line) <= width else line[: width - 3] + "..."


def align_columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of as many cells each as lines, their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
             for row in rows)  # fmt: skip
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
