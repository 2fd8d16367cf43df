"""Arrays, encryption and volume groups of a golden client to those of its copies.

Stage 4. Pure. A part of `si.layout.infer`. Names, levels, members and sizes are the golden
client's; identifiers are not. A group whose space is all given out gets one volume that takes the
rest, for the same disk may hold some extents fewer after an install than it held before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from si.client.fields import Raw
from si.client.layer_facts import LayerFacts
from si.client.record import Facts
from si.layout.capacity import EXTENT
from si.layout.inventory import Inventory, device_path
from si.layout.membership import plain_raid
from si.layout.model import (
    Crypt,
    FilesystemType,
    Fixed,
    LogicalVolume,
    Pbkdf,
    Raid,
    RaidLevel,
    Rest,
    VolumeGroup,
    volume_path,
)
from si.layout.sizes import SECTOR

_ROLE = re.compile(r"^MD_DEVICE_\w+_ROLE=(\w+)\nMD_DEVICE_\w+_DEV=(\S+)$", re.MULTILINE)
_NUMBER = re.compile(r"([0-9]{1,19})(?:\.[0-9]*)?")
_PLAIN_TYPES = ("linear", "striped", "thin", "thin-pool")
_LITTLE_FREE = 20
"""A group of which less than one part in so many is free counts as given out."""


@dataclass(frozen=True, slots=True)
class InferredLayers:
    """The layers, and why a layout cannot describe some of them."""

    raids: tuple[Raid, ...]
    crypts: tuple[Crypt, ...]
    groups: tuple[VolumeGroup, ...]
    obstacles: tuple[str, ...]


def infer_layers(facts: Facts, inventory: Inventory) -> InferredLayers:
    """All layers of the golden client."""
    nodes = list(_nodes(facts.lsblk.get("blockdevices", [])))
    raids = tuple(_raids(nodes, facts.layers))
    crypts = tuple(_crypts(nodes, facts.layers, inventory))
    return InferredLayers(
        raids,
        crypts,
        tuple(_groups(facts.layers, inventory)),
        tuple(_obstacles(facts.layers)),
    )


def _obstacles(layers: LayerFacts) -> Iterator[str]:
    for row in layers.lvs:
        kind = row["segtype"]
        if kind not in _PLAIN_TYPES:
            path = volume_path(row["vg_name"], row["lv_name"])
            yield f"{path} is a {kind} volume, which is not supported yet: linear ones are"


def _nodes(raws: Iterable[Raw]) -> Iterator[tuple[Raw, str]]:
    """Every device of lsblk that stands on another one, and the path of that."""
    for raw in raws:
        children = raw.get("children", [])
        yield from ((child, device_path(raw)) for child in children)
        yield from _nodes(children)


def _raids(nodes: list[tuple[Raw, str]], layers: LayerFacts) -> Iterator[Raid]:
    members: dict[str, list[str]] = {}
    levels: dict[str, str] = {}
    for raw, parent in nodes:
        kind = str(raw.get("type"))
        if kind.startswith("raid") or kind == "linear":
            members.setdefault(device_path(raw), []).append(parent)
            levels[device_path(raw)] = kind.removeprefix("raid")
    for path, parents in members.items():
        text = layers.mdadm.get(path, "")
        roles = _ROLE.findall(text)
        active = sorted((int(role), device) for role, device in roles if role.isdigit())
        spares = tuple(device for role, device in roles if role == "spare")
        metadata = re.search(r"^MD_METADATA=(\S+)$", text, re.MULTILINE)
        yield Raid(
            plain_raid(path),
            RaidLevel(levels[path]) if levels[path] in tuple(RaidLevel) else RaidLevel.MIRROR,
            tuple(device for _role, device in active) or tuple(parents),
            spares,
            metadata[1] if metadata is not None else "1.2",
        )


def _crypts(
    nodes: list[tuple[Raw, str]], layers: LayerFacts, inventory: Inventory
) -> Iterator[Crypt]:
    options = dict(_crypttab(layers.crypttab))
    for raw, parent in nodes:
        if raw.get("type") != "crypt":
            continue
        name, on = str(raw.get("name")), inventory.names.get(parent, parent)
        luks = layers.luks.get(parent, {})
        pbkdf = Pbkdf.PBKDF2 if luks.get("kdf") == "pbkdf2" else Pbkdf.ARGON2ID
        memory = luks.get("memory_kib") if pbkdf is Pbkdf.ARGON2ID else None
        iterations = luks.get("iterations")
        yield Crypt(
            name,
            on,
            pbkdf=pbkdf,
            memory_kib=memory,
            iterations=iterations,
            options=options.get(name, "luks"),
        )


def _crypttab(text: str) -> Iterator[tuple[str, str]]:
    """Name and options of each line (crypttab(5)); a key file of the golden client is not kept."""
    for line in text.splitlines():
        words = line.split()
        if len(words) > 3:
            yield words[0], words[3]


def _groups(layers: LayerFacts, inventory: Inventory) -> Iterator[VolumeGroup]:
    for row in layers.vgs:
        name = row["vg_name"]
        paths = [pv["pv_name"] for pv in layers.pvs if pv["vg_name"] == name]
        members = tuple(plain_raid(inventory.names.get(path, path)) for path in paths)
        extent = _bytes(row["vg_extent_size"])
        volumes = tuple(_volumes(name, layers))
        if _bytes(row["vg_free"]) < _bytes(row["vg_size"]) // _LITTLE_FREE:
            volumes = _with_rest(volumes, name, inventory)
        if volumes:
            yield VolumeGroup(name, members, None if extent in (0, EXTENT) else extent, volumes)


def _volumes(group: str, layers: LayerFacts) -> Iterator[LogicalVolume]:
    for row in layers.lvs:
        if row["vg_name"] == group:
            pool = row["segtype"] == "thin-pool"
            thin = row.get("pool_lv") or None if row["segtype"] == "thin" else None
            size = Fixed(max(_bytes(row["lv_size"]), SECTOR))
            yield LogicalVolume(row["lv_name"], size, pool, thin)


def _with_rest(
    volumes: tuple[LogicalVolume, ...], group: str, inventory: Inventory
) -> tuple[LogicalVolume, ...]:
    """The same, the largest volume that is no swap taking the rest."""
    swaps = {found.path for found in inventory.volumes if found.fstype == FilesystemType.SWAP}
    fit = [volume for volume in volumes if volume.thin_pool is None]
    plain = [volume for volume in fit if volume_path(group, volume.name) not in swaps]
    chosen = max(plain or fit, key=_size, default=None)
    return tuple(
        LogicalVolume(volume.name, Rest(), volume.is_pool) if volume is chosen else volume
        for volume in volumes
    )


def _size(volume: LogicalVolume) -> int:
    assert isinstance(volume.size, Fixed)  # as `_volumes` makes them
    return volume.size.size


def _bytes(text: str) -> int:
    """As LVM says it, perhaps with decimals; 0 for what is no number."""
    found = _NUMBER.fullmatch(text)
    return int(found[1]) if found is not None else 0
