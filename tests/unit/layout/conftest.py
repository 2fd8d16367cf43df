"""A sound layout document that tests break in one place each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from si.layout.document import read_layout

SOUND = """<config format="1">
  <disk dev="/dev/vda" label_type="msdos" unit_of_measurement="MiB">
    <part num="1" size="256" p_type="primary" flags="boot"/>
    <part num="2" size="*" p_type="extended"/>
    <part num="5" size="512" p_type="logical" flags="swap"/>
    <part num="6" size="*" p_type="logical"/>
  </disk>
  <fsinfo line="10" real_dev="/dev/vda6" mp="/" fs="ext4" options="defaults" dump="0" pass="1"/>
  <fsinfo line="20" real_dev="/dev/vda1" mp="/boot" fs="ext4" options="defaults"/>
  <fsinfo line="30" real_dev="/dev/vda5" mp="swap" fs="swap" options="defaults"/>
  <fsinfo line="40" real_dev="proc" mp="/proc" fs="proc" options="defaults"/>
</config>
"""

Problems = Callable[..., list[str]]


@pytest.fixture
def sound() -> str:
    return SOUND


@pytest.fixture
def problems() -> Problems:
    """Replaces texts of the sound document, and gives what is then wrong as "line: message"."""

    def find(*changes: tuple[str, str], warnings: bool = False) -> list[str]:
        text = SOUND
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
            text = text.replace(old, new)
        _layout, found, warned = read_layout(text, "f")
        return [f"{problem.line}: {problem.message}" for problem in (warned if warnings else found)]

    return find
