"""Ask a golden client about arrays, volume groups, encryption, btrfs and UEFI.

Stage 1, effects; runs on clients (Python 3.9). Each tool is asked only where lsblk shows what it
is for, so that a machine without LVM needs no LVM tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from si.client.fields import Raw, clean_text
from si.client.layer_facts import LayerFacts, Rows, plain_luks
from si.errors import SIError
from si.system.run import run

_REPORTS = {
    "pvs": "pv_name,vg_name,pv_size",
    "vgs": "vg_name,vg_extent_size,vg_size,vg_free",
    "lvs": "vg_name,lv_name,lv_size,segtype,pool_lv,lv_layout,data_percent",
}


def gather_layers(root: Path, lsblk: Raw, findmnt: Raw) -> LayerFacts:
    """What is recorded of this machine beside its partitions; files are read below `root`.

    Raises ToolMissing, and CommandFailed where a tool fails for something that is there.
    """
    devices = list(_walk(lsblk.get("blockdevices", [])))
    kinds = {str(device.get("type")) for device in devices}
    formats = {str(device.get("fstype")) for device in devices}
    lvm = "lvm" in kinds or "LVM2_member" in formats
    encrypted = [_path(device) for device in devices if device.get("fstype") == "crypto_LUKS"]
    arrays = sorted({_path(device) for device in devices if _is_array(device)})
    return LayerFacts(
        pvs=_ask_lvm("pvs") if lvm else [],
        vgs=_ask_lvm("vgs") if lvm else [],
        lvs=_ask_lvm("lvs") if lvm else [],
        mdadm={array: _ask(["mdadm", "--detail", "--export", array]) for array in arrays},
        luks={device: _ask_luks(device) for device in sorted(set(encrypted))},
        btrfs={where: _ask(["btrfs", "subvolume", "list", where]) for where in _btrfs(findmnt)},
        crypttab=_read(root / "etc/crypttab"),
        efi=_ask_efi(root),
    )


def _is_array(device: Raw) -> bool:
    kind = str(device.get("type"))
    return kind.startswith("raid") or kind in ("md", "linear")


def _btrfs(findmnt: Raw) -> Iterator[str]:
    """One mount point of each btrfs, the shortest: the list is the same at all of them."""
    found: dict[str, str] = {}
    for mount in _walk(findmnt.get("filesystems", [])):
        if mount.get("fstype") == "btrfs":
            uuid, where = str(mount.get("uuid")), str(mount["target"])
            found[uuid] = min(found.get(uuid, where), where, key=len)
    yield from found.values()


def _ask_lvm(report: str) -> Rows:
    words = ["--reportformat", "json", "--units", "b", "--nosuffix", "-o", _REPORTS[report]]
    answer = json.loads(_ask([report, *words]))
    rows = [row for part in answer["report"] for row in part[report[:-1]]]
    return [{str(name): str(value) for name, value in row.items()} for row in rows]


def _ask_luks(device: str) -> Raw:
    done = run(["cryptsetup", "luksDump", "--dump-json-metadata", device], check=False)
    try:
        metadata = json.loads(done.stdout) if done.exit_code == 0 else None
    except ValueError:
        metadata = None
    # LUKS1 has no JSON, nor have cryptsetups before 2.4.
    return plain_luks(metadata) if isinstance(metadata, dict) else {"type": "LUKS"}


def _ask_efi(root: Path) -> str:
    if not (root / "sys/firmware/efi").is_dir():
        return ""
    try:
        return _ask(["efibootmgr"])
    except SIError:
        # Firmware whose variables cannot be read still starts what is on the ESP.
        return ""


def _ask(argv: list[str]) -> str:
    return clean_text(run(argv).stdout.decode("utf-8", "replace"))


def _read(file: Path) -> str:
    try:
        return clean_text(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""


def _path(device: Raw) -> str:
    return str(device.get("path") or f"/dev/{device['name']}")


def _walk(items: Iterable[Raw]) -> Iterator[Raw]:
    for item in items:
        yield item
        yield from _walk(item.get("children", []))
