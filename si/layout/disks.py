"""Reads <disk>, <part> and <bootloader> of either dialect.

Stage 4. Pure. What has no meaning here is told by name, never dropped in silence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxml import etree

from si.layout.faults import Attributes, Faults, line_of
from si.layout.membership import Memberships, plain_raid
from si.layout.model import (
    MIB,
    Bootloader,
    Disk,
    DiskRule,
    Firmware,
    Fixed,
    Flag,
    LabelType,
    Partition,
    PartitionKind,
    Pick,
    Size,
    partition_path,
)
from si.layout.sizes import SizeInvalid, parse_bytes, parse_size, parse_unit

NO_NUMBER = 0
"""Stands for a partition number that could not be read."""
NO_DEVICE = "?"
"""Stands for a disk's path that could not be read."""

_DEVICE = re.compile(r"/dev/[A-Za-z0-9][A-Za-z0-9._:+@-]*(?:/[A-Za-z0-9][A-Za-z0-9._:+@-]*)*")
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_MSDOS_ID = re.compile(r"(?:0x)?[0-9A-Fa-f]{1,2}")
_IGNORED_FLAGS = ("palo", "hp-service", "diag", "no_automount")
_MOST_ALIGNMENT = 1024 * MIB
_FLAVORS = ("grub2", "grub", "systemd", "rEFInd", "clover")


def read_disk(element: etree._Element, faults: Faults, memberships: Memberships) -> Disk:
    """The disk, with placeholders for what could not be read."""
    found = Attributes(element, faults)
    device = found.required("dev", "/dev/vda")
    if device is not None and not is_device(device):
        found.problem(f'dev="{device}" is no path of a disk: write one like /dev/vda')
        device = None
    label = _read_label(found)
    unit = _read_unit(found)
    capacity = _read_bytes(found, "capacity")
    rule = _read_rule(found)
    keep = found.yes("keep") or False
    alignment = _read_alignment(found)
    sector = found.number("sector")
    found.finish()
    frame = _Frame(device or NO_DEVICE, label, unit, memberships)
    partitions = []
    for child in element:
        if child.tag == "part":
            partitions.append(_read_partition(child, faults, frame))
        elif isinstance(child.tag, str):
            faults.unknown(line_of(child), f"<disk> holds <part> only, not <{child.tag}>")
    return Disk(
        frame.device, label, tuple(partitions), capacity, rule, keep, alignment, sector, found.line
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a partition has to know of its disk."""

    device: str
    label: LabelType
    unit: str
    memberships: Memberships


def is_device(text: str) -> bool:
    """Whether `text` can be the path of a block device."""
    return _DEVICE.fullmatch(text) is not None


def read_bootloader(element: etree._Element, faults: Faults) -> Bootloader | None:
    """The boot loader; None when it cannot be read."""
    found = Attributes(element, faults)
    flavor = found.required("flavor", "grub2")
    install_type = found.required("install_type", "legacy")
    entry, timeout = found.text("default_entry"), found.number("timeout")
    found.finish()
    devices = tuple(_read_targets(element, faults))
    if flavor is None or install_type is None:
        return None
    if flavor not in _FLAVORS:
        found.problem(f'flavor="{flavor}" is no boot loader that is known: write grub2')
    if install_type not in tuple(Firmware):
        found.problem(f'install_type="{install_type}" is neither legacy nor efi')
        return None
    return Bootloader(flavor, Firmware(install_type), devices, entry, timeout, found.line)


def _read_targets(element: etree._Element, faults: Faults) -> list[str]:
    devices = []
    for child in element:
        if child.tag == "target":
            found = Attributes(child, faults)
            device = found.required("dev", "/dev/vda")
            if found.text("path") is not None:
                found.warning("ignored: path of <target> has no meaning for GRUB")
            found.finish()
            if device is not None:
                devices.append(device)
        elif isinstance(child.tag, str):
            faults.unknown(line_of(child), f"<bootloader> holds <target> only, not <{child.tag}>")
    return devices


def _read_label(found: Attributes) -> LabelType:
    text = found.required("label_type", "gpt")
    if text in ("convert", "none"):
        instead = 'write the table that is there, msdos or gpt, and keep="yes"'
        found.problem(f'label_type="{text}" does not say what is on the disk: {instead}')
    elif text is not None and text not in tuple(LabelType):
        found.problem(f'label_type="{text}" is neither msdos nor gpt')
    elif text is not None:
        return LabelType(text)
    return LabelType.GPT


def _read_unit(found: Attributes) -> str:
    text = found.text("unit_of_measurement")
    try:
        return parse_unit(text) if text is not None else "MB"
    except SizeInvalid as error:
        found.problem(f"unit_of_measurement: {error}")
        return "MB"


def _read_bytes(found: Attributes, name: str) -> int | None:
    text = found.text(name)
    try:
        return parse_bytes(text) if text is not None else None
    except SizeInvalid as error:
        found.problem(f"{name}: {error}")
        return None


def _read_alignment(found: Attributes) -> int:
    alignment = _read_bytes(found, "alignment")
    if alignment is not None and (alignment % MIB or alignment > _MOST_ALIGNMENT):
        found.problem("alignment is no multiple of 1MiB up to 1GiB: write 1MiB or 4MiB")
        return MIB
    return alignment or MIB


def _read_rule(found: Attributes) -> DiskRule | None:
    pick, holds = found.text("choose"), found.text("holds")
    rotational = found.yes("rotational")
    least = _read_bytes(found, "min_size") or 0
    if pick is not None and pick not in tuple(Pick):
        found.problem(f'choose="{pick}" is none of {", ".join(Pick)}')
        pick = None
    if holds not in (None, "boot"):
        found.problem(f'holds="{holds}" is not known: write boot')
        holds = None
    if pick is None and holds is None and rotational is None and not least:
        return None
    return DiskRule(Pick(pick) if pick is not None else None, rotational, least, holds)


def _read_partition(element: etree._Element, faults: Faults, frame: _Frame) -> Partition:
    found = Attributes(element, faults)
    if "num" not in element.attrib:
        found.problem('<part> needs num="...", for example num="1"')
    number = found.number("num", least=1, most=128) or NO_NUMBER
    size = _read_size(found, frame.unit)
    kind = _read_kind(found)
    flags = _read_flags(found)
    name = found.text("p_name")
    type_id = _read_type_id(found, frame.label)
    keep = found.yes("keep") or False
    least, most = _read_bytes(found, "min"), _read_bytes(found, "max")
    _read_owners(found, frame, number)
    found.finish()
    if name is not None and (len(name) > 36 or not name.isprintable()):
        found.problem("p_name may have 36 characters at most, all of them printable")
    name = None if name == "-" else name
    return Partition(number, size, kind, flags, name, type_id, keep, least, most, found.line)


def _read_owners(found: Attributes, frame: _Frame, number: int) -> None:
    path = partition_path(frame.device, number)
    raid, group = found.text("raid_dev"), found.text("lvm_group")
    if raid not in (None, "-"):
        frame.memberships.raids.append((plain_raid(str(raid)), path, found.line))
    if group not in (None, "-"):
        frame.memberships.groups.append((str(group), path, found.line))


def _read_size(found: Attributes, unit: str) -> Size:
    text = found.required("size", "512")
    try:
        return parse_size(text, unit) if text is not None else Fixed(MIB)
    except SizeInvalid as error:
        found.problem(f"size: {error}")
        return Fixed(MIB)


def _read_kind(found: Attributes) -> PartitionKind:
    text = found.text("p_type")
    if text is not None and text not in tuple(PartitionKind):
        found.problem(f'p_type="{text}" is none of primary, extended, logical')
        return PartitionKind.PRIMARY
    return PartitionKind(text) if text is not None else PartitionKind.PRIMARY


def _read_flags(found: Attributes) -> tuple[Flag, ...]:
    flags: list[Flag] = []
    for word in re.split(r"[,\s]+", (found.text("flags") or "").lower()):
        if word in ("", "-"):
            continue
        if word in _IGNORED_FLAGS:
            found.warning(f'ignored: flag "{word}" has no meaning on a Linux PC')
        elif word not in tuple(Flag):
            found.problem(f'unknown flag "{word}": known are {", ".join(Flag)}')
        elif Flag(word) not in flags:
            flags.append(Flag(word))
    return tuple(flags)


def _read_type_id(found: Attributes, label: LabelType) -> str | None:
    text = found.text("id")
    if text is None:
        return None
    if label is LabelType.GPT:
        if _GUID.fullmatch(text):
            return text.upper()
        found.warning(f'ignored: id="{text}" is a type of msdos; on gpt write a type GUID')
        return None
    if _MSDOS_ID.fullmatch(text):
        return f"{int(text, 16):02x}"
    found.problem(f'id="{text}" is no partition type: write two hex digits, like 83')
    return None
