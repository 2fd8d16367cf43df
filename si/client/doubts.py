"""What of a golden client an image cannot keep, or its copies cannot have.

Stage 1. Pure; runs on clients (Python 3.9). Facts in, sentences out: said aloud before a capture
rather than found out after an install.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from si.client.fields import Raw
from si.client.mounts import DISK_TYPES, REMOTE_TYPES
from si.client.record import Facts

_LAYERS = {"mpath": "multipath disks", "dm": "device-mapper disks"}


def find_doubts(facts: Facts, databases: Iterable[str]) -> tuple[str, ...]:
    """One sentence for each thing that will not come out on a copy as it is here."""
    return (
        *_layer_doubts(facts),
        *_boot_doubts(facts),
        *_mount_doubts(facts),
        *_swap_doubts(facts),
        *(
            f"{name} is running: its files are copied while they change; stop it for the capture"
            for name in sorted(databases)
        ),
    )


def _layer_doubts(facts: Facts) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for device in walk(facts.lsblk.get("blockdevices", [])):
        kind = str(device.get("type"))
        if kind in _LAYERS:
            found.setdefault(_LAYERS[kind], []).append(str(device["name"]))
    for what, names in sorted(found.items()):
        listed = ", ".join(sorted(set(names)))
        yield f"{what} ({listed}) cannot be installed by this version"


def _boot_doubts(facts: Facts) -> Iterator[str]:
    if facts.boot.loader != "grub":
        yield (
            f"boot loader {facts.boot.loader}: this version makes copies start with GRUB only, "
            "which was found on no disk"
        )
    elif not any("grub" in tool for tool in facts.tools):
        yield "grub-install is not installed: copies are made to start by the image's own"
    if facts.network.backend == "unknown":
        yield (
            "the network is set up by none of ifupdown, systemd-networkd and NetworkManager: "
            "copies get no network configuration of their own"
        )


def _mount_doubts(facts: Facts) -> Iterator[str]:
    devices = {device.get("path") for device in walk(facts.lsblk.get("blockdevices", []))}
    for mount in walk(facts.findmnt.get("filesystems", [])):
        target, kind = mount["target"], mount["fstype"]
        source = str(mount.get("source") or "")
        if kind in REMOTE_TYPES:
            yield f"{target} ({kind} from {source}) is not captured: it is on another machine"
        elif kind not in DISK_TYPES and source.partition("[")[0] in devices:
            yield f"{target} ({kind}) is not captured: {kind} cannot be installed by this version"


def _swap_doubts(facts: Facts) -> Iterator[str]:
    for swap in facts.swaps:
        if swap.type == "file":
            yield (
                f"swap file {swap.name} is not captured: copies need one of their own, "
                "made by a post-install script"
            )


def walk(items: Iterable[Raw]) -> Iterator[Raw]:
    """Each object of a tree of lsblk or findmnt."""
    for item in items:
        yield item
        yield from walk(item.get("children", []))
