"""A golden client's disks as its own tools described them, put side by side.

Stage 4. Pure. In: `Facts`, of which lsblk's and sfdisk's JSON are raw and come from another
machine, hence nothing is assumed to be there. Out: `Inventory`, which `si.layout.infer` makes a
layout of and `si.layout.contradict` compares one with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from si.client.layer_facts import LayerFacts
from si.client.record import Facts
from si.layout.layers import mapper_path, volume_path

Raw = Mapping[str, Any]

VOLUME_TYPES = frozenset(
    ("lvm", "crypt", "linear", "md", *(f"raid{level}" for level in (0, 1, 4, 5, 6, 10)))
)
"""lsblk's types of arrays, opened encryption and volumes."""

_MEMBERS = ("linux_raid_member", "lvm2_member", "crypto_luks")
_BLKID_NAMES = {"TYPE": "fstype"}
_ESCAPED = re.compile(r"\\(.)")
_NUMBER = re.compile(r"[0-9]{1,3}$")


@dataclass(frozen=True, slots=True)
class FoundPartition:
    """One partition of a golden client; sizes in bytes, texts "" where unknown.

    Also an array, an opened encryption or a volume, with number 0 and no type.
    """

    path: str
    number: int
    start: int
    size: int
    type_id: str
    bootable: bool
    legacy_boot: bool
    name: str
    fstype: str
    fsver: str
    label: str
    mount_points: tuple[str, ...]
    """Where it is mounted; "swap" for active swap."""
    held_by: tuple[str, ...]
    """Arrays, volumes and the like that are made of it, as "lvm /dev/vg/root"."""


@dataclass(frozen=True, slots=True)
class FoundDisk:
    """One disk; `table` is sfdisk's word, "dos" or "gpt", "" without a table."""

    path: str
    size: int
    table: str
    mount_points: tuple[str, ...]
    partitions: tuple[FoundPartition, ...]
    sector: int

    @property
    def in_use(self) -> bool:
        """Whether something of it is mounted, active swap, or part of a volume."""
        # A member of a group may have no volume on it, and is missed no less.
        parts = any(
            part.mount_points or part.held_by or part.fstype == "lvm2_member"
            for part in self.partitions
        )
        return bool(parts or self.mount_points)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All disks, and which partition is meant by each way of naming one."""

    disks: tuple[FoundDisk, ...]
    names: Mapping[str, str]
    """Path of a device by "UUID=...", "LABEL=...", "PARTUUID=...", "PARTLABEL=..." and path."""
    volumes: tuple[FoundPartition, ...] = ()
    """Arrays, opened encryption and volumes; the path of a volume is /dev/GROUP/VOLUME."""

    def partition(self, source: str) -> FoundPartition | None:
        """The partition or volume that the first field of an fstab line means."""
        path = self.names.get(_plain(source))
        for disk in self.disks:
            for part in disk.partitions:
                if part.path == path:
                    return part
        return next((volume for volume in self.volumes if volume.path == path), None)


def take_inventory(facts: Facts) -> Inventory:
    """The disks of a golden client."""
    devices = _with_blkid(facts.lsblk.get("blockdevices", []), _read_blkid(facts.blkid))
    disks = [raw for raw in devices if raw.get("type") == "disk"]
    volume_names = name_volumes(facts.layers)
    names: dict[str, str] = {}
    volumes: dict[str, Raw] = {}
    for disk in disks:
        for raw in _children(disk):
            path = volume_names.get(device_path(raw), device_path(raw))
            # A btrfs of several devices, or a mirror's members, say the same of themselves.
            if raw.get("type") == "part" or raw.get("type") in VOLUME_TYPES:
                names |= {name: path for name in _names(raw) if _means_one(name, raw)}
            if raw.get("type") in VOLUME_TYPES:
                names |= dict.fromkeys((path, f"/dev/{_text(raw, 'kname')}"), path)
                volumes.setdefault(path, raw)
    mounted = _mounted(facts, names)
    found = (_disk(raw, facts.sfdisk.get(device_path(raw), {}), mounted) for raw in disks)
    offered = (_partition({"node": path}, raw, 1, mounted) for path, raw in volumes.items())
    return Inventory(tuple(found), names, tuple(offered))


def _means_one(name: str, raw: Raw) -> bool:
    """Whether a name is that of what one mounts: members of arrays and groups are not."""
    member = _text(raw, "fstype").lower() in _MEMBERS
    return not member or not name.startswith(("UUID=", "LABEL="))


def _with_blkid(devices: list[Raw], blkid: Mapping[str, Raw]) -> list[Raw]:
    """lsblk's tree, where udev told it nothing completed by what blkid read from the devices."""
    return [
        {
            **blkid.get(device_path(raw), {}),
            **{name: value for name, value in raw.items() if value is not None},
            "children": _with_blkid(raw.get("children", []), blkid),
        }
        for raw in devices
    ]


def _read_blkid(text: str) -> dict[str, Raw]:
    """`blkid -o export` under lsblk's names, by device."""
    devices: dict[str, Raw] = {}
    for block in text.split("\n\n"):
        lines = (line.partition("=") for line in block.splitlines())
        found = {name: _ESCAPED.sub(r"\1", value) for name, _equals, value in lines}
        named = {_BLKID_NAMES.get(name, name.lower()): value for name, value in found.items()}
        if "devname" in named:
            devices[named.pop("devname")] = named
    return devices


def _mounted(facts: Facts, names: Mapping[str, str]) -> dict[str, list[str]]:
    """Mount points by device, from findmnt and the list of swaps."""
    mounted: dict[str, list[str]] = {}
    for raw in _walk(facts.findmnt.get("filesystems", [])):
        source, where = _text(raw, "source"), _text(raw, "target")
        # A bind mount, or a subvolume of btrfs, is told as /dev/vda2[/sub/directory].
        source, bracket, _inside = source.partition("[")
        if source and where and (not bracket or raw.get("fstype") == "btrfs"):
            mounted.setdefault(names.get(source, source), []).append(where)
    for swap in facts.swaps:
        mounted.setdefault(names.get(swap.name, swap.name), []).append("swap")
    return mounted


def _disk(raw: Raw, sfdisk: Raw, mounted: Mapping[str, list[str]]) -> FoundDisk:
    path = device_path(raw)
    table: Raw = sfdisk.get("partitiontable", {})
    sector = _integer(table, "sectorsize") or 512
    by_path = {device_path(child): child for child in _children(raw)}
    partitions = (
        _partition(found, by_path.get(_text(found, "node"), {}), sector, mounted)
        for found in table.get("partitions", [])
        if _NUMBER.search(_text(found, "node"))
    )
    return FoundDisk(
        path,
        _integer(raw, "size"),
        _text(table, "label"),
        tuple(mounted.get(path, ())),
        tuple(sorted(partitions, key=lambda part: (part.start, part.number))),
        _integer(raw, "log-sec") or sector,
    )


def _partition(
    found: Raw, lsblk: Raw, sector: int, mounted: Mapping[str, list[str]]
) -> FoundPartition:
    node = _text(found, "node")
    number = _NUMBER.search(node) if "start" in found else None
    return FoundPartition(
        path=node,
        number=int(number[0]) if number is not None else 0,
        start=_integer(found, "start") * sector,
        size=_integer(found, "size") * sector or _integer(lsblk, "size"),
        type_id=_text(found, "type"),
        bootable=found.get("bootable") is True,
        legacy_boot="LegacyBIOSBootable" in _text(found, "attrs"),
        name=_text(found, "name"),
        fstype=_text(lsblk, "fstype").lower(),
        fsver=_text(lsblk, "fsver"),
        label=_text(lsblk, "label"),
        mount_points=tuple(mounted.get(node, ())),
        held_by=tuple(
            f"{_text(child, 'type')} {device_path(child)}"
            for child in _walk(lsblk.get("children", []))
            if child.get("type") != "part"
        ),
    )


def name_volumes(layers: LayerFacts) -> dict[str, str]:
    """/dev/GROUP/VOLUME by the name that device-mapper gives it."""
    pairs = ((row["vg_name"], row["lv_name"]) for row in layers.lvs)
    return {mapper_path(group, volume): volume_path(group, volume) for group, volume in pairs}


def _names(raw: Raw) -> Iterator[str]:
    yield device_path(raw)
    for tag in ("uuid", "label", "partuuid", "partlabel"):
        value = _text(raw, tag)
        if value:
            yield _plain(f"{tag.upper()}={value}")


def _plain(source: str) -> str:
    """One spelling for all ways to name a device in fstab."""
    for tag in ("UUID", "LABEL", "PARTUUID", "PARTLABEL"):
        directory = f"/dev/disk/by-{tag.lower()}/"
        if source.startswith(directory):
            source = f"{tag}={source.removeprefix(directory)}"
    tag, equals, value = source.partition("=")
    if not equals or source.startswith("/"):
        return source
    value = value.strip('"')
    return f"{tag.upper()}={value.lower() if tag.upper().endswith('UUID') else value}"


def _children(raw: Raw) -> Iterator[Raw]:
    yield from _walk(raw.get("children", []))


def _walk(raws: Any) -> Iterator[Raw]:
    for raw in raws:
        yield raw
        yield from _walk(raw.get("children", []))


def device_path(raw: Raw) -> str:
    """The path of a device of lsblk, which of old gives only its name."""
    return _text(raw, "path") or f"/dev/{_text(raw, 'name')}"


def _text(raw: Raw, name: str) -> str:
    value = raw.get(name)
    return value if isinstance(value, str) else ""


def _integer(raw: Raw, name: str) -> int:
    value = raw.get(name)
    return max(value, 0) if isinstance(value, int) else 0
