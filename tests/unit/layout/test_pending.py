"""What no master script can do yet is warned of, and refused by the plan, by name."""

from __future__ import annotations

import pytest

from si.errors import DocumentInvalid
from si.layout import pending
from si.layout.document import read_layout
from si.layout.pending import Feature
from si.script.plan import plan

GPT = """<config format="1">
  <disk dev="/dev/vda" label_type="gpt" unit_of_measurement="MiB">
    <part num="1" size="1" flags="bios_grub"/>
    <part num="2" size="1000"/>
    <part num="3" size="1000"/>
    <part num="4" size="1000"/>
    <part num="5" size="*"/>
  </disk>
  {section}
  <fsinfo line="10" real_dev="/dev/vda2" mp="/" fs="ext4"/>
  {line}
</config>
"""
RAID = '<raid><raid_disk name="/dev/md0" raid_level="1" devices="/dev/vda3 /dev/vda4"/></raid>'
ESP = '<bootloader flavor="{}" install_type="efi"/>'
ESP_LINE = '<fsinfo line="20" real_dev="/dev/vda3" mp="/boot/efi" fs="vfat"/>'
POOL = '<lvm_group name="v" devices="/dev/vda4"><lv name="a" size="64MiB" type="thin-pool"/>'
CASES = {
    "UEFI": (ESP.format("grub2"), ESP_LINE),
    "systemd-boot": (ESP.format("systemd"), ESP_LINE),
    "a thin pool": (f"<lvm>{POOL}</lvm_group></lvm>", ""),
    "software RAID": (RAID, ""),
    "LVM": (
        '<lvm><lvm_group name="v" devices="/dev/vda3"><lv name="a" size="*"/></lvm_group></lvm>',
        "",
    ),
    "encryption": ('<crypt name="c" dev="/dev/vda3"/>', ""),
    "btrfs": ("", '<fsinfo line="20" real_dev="/dev/vda3" mp="/srv" fs="btrfs"/>'),
}


@pytest.mark.parametrize("feature", CASES)
def test_it_is_told_by_name(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "PENDING", frozenset((Feature(feature),)))
    section, line = CASES[feature]
    document = GPT.format(section=section, line=line)
    if line == ESP_LINE:
        document = document.replace('num="3" size="1000"', 'num="3" size="1000" flags="esp"')
    layout, problems, warnings = read_layout(document, "f")
    assert problems == ()
    text = f"{feature} is not supported yet: no master script can be made of it"
    assert text in [warning.message for warning in warnings]
    with pytest.raises(DocumentInvalid) as caught:
        plan(layout, file="f")
    assert [str(problem) for problem in caught.value.problems] == [
        f"f:{9 if section else 11}: {text}"
    ]


@pytest.mark.parametrize(
    ("change", "feature"),
    [
        (('label_type="gpt"', 'label_type="gpt" alignment="4MiB"'), "alignment"),
        (('size="*"', 'size="*" max="9GiB"'), "max"),
        (('num="5"', 'num="5" keep="yes"'), "keep"),
        (('unit_of_measurement="MiB"', 'unit_of_measurement="MiB" keep="yes"'), "keep"),
    ],
)
def test_attributes(change: tuple[str, str], feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "PENDING", frozenset((Feature(feature),)))
    _layout, _problems, warnings = read_layout(
        GPT.format(section="", line="").replace(*change), "f"
    )
    assert any(warning.message.startswith(f"{feature} is not") for warning in warnings)


def test_a_disk_by_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "PENDING", frozenset((Feature("a disk chosen by rule"),)))
    text = GPT.format(section="", line="").replace('"/dev/vda"', '"/dev/si/s" choose="smallest"')
    layout, problems, warnings = read_layout(text.replace("/dev/vda", "/dev/si/s-part"), "f")
    assert problems == ()
    assert [warning.line for warning in warnings] == [2]
    assert layout.partition_paths().keys() >= {"/dev/si/s-part2"}


def test_uefi_without_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "PENDING", frozenset((Feature("UEFI"),)))
    document = GPT.format(section="", line=ESP_LINE).replace('num="3"', 'num="3" flags="esp"')
    _layout, problems, warnings = read_layout(document, "f")
    assert problems == ()
    assert [warning.line for warning in warnings] == [1]


def test_a_plain_layout_waits_for_nothing() -> None:
    layout, problems, warnings = read_layout(GPT.format(section="", line=""), "f")
    assert (problems, warnings) == ((), ())
    assert plan(layout)
