"""fstab and mounts of a golden client to the entries of a layout.

Stage 4. Pure. A part of `si.layout.infer`. fstab keeps its lines and their order, but that the
subvolumes of one btrfs come together, at the first of them. Subvolumes that nothing mounts (those
that systemd makes for itself, snapshots) become plain directories, if they are captured at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from si.client.fields import Raw
from si.client.record import Facts
from si.layout.fstab import FstabLine, parse_fstab
from si.layout.inventory import FoundPartition, Inventory
from si.layout.model import Comment, Entry, Filesystem, FilesystemType, Mount, Subvolume

STEP = 10
"""Distance of fstab line numbers, so that a person can put a line between."""

FAT16_TYPES = frozenset(("4", "6", "e", "14", "16", "1e"))
_FAT_SIZES = {"FAT12": "-F 12", "FAT16": "-F 16"}
_LISTED = re.compile(r"^ID \d+ .*? path (.+)$", re.MULTILINE)


def type_of(part: FoundPartition) -> FilesystemType | None:
    """The type of the file system on a partition, where it is one that BOEL makes."""
    return FilesystemType(part.fstype) if part.fstype in tuple(FilesystemType) else None


def fat_size(part: FoundPartition) -> str:
    """mkfs.vfat's option for FAT tables that are smaller than the usual 32 bits."""
    small = not part.fsver and part.type_id.lower() in FAT16_TYPES
    return "-F 16" if small else _FAT_SIZES.get(part.fsver, "")


def infer_entries(facts: Facts, inventory: Inventory, disks: set[str]) -> Iterator[Entry]:
    """Every entry of the layout whose disks are these."""
    ours = [part for d in inventory.disks if d.path in disks for part in d.partitions]
    ours += inventory.volumes
    subvolumes = _subvolumes(facts)
    lines = list(_lines(facts, inventory, ours))
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        order = number * STEP
        if isinstance(line, str):
            yield Comment(order, line)
            continue
        part = inventory.partition(line.source)
        if part is None or part not in ours or type_of(part) is None:
            yield _mount(order, line)
        elif type_of(part) is FilesystemType.BTRFS:
            if part.path not in seen:
                siblings = [other for other in lines if _is_on(other, part, inventory)]
                yield _btrfs(order, part, siblings, subvolumes)
        elif part.path not in seen:
            yield _filesystem(order, part, line)
        else:
            yield _mount(order, line)
        seen |= {part.path} if part is not None else set()


def _lines(
    facts: Facts, inventory: Inventory, ours: list[FoundPartition]
) -> Iterator[FstabLine | str]:
    """fstab, and a line for everything else that is mounted."""
    known = set()
    for line in parse_fstab(facts.fstab):
        if isinstance(line, FstabLine):
            part = inventory.partition(line.source)
            known |= {part.path} if part is not None else set()
        yield line
    for part in ours:
        if part.mount_points and part.path not in known:
            yield FstabLine(part.path, min(part.mount_points, key=len), part.fstype)


def _is_on(line: FstabLine | str, part: FoundPartition, inventory: Inventory) -> bool:
    return isinstance(line, FstabLine) and inventory.partition(line.source) == part


def _subvolumes(facts: Facts) -> dict[str, str]:
    """Name of the subvolume by mount point, as findmnt and `btrfs subvolume list` say it."""
    listed = {name for text in facts.layers.btrfs.values() for name in _LISTED.findall(text)}
    found = {}
    for raw in _walk(facts.findmnt.get("filesystems", [])):
        name = str(raw.get("fsroot") or "/").removeprefix("/")
        if raw.get("fstype") == "btrfs" and (name in listed or not listed) and name:
            found[str(raw["target"])] = name
    return found


def _btrfs(
    order: int,
    part: FoundPartition,
    lines: Iterable[FstabLine | str],
    mounted: dict[str, str],
) -> Filesystem:
    """One file system of all the lines that mount a subvolume of it."""
    plain = [line for line in lines if isinstance(line, FstabLine)]
    first = next((line for line in plain if line.mount_point == "/"), plain[0])
    made = _filesystem(order, part, replace(first, options=_without_subvolume(first.options)))
    subvolumes = []
    for line in plain:
        name = _named(line.options) or mounted.get(line.mount_point, "")
        options = _without_subvolume(line.options)
        if name:
            same = options == made.options
            subvolumes.append(Subvolume(name, line.mount_point, "" if same else options))
    return replace(made, subvolumes=tuple(subvolumes))


def _named(options: str) -> str:
    words = (word.partition("=") for word in options.split(","))
    names = (value for key, _equals, value in words if key == "subvol")
    return next(names, "").removeprefix("/")


def _without_subvolume(options: str) -> str:
    kept = [word for word in options.split(",") if not word.startswith(("subvol=", "subvolid="))]
    return ",".join(kept) or "defaults"


def _filesystem(order: int, part: FoundPartition, line: FstabLine) -> Filesystem:
    kind = type_of(part)
    assert kind is not None
    by_label = line.source.upper().startswith("LABEL=") and part.label
    return Filesystem(
        order=order,
        device=part.path,
        mount_point="swap" if kind is FilesystemType.SWAP else line.mount_point,
        type=kind,
        mount_source=f"LABEL={part.label}" if by_label else None,
        label=None if by_label else part.label or None,
        options=line.options,
        dump=line.dump,
        fsck_pass=line.fsck_pass,
        mkfs_opts=fat_size(part) if kind is FilesystemType.VFAT else "",
    )


def _mount(order: int, line: FstabLine) -> Mount:
    swap = line.type == "swap" and line.mount_point == "none"
    return Mount(
        order=order,
        source=line.source,
        mount_point="swap" if swap else line.mount_point,
        type=line.type,
        options=line.options,
        dump=line.dump,
        fsck_pass=line.fsck_pass,
    )


def _walk(raws: Iterable[Raw]) -> Iterator[Raw]:
    for raw in raws:
        yield raw
        yield from _walk(raw.get("children", []))
