"""The ESPs of the other disks of a mirror get what is on the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from si.layout.document import load_layout
from si.layout.model import Layout
from si.script.identifiers import Identifier, IdentifierKind, identifiers
from si.script.plan import plan
from si.script.render import render_steps

EXAMPLE = Path(__file__).parents[3] / "schemas/examples/raid1-lvm.xml"


def load(*changes: tuple[str, str]) -> Layout:
    text = EXAMPLE.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_layout(text, "f")


@pytest.mark.parametrize(
    ("flavor", "installs"),
    [("grub2", "install_grub_uefi /a "), ("systemd", "install_systemd_boot /a ")],
)
def test_it_is_made_and_filled_after_the_loader_is_installed(flavor: str, installs: str) -> None:
    layout = load(('flavor="grub2"', f'flavor="{flavor}"'))
    assert Identifier("UUID_esp_vdb1", IdentifierKind.VFAT_ID) in identifiers(layout)
    lines = render_steps(plan(layout)).splitlines()
    made = 'mkfs.vfat -F 32 -i "${UUID_esp_vdb1%-*}${UUID_esp_vdb1#*-}" /dev/vdb1'
    (installed,) = (number for number, line in enumerate(lines) if line.startswith(installs))
    assert lines.index(made) < installed
    assert lines[installed].endswith(" /boot/efi")
    assert lines[installed + 1] == "copy_esp /a/boot/efi /dev/vdb1"


def test_one_that_is_mounted_needs_no_copy() -> None:
    line = '<fsinfo line="35" real_dev="/dev/vdb1" mp="/boot/efi2" fs="vfat"/></config>'
    text = render_steps(plan(load(("</config>", line))))
    assert "copy_esp" not in text
    assert "install_grub_uefi /a /boot/efi /boot/efi2" in text


def test_one_that_is_kept_is_left_alone() -> None:
    second = '<disk dev="/dev/vdb" label_type="gpt" unit_of_measurement="MiB">\n    <part num="1"'
    layout = load((second, f'{second} keep="yes"'))
    assert not [each for each in identifiers(layout) if "esp_" in each.variable]
