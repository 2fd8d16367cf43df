"""What si-layout(5) shows can be written as it stands."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from lxml import etree

from si.layout.document import load_layout

ROOT = Path(__file__).parents[3]
MANUAL = (ROOT / "man/si-layout.5.rst").read_text()
SCHEMA = etree.XMLSchema(etree.parse(ROOT / "schemas/layout.xsd"))
EXAMPLES = [
    textwrap.dedent(block) for block in re.findall(r"^::\n\n((?:    .*\n)+)", MANUAL, re.MULTILINE)
]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_right(text: str) -> None:
    load_layout(text, "si-layout.5")
    assert SCHEMA.validate(etree.fromstring(text)), SCHEMA.error_log
