"""Facts of a golden client: the typed record, and its JSON text in both directions.

Stage 1. Pure; runs on clients (Python 3.9) and on the server, which reads the text that a golden
client wrote and therefore believes none of it: bounded size, exact format number, every type
checked, no characters that a document or a terminal could choke on. What lsblk, sfdisk, findmnt
and ip said stays as they said it (decision 14), but its outline is checked, so that later code
may index it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from si.client.fields import Fields, Raw, load_fields
from si.client.layer_facts import LayerFacts, dump_layers, read_layers
from si.errors import FactsInvalid

FORMAT = 1
MAX_BYTES = 4 * 1024 * 1024
FIRMWARE = ("bios", "uefi")
BACKENDS = ("ifupdown", "networkd", "networkmanager", "unknown")

_RECORDED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class Kernel:
    """The kernel the golden client runs."""

    release: str
    cmdline: str


@dataclass(frozen=True)
class Swap:
    """One active swap; sizes in bytes."""

    name: str
    type: str
    size: int
    used: int
    prio: int


@dataclass(frozen=True)
class BootFacts:
    """How the golden client boots: loader ("grub", "none", ...), disks that carry it in their
    first sector, and the text of /etc/default/grub."""

    loader: str
    grub_disks: tuple[str, ...]
    grub_default: str


@dataclass(frozen=True)
class NetworkFacts:
    """Which of BACKENDS configures the network, and what `ip -json addr` said."""

    backend: str
    ip: list[Raw]


@dataclass(frozen=True)
class Facts:
    """All that is recorded of a golden client (`/etc/systemimager/facts.json`).

    lsblk, sfdisk (by disk), findmnt, blkid: as the tools said it. used_bytes and inodes: what
    the file systems that are captured hold. layers: arrays, volume groups and the like, of which
    facts of older versions know nothing.
    """

    recorded: str
    hostname: str
    arch: str
    firmware: str
    os_release: dict[str, str]
    kernel: Kernel
    lsblk: Raw
    sfdisk: dict[str, Raw]
    findmnt: Raw
    fstab: str
    swaps: tuple[Swap, ...]
    blkid: str
    boot: BootFacts
    network: NetworkFacts
    tools: dict[str, str]
    used_bytes: int
    inodes: int
    layers: LayerFacts = field(default_factory=LayerFacts)


def parse_facts(text: str | bytes, source: str) -> Facts:
    """Read the text of a facts.json; `source` is named in errors.

    Raises FactsInvalid (one line, which field and what is wrong) for anything that `dump_facts`
    would not have written: too large, no JSON, another format, a missing, unknown or ill-typed
    field.
    """
    fields = load_fields(text, source, error=FactsInvalid, max_bytes=MAX_BYTES)
    written = fields.integer("format")
    if written != FORMAT:
        raise FactsInvalid(
            f"{source}: facts of format {written}, this version reads {FORMAT}",
            hint="run the si-prepareclient that this server hands out on the golden client",
        )
    facts = _read_facts(fields)
    fields.finish()
    return facts


def dump_facts(facts: Facts) -> str:
    """The JSON text of `facts`, ending in a newline; `parse_facts` gives them back."""
    data: Raw = {
        "format": FORMAT,
        "recorded": facts.recorded,
        "hostname": facts.hostname,
        "arch": facts.arch,
        "firmware": facts.firmware,
        "os_release": facts.os_release,
        "kernel": {"release": facts.kernel.release, "cmdline": facts.kernel.cmdline},
        "lsblk": facts.lsblk,
        "sfdisk": facts.sfdisk,
        "findmnt": facts.findmnt,
        "fstab": facts.fstab,
        "swaps": [
            {"name": s.name, "type": s.type, "size": s.size, "used": s.used, "prio": s.prio}
            for s in facts.swaps
        ],
        "blkid": facts.blkid,
        "boot": {
            "loader": facts.boot.loader,
            "grub_disks": list(facts.boot.grub_disks),
            "grub_default": facts.boot.grub_default,
        },
        "network": {"backend": facts.network.backend, "ip": facts.network.ip},
        "tools": facts.tools,
        "used_bytes": facts.used_bytes,
        "inodes": facts.inodes,
    }
    layers = dump_layers(facts.layers)
    if layers:
        data["layers"] = layers
    return json.dumps(data, indent=1, ensure_ascii=True) + "\n"


def _read_facts(fields: Fields) -> Facts:
    recorded = fields.text("recorded")
    if _RECORDED.fullmatch(recorded) is None:
        raise fields.wrong("recorded", "a time like 2026-11-21T12:00:00Z")
    return Facts(
        recorded=recorded,
        hostname=fields.text("hostname"),
        arch=fields.text("arch"),
        firmware=fields.choice("firmware", FIRMWARE),
        os_release=fields.text_map("os_release"),
        kernel=_read_kernel(fields.inner("kernel")),
        lsblk=_read_tree(fields, "lsblk", "blockdevices", {"name": str, "type": str}),
        sfdisk=_read_tables(fields),
        findmnt=_read_tree(fields, "findmnt", "filesystems", {"target": str, "fstype": str}),
        fstab=fields.text("fstab"),
        swaps=tuple(_read_swap(inner) for inner in fields.inner_list("swaps")),
        blkid=fields.text("blkid"),
        boot=_read_boot(fields.inner("boot")),
        network=_read_network(fields.inner("network")),
        tools=fields.text_map("tools"),
        used_bytes=fields.integer("used_bytes"),
        inodes=fields.integer("inodes"),
        layers=read_layers(fields.inner("layers")) if fields.has("layers") else LayerFacts(),
    )


def _read_kernel(fields: Fields) -> Kernel:
    kernel = Kernel(fields.text("release"), fields.text("cmdline"))
    fields.finish()
    return kernel


def _read_swap(fields: Fields) -> Swap:
    swap = Swap(
        name=fields.text("name"),
        type=fields.text("type"),
        size=fields.integer("size"),
        used=fields.integer("used"),
        prio=fields.integer("prio", least=-(2**31)),
    )
    fields.finish()
    return swap


def _read_boot(fields: Fields) -> BootFacts:
    loader = fields.text("loader")
    boot = BootFacts(loader, fields.text_list("grub_disks"), fields.text("grub_default"))
    fields.finish()
    return boot


def _read_network(fields: Fields) -> NetworkFacts:
    network = NetworkFacts(fields.choice("backend", BACKENDS), fields.objects("ip"))
    fields.finish()
    return network


def _read_tables(fields: Fields) -> dict[str, Raw]:
    tables = fields.take("sfdisk")
    if not isinstance(tables, dict):
        raise fields.wrong("sfdisk", "an object")
    for disk, raw in tables.items():
        table = raw.get("partitiontable") if isinstance(raw, dict) else None
        if not isinstance(table, dict) or not _is_forest(
            table.get("partitions", []), {"node": str, "start": int, "size": int}
        ):
            raise fields.wrong(f"sfdisk[{disk!r}]", "what sfdisk --json says")
    return tables


def _read_tree(fields: Fields, name: str, list_name: str, types: Mapping[str, type]) -> Raw:
    tree = fields.take(name)
    if not isinstance(tree, dict) or not _is_forest(tree.get(list_name), types):
        raise fields.wrong(name, f"what {name} --json says")
    return tree


def _is_forest(value: Any, types: Mapping[str, type]) -> bool:
    """Whether `value` is a list of objects with these fields, their "children" alike."""
    if not isinstance(value, list):
        return False
    for item in value:
        if not isinstance(item, dict):
            return False
        if not all(isinstance(item.get(name), kind) for name, kind in types.items()):
            return False
        if not _is_forest(item.get("children", []), types):
            return False
    return True
