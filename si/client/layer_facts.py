"""What a golden client's own tools say of arrays, volume groups, encryption, btrfs and UEFI.

Stage 1. Pure; runs on clients (Python 3.9) and on the server, which believes none of it. A part of
the facts that older facts do not have. As the tools said it (decision 14), but for LUKS: of its
JSON only what a copy needs is kept, for salts and digests are nobody's business.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from si.client.fields import Fields, Raw

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class LayerFacts:
    """What stands between the partitions and the file systems of a golden client.

    pvs, vgs, lvs: the rows of LVM's JSON reports, sizes in bytes. mdadm: the text of
    `mdadm --detail --export` by array. luks: type and key derivation by encrypted device, under
    the names of LUKS2's JSON, with the name and options of crypttab. btrfs: the text of
    `btrfs subvolume list` by mount point. crypttab: the file. efi: the text of `efibootmgr`.
    """

    pvs: Rows = field(default_factory=list)
    vgs: Rows = field(default_factory=list)
    lvs: Rows = field(default_factory=list)
    mdadm: dict[str, str] = field(default_factory=dict)
    luks: dict[str, Raw] = field(default_factory=dict)
    btrfs: dict[str, str] = field(default_factory=dict)
    crypttab: str = ""
    efi: str = ""


_ROWS = {
    "pvs": ("pv_name", "vg_name"),
    "vgs": ("vg_name", "vg_extent_size", "vg_size", "vg_free"),
    "lvs": ("vg_name", "lv_name", "lv_size", "segtype"),
}
"""Of LVM's reports, and the columns that each row must have."""
_TEXT_MAPS = ("mdadm", "btrfs")
_TEXTS = ("crypttab", "efi")
_LUKS = {"type": str, "kdf": str, "iterations": int, "memory_kib": int}


def read_layers(fields: Fields) -> LayerFacts:
    """The object `layers` of facts.json; every part of it may be missing."""
    found: dict[str, Any] = {}
    for name, columns in _ROWS.items():
        if fields.has(name):
            found[name] = [_read_row(inner, columns) for inner in fields.inner_list(name)]
    for name in _TEXT_MAPS:
        if fields.has(name):
            found[name] = fields.text_map(name)
    for name in _TEXTS:
        if fields.has(name):
            found[name] = fields.text(name)
    if fields.has("luks"):
        found["luks"] = _read_luks(fields)
    fields.finish()
    return LayerFacts(**found)


def dump_layers(layers: LayerFacts) -> Raw:
    """The object that `read_layers` reads, without what is empty."""
    return {name: value for name, value in asdict(layers).items() if value}


def plain_luks(metadata: Raw) -> Raw:
    """What a copy needs of `cryptsetup luksDump --dump-json-metadata` (LUKS2 on-disk format)."""
    slots = metadata.get("keyslots")
    values = list(slots.values()) if isinstance(slots, dict) else []
    kdf = values[0].get("kdf") if values and isinstance(values[0], dict) else None
    if not isinstance(kdf, dict):
        return {"type": "LUKS2"}
    found = {"type": "LUKS2", "kdf": kdf.get("type")}
    found["iterations"] = kdf.get("time", kdf.get("iterations"))
    found["memory_kib"] = kdf.get("memory")
    return {name: value for name, value in found.items() if isinstance(value, _LUKS[name])}


def _read_row(fields: Fields, columns: tuple[str, ...]) -> dict[str, str]:
    row = {column: fields.text(column) for column in columns}
    return {**row, **fields.all_texts()}


def _read_luks(fields: Fields) -> dict[str, Raw]:
    value = fields.take("luks")
    if not isinstance(value, dict):
        raise fields.wrong("luks", "an object")
    for device, raw in value.items():
        known = isinstance(raw, dict) and all(
            name in _LUKS and isinstance(inner, _LUKS[name]) for name, inner in raw.items()
        )
        if not known:
            raise fields.wrong(f"luks[{device!r}]", "what is recorded of an encrypted device")
    return value
