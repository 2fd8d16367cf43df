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
from si.layout.inventory import Inventory
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

_ROLE = re.compile(r"^MD_DEVICE_\w+_ROLE=(\w+)\nMD_DEVICE_\w+_DEV=(\S+)$", re.MULTILINE)
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
    nodes = list(_nodes(facts.lsblk.get("blockdevices", []), ""))
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
        kind = row.get("segtype", "")
        if kind not in _PLAIN_TYPES:
            path = volume_path(row.get("vg_name", ""), row.get("lv_name", ""))
            yield f"{path} is a {kind} volume, which is not supported yet: linear ones are"


def _nodes(raws: Iterable[Raw], parent: str) -> Iterator[tuple[Raw, str]]:
    """Every device of lsblk with the path of what it stands on."""
    for raw in raws:
        path = str(raw.get("path") or f"/dev/{raw.get('name')}")
        yield raw, parent
        yield from ((node, on) for node, on in _nodes(raw.get("children", []), path))


def _raids(nodes: list[tuple[Raw, str]], layers: LayerFacts) -> Iterator[Raid]:
    members: dict[str, list[str]] = {}
    levels: dict[str, str] = {}
    for raw, parent in nodes:
        kind = str(raw.get("type"))
        if kind.startswith("raid") or kind == "linear":
            members.setdefault(str(raw.get("path")), []).append(parent)
            levels[str(raw.get("path"))] = kind.removeprefix("raid")
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
        if len(words) > 3 and not words[0].startswith("#"):
            yield words[0], words[3]


def _groups(layers: LayerFacts, inventory: Inventory) -> Iterator[VolumeGroup]:
    for row in layers.vgs:
        name = row.get("vg_name", "")
        paths = [pv.get("pv_name", "") for pv in layers.pvs if pv.get("vg_name") == name]
        members = tuple(plain_raid(inventory.names.get(path, path)) for path in paths)
        free, size = _bytes(row, "vg_free"), _bytes(row, "vg_size")
        extent = _bytes(row, "vg_extent_size")
        volumes = tuple(_volumes(name, layers))
        if not volumes:
            continue
        if free < size // _LITTLE_FREE:
            volumes = _with_rest(volumes, name, inventory)
        yield VolumeGroup(name, members, extent if extent != 4 * 1024**2 else None, volumes)


def _volumes(group: str, layers: LayerFacts) -> Iterator[LogicalVolume]:
    for row in layers.lvs:
        if row.get("vg_name") == group:
            pool = row.get("segtype") == "thin-pool"
            thin = row.get("pool_lv") or None if row.get("segtype") == "thin" else None
            size = Fixed(max(_bytes(row, "lv_size"), 512))
            yield LogicalVolume(row.get("lv_name", ""), size, pool, thin)


def _with_rest(
    volumes: tuple[LogicalVolume, ...], group: str, inventory: Inventory
) -> tuple[LogicalVolume, ...]:
    """The same, the largest volume that is no swap taking the rest."""
    fit = [volume for volume in volumes if volume.thin_pool is None]
    swaps = [
        volume
        for volume in fit
        if _type(inventory, volume_path(group, volume.name)) == FilesystemType.SWAP
    ]
    sizes = {v.name: v.size.size for v in volumes if isinstance(v.size, Fixed)}
    candidates = [volume for volume in fit if volume not in swaps] or fit
    chosen = max(candidates, key=lambda volume: sizes.get(volume.name, 0), default=None)
    return tuple(
        LogicalVolume(volume.name, Rest(), volume.is_pool) if volume is chosen else volume
        for volume in volumes
    )


def _type(inventory: Inventory, path: str) -> str:
    found = inventory.partition(path)
    return found.fstype if found is not None else ""


def _bytes(row: dict[str, str], name: str) -> int:
    text = row.get(name, "").partition(".")[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
