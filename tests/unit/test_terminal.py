"""Text from elsewhere on a terminal."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from si.terminal import align_columns, escape_controls, one_line


def test_a_console_cannot_drive_a_terminal() -> None:
    raw = b"ok\tcol\r\n\x1b]0;evil\x07\x9b2J\xff\r\n"
    assert escape_controls(raw) == "ok\tcol\n\\x1b]0;evil\\x07\\x9b2J\\xff\n"
    assert escape_controls("\x9b".encode()) == "\\x9b"


def test_text_cannot_be_turned_round() -> None:
    assert escape_controls("a\u202etxt.exe\u2066".encode()) == "a\\u202etxt.exe\\u2066"


@given(st.binary())
def test_no_control_is_left_of_any_bytes(data: bytes) -> None:
    text = escape_controls(data)
    assert all(c in "\n\t" or unicodedata.category(c) != "Cc" for c in text)
    text.encode("utf-8")


@given(st.text(), st.integers(min_value=3, max_value=40))
def test_one_line_is_one_and_fits(text: str, width: int) -> None:
    line = one_line(text, width)
    assert len(line) <= width
    assert line.splitlines() in ([], [line])


def test_columns() -> None:
    assert align_columns([("a", "bc"), ("def", "")]) == "a    bc\ndef\n"
    assert align_columns([]) == ""
