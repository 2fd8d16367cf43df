"""Reads <raid>, <crypt> and <lvm> of either dialect.

Stage 4. Pure. Whether members exist and names are good is for `si.layout.check_layers` to say.
"""

from __future__ import annotations

import re

from lxml import etree

from si.layout.disks import NO_DEVICE
from si.layout.faults import Attributes, Faults, line_of
from si.layout.membership import Memberships, plain_raid
from si.layout.model import (
    MIB,
    Crypt,
    Fixed,
    LogicalVolume,
    Pbkdf,
    Raid,
    RaidLevel,
    Size,
    VolumeGroup,
)
from si.layout.sizes import SizeInvalid, parse_lvm_size

_LEVELS = {
    **{str(level): level for level in RaidLevel},
    **{f"raid{level}": level for level in RaidLevel if level is not RaidLevel.LINEAR},
    **{"stripe": RaidLevel.STRIPE, "mirror": RaidLevel.MIRROR},
}
_RAID_IGNORED = ("persistence", "rounding")
_GROUP_IGNORED = ("max_log_vols", "max_phys_vols")


def read_raids(root: etree._Element, faults: Faults, memberships: Memberships) -> tuple[Raid, ...]:
    """All arrays: a <raid> of its own, or <raid_disk> elements in one."""
    raids = []
    for element in root.iterfind("raid"):
        if element.attrib:
            raids.append(_read_raid(element, faults, memberships))
        for child in element:
            if child.tag == "raid_disk":
                raids.append(_read_raid(child, faults, memberships))
            elif isinstance(child.tag, str):
                text = f"<raid> holds <raid_disk> only, not <{child.tag}>"
                faults.unknown(line_of(child), text)
    return tuple(raids)


def read_crypts(root: etree._Element, faults: Faults) -> tuple[Crypt, ...]:
    """All <crypt> elements."""
    return tuple(_read_crypt(element, faults) for element in root.iterfind("crypt"))


def read_groups(
    root: etree._Element, faults: Faults, memberships: Memberships
) -> tuple[VolumeGroup, ...]:
    """The volume groups of all <lvm> elements."""
    groups = []
    for element in root.iterfind("lvm"):
        found = Attributes(element, faults)
        if found.text("version") == "1":
            found.warning('ignored: version="1" of <lvm>, the groups get the format of LVM 2')
        found.finish()
        for child in element:
            if child.tag == "lvm_group":
                groups.append(_read_group(child, faults, memberships))
            elif isinstance(child.tag, str):
                text = f"<lvm> holds <lvm_group> only, not <{child.tag}>"
                faults.unknown(line_of(child), text)
    return tuple(groups)


def _read_raid(element: etree._Element, faults: Faults, memberships: Memberships) -> Raid:
    found = Attributes(element, faults)
    name = plain_raid(found.required("name", "/dev/md0") or NO_DEVICE)
    level = _read_level(found)
    devices = _read_devices(found) or memberships.of_raid(name)
    active, spare = found.number("raid_devices", least=1), found.number("spare_devices")
    metadata = found.text("metadata") or "1.2"
    chunk, layout = _read_chunk(found), found.text("layout")
    group = found.text("lvm_group")
    for attribute in _RAID_IGNORED:
        if found.text(attribute) is not None:
            found.warning(f"ignored: {attribute}, which arrays of today do not have")
    found.finish()
    if group is not None:
        memberships.groups.append((group, name, found.line))
    if active is None:
        active = max(len(devices) - (spare or 0), 0)
    if active > len(devices) or (spare is not None and active + spare != len(devices)):
        text = f"{name} has {len(devices)} devices, but raid_devices and spare_devices say"
        found.problem(f"{text} {active} and {spare or 0}")
    members, spares = devices[:active], devices[active:]
    return Raid(name, level, members, spares, metadata, chunk, layout, found.line)


def _read_level(found: Attributes) -> RaidLevel:
    text = found.required("raid_level", "1")
    if text is None:
        return RaidLevel.MIRROR
    level = _LEVELS.get(text.lower())
    if level is None:
        found.problem(f'raid_level="{text}" is none of {", ".join(RaidLevel)}')
    return level or RaidLevel.MIRROR


def _read_chunk(found: Attributes) -> int | None:
    """KiB, with or without the K."""
    text = found.text("chunk_size")
    if text is None:
        return None
    plain = re.fullmatch(r"([0-9]{1,7})[kK]?", text)
    chunk = int(plain[1]) if plain is not None else None
    if chunk is None or chunk < 4 or chunk.bit_count() > 1:
        found.problem(f'chunk_size="{text}" is no power of two of at least 4 KiB: write one, 512')
        return None
    return chunk * 1024


def _read_devices(found: Attributes) -> tuple[str, ...]:
    return tuple((found.text("devices") or "").replace(",", " ").split())


def _read_crypt(element: etree._Element, faults: Faults) -> Crypt:
    found = Attributes(element, faults)
    name = found.required("name", "root_crypt") or NO_DEVICE
    device = found.required("dev", "/dev/vda3") or NO_DEVICE
    key = found.text("key") or "prompt"
    pbkdf = found.text("pbkdf") or str(Pbkdf.ARGON2ID)
    memory = _read_memory(found)
    iterations, iter_time = found.number("iterations", least=1), found.number("iter_time", least=1)
    options = found.text("options") or "luks"
    found.finish()
    if pbkdf not in tuple(Pbkdf):
        found.problem(f'pbkdf="{pbkdf}" is none of {", ".join(Pbkdf)}')
        pbkdf = str(Pbkdf.ARGON2ID)
    return Crypt(
        name, device, key, Pbkdf(pbkdf), memory, iterations, iter_time, options, found.line
    )


def _read_memory(found: Attributes) -> int | None:
    size = _read_fixed(found, "memory")
    if size is not None and size % 1024:
        found.problem("memory must be whole KiB: write one like 64MiB")
    return size // 1024 if size is not None else None


def _read_group(element: etree._Element, faults: Faults, memberships: Memberships) -> VolumeGroup:
    found = Attributes(element, faults)
    name = found.required("name", "system") or NO_DEVICE
    devices = dict.fromkeys((*memberships.of_group(name), *_read_devices(found)))
    extent = _read_fixed(found, "phys_extent_size")
    for attribute in _GROUP_IGNORED:
        if found.text(attribute) not in (None, "0"):
            found.warning(f"ignored: {attribute}, groups have no such limit here")
    found.finish()
    volumes = []
    for child in element:
        if child.tag == "lv":
            volumes.append(_read_volume(child, faults))
        elif isinstance(child.tag, str):
            faults.unknown(line_of(child), f"<lvm_group> holds <lv> only, not <{child.tag}>")
    return VolumeGroup(name, tuple(devices), extent, tuple(volumes), found.line)


def _read_volume(element: etree._Element, faults: Faults) -> LogicalVolume:
    found = Attributes(element, faults)
    name = found.required("name", "root") or NO_DEVICE
    size = _read_size(found)
    kind, pool = found.text("type") or "linear", found.text("thin_pool")
    options = found.text("lv_options") or ""
    found.finish()
    if kind not in ("linear", "thin-pool", "thin"):
        found.problem(f'type="{kind}" is none of linear, thin-pool, thin')
    if kind == "thin" and pool is None:
        found.problem('type="thin" needs thin_pool="...", the name of its pool')
    return LogicalVolume(name, size, kind == "thin-pool", pool, options, found.line)


def _read_size(found: Attributes) -> Size:
    text = found.required("size", "4GiB")
    try:
        return parse_lvm_size(text) if text is not None else Fixed(MIB)
    except SizeInvalid as error:
        found.problem(f"size: {error}")
        return Fixed(MIB)


def _read_fixed(found: Attributes, name: str) -> int | None:
    text = found.text(name)
    if text is None or text == "0":
        return None
    try:
        size = parse_lvm_size(text)
    except SizeInvalid as error:
        found.problem(f"{name}: {error}")
        return None
    if not isinstance(size, Fixed):
        found.problem(f'{name}="{text}" is no fixed size: write one like 64MiB')
        return None
    return size.size
