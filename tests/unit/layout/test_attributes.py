"""Attribute by attribute: what each is read as, and what is told of one that has no meaning."""

from __future__ import annotations

from typing import Any

import pytest

from si.layout.document import read_layout
from si.layout.model import (
    Bootloader,
    Disk,
    DiskRule,
    Firmware,
    Fixed,
    Flag,
    LabelType,
    Layout,
    Partition,
    PartitionKind,
    Pick,
    Raid,
    RaidLevel,
)

MIB = 1024**2
GUID = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"


def read(text: str) -> tuple[Layout, list[str]]:
    """The layout, and warnings and problems of reading alone."""
    layout, problems, warnings = read_layout(f"<config>{text}</config>", "f")
    return layout, [problem.message for problem in (*warnings, *problems)]


def disk(attributes: str = "", part: str = "", label: str = "msdos") -> tuple[Disk, list[str]]:
    text = f'<part num="1" size="512MiB" {part}/>'
    layout, told = read(f'<disk dev="/dev/vda" label_type="{label}" {attributes}>{text}</disk>')
    return layout.disks[0], told


def partition(part: str, label: str = "msdos") -> tuple[Partition, list[str]]:
    found, told = disk(part=part, label=label)
    return found.partitions[0], told


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        ("", {"rule": None, "keep": False, "alignment": MIB, "sector": None, "capacity": None}),
        ('keep="yes"', {"keep": True}),
        ('keep="no"', {"keep": False}),
        ('alignment="4MiB"', {"alignment": 4 * MIB}),
        ('sector="4096"', {"sector": 4096}),
        ('capacity="8GiB"', {"capacity": 8 * 1024**3}),
        ('choose="largest"', {"rule": DiskRule(Pick.LARGEST)}),
        ('holds="boot"', {"rule": DiskRule(holds="boot")}),
        ('rotational="no"', {"rule": DiskRule(rotational=False)}),
        ('rotational="yes"', {"rule": DiskRule(rotational=True)}),
        ('min_size="20GiB"', {"rule": DiskRule(min_bytes=20 * 1024**3)}),
    ],
)
def test_attributes_of_a_disk(attributes: str, fields: dict[str, Any]) -> None:
    found, _told = disk(attributes)
    assert {name: getattr(found, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        ("", {"keep": False, "least": None, "most": None, "flags": (), "name": None}),
        ('keep="yes"', {"keep": True}),
        ('min="1GiB" max="2GiB"', {"least": 1024**3, "most": 2 * 1024**3}),
        ('flags="boot lba,boot"', {"flags": (Flag.BOOT, Flag.LBA)}),
        ('flags="BOOT"', {"flags": (Flag.BOOT,)}),
        ('flags="-, boot"', {"flags": (Flag.BOOT,)}),
        ('id="83"', {"type_id": "83"}),
        ('id="0x7"', {"type_id": "07"}),
        ('id="c"', {"type_id": "0c"}),
    ],
)
def test_attributes_of_a_partition(part: str, fields: dict[str, Any]) -> None:
    found, _told = partition(part)
    assert {name: getattr(found, name) for name in fields} == fields


def test_a_size_without_any_unit_is_in_megabytes() -> None:
    layout, _told = read('<disk dev="/dev/a" label_type="gpt"><part num="1" size="7"/></disk>')
    assert layout.disks[0].partitions[0].size == Fixed(7_000_000)


def test_names_and_types_of_gpt() -> None:
    found, told = partition(f'p_name="{"x" * 36}" id="{GUID}"', "gpt")
    assert (found.name, found.type_id) == ("x" * 36, GUID.upper())
    assert not [text for text in told if "p_name" in text or "id=" in text]
    found, told = partition('p_name="-" id="83"', "gpt")
    assert (found.name, found.type_id) == (None, None)
    assert 'ignored: id="83" is a type of msdos; on gpt write a type GUID' in told


@pytest.mark.parametrize("flag", ["palo", "hp-service", "diag", "no_automount"])
def test_flags_of_other_machines_are_ignored_aloud(flag: str) -> None:
    found, told = partition(f'flags="{flag},boot"')
    assert found.flags == (Flag.BOOT,)
    assert f'ignored: flag "{flag}" has no meaning on a Linux PC' in told


@pytest.mark.parametrize("label", ["convert", "none"])
def test_a_label_that_says_not_what_is_there(label: str) -> None:
    _found, told = disk(label=label)
    assert [text for text in told if text.startswith(f'label_type="{label}" does not say')]


def test_a_dash_is_no_owner() -> None:
    _found, told = partition('raid_dev="-" lvm_group="-"')
    assert not [text for text in told if "has raid_dev" in text or "has lvm_group" in text]


def loader(attributes: str, inside: str = "") -> tuple[Bootloader | None, list[str]]:
    layout, told = read(f"<bootloader {attributes}>{inside}</bootloader>")
    return layout.bootloader, told


def test_a_boot_loader_in_full() -> None:
    found, told = loader(
        'flavor="grub2" install_type="legacy" default_entry="2" timeout="5"',
        '<target dev="/dev/a" path="/x"/><target dev="/dev/b"/><target dev="/dev/c"/><targt/>',
    )
    assert found == Bootloader("grub2", Firmware.LEGACY, ("/dev/a", "/dev/b", "/dev/c"), "2", 5)
    assert told.count("ignored: path of <target> has no meaning for GRUB") == 1
    assert "<bootloader> holds <target> only, not <targt>" in told
    plain = loader('flavor="grub2" install_type="legacy"', '<target dev="/dev/a"/>')[1]
    assert not any("ignored" in words for words in plain)


@pytest.mark.parametrize("flavor", ["grub2", "grub", "systemd", "rEFInd", "clover", "lilo"])
def test_boot_loaders_that_are_known(flavor: str) -> None:
    _found, told = loader(f'flavor="{flavor}" install_type="efi"')
    unknown = [text for text in told if "is no boot loader that is known" in text]
    assert bool(unknown) is (flavor == "lilo")


def raid(attributes: str) -> tuple[Raid, list[str]]:
    layout, told = read(f'<raid><raid_disk name="/dev/md/0" {attributes}/></raid>')
    return layout.raids[0], told


@pytest.mark.parametrize(
    ("text", "level"),
    [
        *((str(level), level) for level in RaidLevel),
        *((f"RAID{number}", RaidLevel(str(number))) for number in (0, 1, 4, 5, 6, 10)),
        ("stripe", RaidLevel.STRIPE),
        ("mirror", RaidLevel.MIRROR),
    ],
)
def test_names_of_levels(text: str, level: RaidLevel) -> None:
    found, told = raid(f'raid_level="{text}" devices="/dev/a /dev/b"')
    assert (found.device, found.level) == ("/dev/md0", level)
    assert not [line for line in told if "raid_level" in line]


@pytest.mark.parametrize(("text", "kib"), [("64", 64), ("64K", 64), ("64k", 64), ("4", 4)])
def test_chunks_are_in_kib(text: str, kib: int) -> None:
    found, _told = raid(f'raid_level="5" devices="/dev/a" chunk_size="{text}"')
    assert found.chunk == kib * 1024


def test_members_and_spares_by_their_number() -> None:
    devices = 'raid_level="1" devices="/dev/a, /dev/b,/dev/c"'
    for attributes, members, spares in (
        ("", 3, 0),
        ('spare_devices="1"', 2, 1),
        ('raid_devices="2"', 2, 1),
        ('raid_devices="2" spare_devices="1"', 2, 1),
    ):
        found, told = raid(f"{devices} {attributes}")
        assert (len(found.members), len(found.spares)) == (members, spares)
        assert found.holds == ("/dev/a", "/dev/b", "/dev/c")
        assert not [text for text in told if "say" in text]
    found, _told = raid('raid_level="1" devices="/dev/a" spare_devices="2"')
    assert (found.members, found.spares) == ((), ("/dev/a",))
    _found, told = raid(f'{devices} raid_devices="1" spare_devices="1"')
    assert "/dev/md0 has 3 devices, but raid_devices and spare_devices say 1 and 1" in told


def test_what_old_documents_say_in_vain() -> None:
    _found, told = raid('raid_level="1" devices="/dev/a" persistence="1" rounding="4"')
    for attribute in ("persistence", "rounding"):
        assert f"ignored: {attribute}, which arrays of today do not have" in told
    group = '<lvm version="{}"><lvm_group name="g" max_log_vols="{}" max_phys_vols="{}"/></lvm>'
    _layout, told = read(group.format(1, 5, 6))
    assert 'ignored: version="1" of <lvm>, the groups get the format of LVM 2' in told
    for attribute in ("max_log_vols", "max_phys_vols"):
        assert f"ignored: {attribute}, groups have no such limit here" in told
    _layout, told = read(group.format(2, 0, 0))
    assert not [text for text in told if text.startswith("ignored")]


@pytest.mark.parametrize(
    ("text", "tag", "examples"),
    [
        ("<disk/>", "disk", ["dev=/dev/vda", "label_type=gpt"]),
        ('<disk dev="/dev/a"><part/></disk>', "part", ["num=1", "size=512"]),
        ("<fsinfo/>", "fsinfo", ["mp=/home", "fs=ext4"]),
        ("<bootloader/>", "bootloader", ["flavor=grub2", "install_type=legacy"]),
        ('<bootloader install_type="efi"/>', "bootloader", ["flavor=grub2"]),
        ("<bootloader><target/></bootloader>", "target", ["dev=/dev/vda"]),
        ("<raid><raid_disk/></raid>", "raid_disk", ["name=/dev/md0", "raid_level=1"]),
        ("<crypt/>", "crypt", ["name=root_crypt", "dev=/dev/vda3"]),
        ("<lvm><lvm_group/></lvm>", "lvm_group", ["name=system"]),
        ("<lvm><lvm_group><lv/></lvm_group></lvm>", "lv", ["name=root", "size=4GiB"]),
    ],
)
def test_what_is_missing_is_told_with_an_example(text: str, tag: str, examples: list[str]) -> None:
    _layout, told = read(text)
    for name, value in (example.split("=") for example in examples):
        assert f'<{tag}> needs {name}="...", for example {name}="{value}"' in told
    assert not [line for line in told if "None" in line]


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("128", 128), ("129", 0), ("0", 0), ("-1", 0), ("٣", 0), ("1" * 20, 0), ("1.0", 0)],
)
def test_numbers_of_partitions(text: str, number: int) -> None:
    layout, told = read(f'<disk dev="/dev/a" label_type="gpt"><part num="{text}" size="*"/></disk>')
    assert layout.disks[0].partitions[0].number == number
    assert bool([line for line in told if line.startswith(f'num="{text}" is no whole')]) is (
        number == 0
    )


def test_an_attribute_that_is_not_known() -> None:
    _found, told = disk('captivity="1GiB"')
    assert "ignored: <disk> has no attribute captivity: did you mean capacity?" in told
    _found, told = disk('zzz="1"')
    known = "alignment, capacity, choose, dev, holds, keep, label_type, min_size, rotational, "
    known += "sector, unit_of_measurement"
    assert f"ignored: <disk> has no attribute zzz: it may have {known}" in told


@pytest.mark.parametrize(
    "path",
    [
        "disk",
        "disk/part",
        "bootloader",
        "bootloader/target",
        "fsinfo",
        "fsinfo/subvolume",
        "raid",
        "raid/raid_disk",
        "crypt",
        "lvm",
        "lvm/lvm_group",
        "lvm/lvm_group/lv",
    ],
)
def test_no_element_has_attributes_that_nobody_reads(path: str) -> None:
    *above, tag = path.split("/")
    text = f'<{tag} mispelled="1"/>'
    for name in reversed(above):
        text = f"<{name}>{text}</{name}>"
    _layout, told = read(text)
    assert f"<{tag}> has no attribute mispelled: it may have " in " ".join(told)


def test_what_cannot_be_read_counts_as_the_usual() -> None:
    assert disk(label="bsd")[0].label is LabelType.GPT
    assert partition('p_type="main"')[0].kind is PartitionKind.PRIMARY
    for size in ('size="much"', ""):
        layout, _told = read(f'<lvm><lvm_group name="g"><lv name="v" {size}/></lvm_group></lvm>')
        assert layout.volume_groups[0].volumes[0].size == Fixed(MIB)


@pytest.mark.parametrize(
    ("text", "extent", "says"),
    [
        ("0", None, None),
        ("8MiB", 8 * MIB, None),
        ("much", None, "phys_extent_size: 'much' is no size"),
        ("*", None, 'phys_extent_size="*" is no fixed size'),
    ],
)
def test_extents(text: str, extent: int | None, says: str | None) -> None:
    group = f'<lvm_group name="g" phys_extent_size="{text}"><x/><!-- x --></lvm_group>'
    layout, told = read(f"<lvm>{group}</lvm>")
    assert layout.volume_groups[0].extent == extent
    assert [line.startswith(str(says)) for line in told if "phys_extent_size" in line] == (
        [] if says is None else [True]
    )
    assert [line for line in told if "holds <lv> only" in line] == [
        "ignored: <lvm_group> holds <lv> only, not <x>"
    ]


@pytest.mark.parametrize("name", ["raid_devices", "iterations", "iter_time"])
def test_numbers_that_begin_at_1(name: str) -> None:
    for number in (0, 1):
        attribute = f'{name}="{number}"'
        raid_disk = f'<raid><raid_disk name="/dev/md0" raid_level="1" {attribute}/></raid>'
        _layout, told = read(f'{raid_disk}<crypt name="c" dev="/dev/a" {attribute}/>')
        assert (f"{attribute} is no whole number of at least 1" in told) is (number == 0)


@pytest.mark.parametrize(("text", "bytes_"), [("1GiB", 1024 * MIB), ("1025MiB", MIB)])
def test_alignment_ends_at_1_gib(text: str, bytes_: int) -> None:
    found, told = disk(f'alignment="{text}"')
    assert found.alignment == bytes_
    assert ("alignment is no multiple of 1MiB up to 1GiB: write 1MiB or 4MiB" in told) is (
        bytes_ == MIB
    )


@pytest.mark.parametrize(("text", "seconds"), [("999999999", 999999999), ("1000000000", None)])
def test_numbers_have_nine_digits_at_most(text: str, seconds: int | None) -> None:
    found, told = loader(f'flavor="grub2" install_type="efi" timeout="{text}"')
    assert found is not None
    assert found.timeout_s == seconds
    assert (f'timeout="{text}" is no whole number of at least 0' in told) is (seconds is None)


def test_yes_and_no_in_any_case() -> None:
    assert disk('keep="YES"')[0].keep is True
    found, told = disk('keep="1"')
    assert found.keep is False
    assert 'keep="1" is neither yes nor no' in told
