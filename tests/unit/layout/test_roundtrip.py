"""A layout survives its document, and the schema accepts what is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from lxml import etree

from si.layout.check import check_layout
from si.layout.document import dump_layout, load_layout, read_layout
from si.layout.model import (
    MIB,
    Bootloader,
    Disk,
    Filesystem,
    FilesystemType,
    Firmware,
    Fixed,
    Flag,
    LabelType,
    Layout,
    Partition,
)
from tests.unit.layout.strategies import layouts

SCHEMAS = Path(__file__).parents[3] / "schemas"
SCHEMA = etree.XMLSchema(etree.parse(SCHEMAS / "layout.xsd"))
EXAMPLES = sorted((SCHEMAS / "examples").glob("*.xml"))


def test_a_document_is_made_to_be_read() -> None:
    boot = Partition(1, Fixed(256 * MIB), flags=(Flag.BOOT, Flag.LBA))
    disk = Disk("/dev/sda", LabelType.MSDOS, (boot, Partition(2, Fixed(256 * MIB + 512))))
    root = Filesystem(10, "/dev/sda2", "/", FilesystemType.EXT4)
    loader = Bootloader("grub2", Firmware.LEGACY, ("/dev/sda",), "2", 5)
    assert dump_layout(Layout((disk,), (root,), loader)) == (
        """<config format="1">
  <disk dev="/dev/sda" label_type="msdos" unit_of_measurement="MiB">
    <part num="1" size="256" p_type="primary" flags="boot,lba"/>
    <part num="2" size="268435968B" p_type="primary"/>
  </disk>
  <bootloader flavor="grub2" install_type="legacy" default_entry="2" timeout="5">
    <target dev="/dev/sda"/>
  </bootloader>
  <fsinfo line="10" real_dev="/dev/sda2" mp="/" fs="ext4" options="defaults" dump="0" pass="0"/>
</config>
"""
    )


@settings(max_examples=50, deadline=None)
@given(layouts())
def test_load_gives_back_what_dump_wrote(layout: Layout) -> None:
    text = dump_layout(layout)
    read, problems, _warnings = read_layout(text, "f")
    assert problems == ()
    assert read == layout
    assert dump_layout(read) == text


@settings(max_examples=15, deadline=None)
@given(layouts())
def test_the_schema_accepts_what_dump_wrote(layout: Layout) -> None:
    document = etree.fromstring(dump_layout(layout))
    assert SCHEMA.validate(document), SCHEMA.error_log


@settings(max_examples=15, deadline=None)
@given(layouts())
def test_these_layouts_are_sound(layout: Layout) -> None:
    assert check_layout(layout, "f") == ()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_survives(path: Path) -> None:
    assert SCHEMA.validate(etree.parse(path)), SCHEMA.error_log
    layout = load_layout(path.read_bytes(), path.name)
    assert load_layout(dump_layout(layout), "f") == layout


@pytest.mark.parametrize(
    "text",
    [
        "<config/>",
        '<config format="1"><disk dev="vda" label_type="gpt"><part num="1" size="*"/></disk>'
        '<fsinfo line="1" comment=""/></config>',
        '<config format="1"><disk dev="/dev/vda" label_type="bsd"><part num="1" size="*"/></disk>'
        '<fsinfo line="1" comment=""/></config>',
        '<config format="1"><disk dev="/dev/vda" label_type="gpt"><part num="1" size="big"/></disk>'
        '<fsinfo line="1" comment=""/></config>',
        '<config format="1"><disk dev="/dev/vda" label_type="gpt"><part num="1" size="1" flags="x"'
        '/></disk><fsinfo line="1" comment=""/></config>',
    ],
)
def test_the_schema_refuses(text: str) -> None:
    assert not SCHEMA.validate(etree.fromstring(text))
