"""What can be wrong with file systems and the lines of fstab.

Stage 4. Pure. A part of `si.layout.check`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from si.layout.check_table import CHOSEN
from si.layout.disks import NO_DEVICE, NO_NUMBER, is_device
from si.layout.model import (
    Comment,
    Disk,
    Filesystem,
    FilesystemType,
    Flag,
    Layout,
    Mount,
    Partition,
    PartitionKind,
)

Found = Iterator[tuple[int, str]]

_LABEL_LENGTHS = {
    **dict.fromkeys((FilesystemType.EXT2, FilesystemType.EXT3, FilesystemType.EXT4), 16),
    FilesystemType.XFS: 12,
    FilesystemType.VFAT: 11,
    FilesystemType.BTRFS: 255,
    FilesystemType.SWAP: 15,
}
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_VFAT_ID = re.compile(r"[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}")


def mount_problems(layout: Layout) -> Found:
    """Problems of the file systems and other lines of fstab."""
    yield from _root(layout)
    yield from _mount_points(layout)
    for filesystem in layout.filesystems:
        yield from _device(filesystem, layout)
        yield from _source(filesystem)
        yield from _subvolumes(filesystem)
        yield from _kept(filesystem, layout)
        if (filesystem.mount_point == "swap") != (filesystem.type is FilesystemType.SWAP):
            text = f'fs="{filesystem.type}" with mp="{filesystem.mount_point}"'
            yield filesystem.source_line, f'{text}: swap has mp="swap", and nothing else has'
    yield from _shared(layout)
    for entry in layout.entries:
        if not isinstance(entry, Comment):
            yield from _chosen(entry, layout)


def mount_warnings(layout: Layout) -> Found:
    """What is done otherwise than one may think."""
    paths = layout.partition_paths()
    for filesystem in layout.filesystems:
        disk_and_part = paths.get(filesystem.device)
        if disk_and_part is None:
            continue
        flags = disk_and_part[1].flags
        if not filesystem.format and not layout.is_kept(filesystem.device):
            text = f'format="no" does not keep what is on {filesystem.device}'
            how = "it is wiped" if disk_and_part[0].keeps_table else "the table is written anew"
            yield filesystem.source_line, f'{text}: {how}; keep="yes" of its <part> keeps it'
        if Flag.SWAP in flags and filesystem.type is not FilesystemType.SWAP:
            text = f'{filesystem.device} has flags="swap" but fs="{filesystem.type}"'
            yield filesystem.source_line, f"{text}: fs counts"


def _root(layout: Layout) -> Found:
    root = layout.mounted_at("/")
    if root is None:
        line = layout.disks[0].source_line if layout.disks else 1
        yield line, 'no root: write an <fsinfo> with mp="/"'
    elif isinstance(root, Mount):
        yield root.source_line, f'the root is {root.type}: put mp="/" on a partition'
    elif isinstance(root, Filesystem) and not root.format:
        yield root.source_line, 'the root has format="no", so nothing could be installed: remove it'
    elif isinstance(root, Filesystem) and root.type is FilesystemType.VFAT:
        yield root.source_line, "the root is vfat, which has no owners and links: write ext4"


def _mount_points(layout: Layout) -> Found:
    seen: dict[str, int] = {}
    for entry in layout.entries:
        if isinstance(entry, Comment):
            continue
        where, line = entry.mount_point, entry.source_line
        if any(text.split() != [text] for text in (entry.options, str(entry.type))):
            yield line, f'options="{entry.options}" holds blanks: separate options by commas only'
        if where in ("swap", "none"):
            continue
        yield from _mount_point(where, line, seen)
        inside = entry.subvolumes if isinstance(entry, Filesystem) else ()
        for subvolume in inside:
            if subvolume.mount_point not in (None, where):
                yield from _mount_point(str(subvolume.mount_point), subvolume.source_line, seen)


def _mount_point(where: str, line: int, seen: dict[str, int]) -> Found:
    if not _is_clean_path(where):
        yield line, f'mp="{where}" is no mount point: write an absolute path, like /home'
    elif where in seen:
        what = "a second root" if where == "/" else f"{where} is mounted twice"
        yield line, f"{what}: the other one is on line {seen[where]}"
    seen.setdefault(where, line)


def _is_clean_path(path: str) -> bool:
    if path == "/":
        return True
    parts = path.split("/")
    inside = parts[1:]
    return parts[0] == "" and path.isprintable() and not {"", ".", ".."} & set(inside)


def _device(filesystem: Filesystem, layout: Layout) -> Found:
    found = layout.partition_paths().get(filesystem.device)
    if found is not None:
        yield from _partition(filesystem, *found)
        return
    if layout.layer_of(filesystem.device) is not None:
        return
    unread = any(
        disk.device == NO_DEVICE or any(part.number == NO_NUMBER for part in disk.partitions)
        for disk in layout.disks
    )
    line, device = filesystem.source_line, filesystem.device
    if not is_device(device):
        yield line, f'real_dev="{device}" is no device: write a partition, like /dev/vda2'
    elif not unread:
        layered = [path for layer in layout.layers for path in layer.devices]
        known = ", ".join([*layout.partition_paths(), *layered]) or "there is none"
        yield line, f"{device} is no partition or volume of this layout: {known}"


def _partition(filesystem: Filesystem, disk: Disk, part: Partition) -> Found:
    line, device = filesystem.source_line, filesystem.device
    if part.kind is PartitionKind.EXTENDED:
        yield line, f"{device} is the extended partition: it holds partitions, no file system"
    if Flag.BIOS_GRUB in part.flags:
        yield line, f'{device} has flags="bios_grub": GRUB writes there, no file system can stand'


def _subvolumes(filesystem: Filesystem) -> Found:
    names: set[str] = set()
    for subvolume in filesystem.subvolumes:
        line, name = subvolume.source_line, subvolume.name
        if filesystem.type is not FilesystemType.BTRFS:
            yield line, f'fs="{filesystem.type}" has no subvolumes: write fs="btrfs", or remove it'
        if not _is_clean_path(f"/{name}") or not name or "," in name:
            yield line, f'name="{name}" is no name of a subvolume: write one like @home'
        if name in names:
            yield line, f"the subvolume {name} stands here twice: write another name"
        names.add(name)
        if any(char.isspace() for char in subvolume.options):
            yield line, f'options="{subvolume.options}" holds blanks: separate options by commas'
        words = f"{filesystem.options},{subvolume.options}".split(",")
        if any(word.startswith("subvol") for word in words):
            yield line, "options holds subvol: name of <subvolume> says it already"


def _kept(filesystem: Filesystem, layout: Layout) -> Found:
    if layout.is_kept(filesystem.device) and filesystem.format:
        if filesystem.mount_point == "/":
            yield filesystem.source_line, "the root is kept, so nothing could be installed on it"
        elif filesystem.mount_source is None:
            text = f"{filesystem.device} is kept, and so is its UUID, which is not known here"
            yield filesystem.source_line, f'{text}: write mount_dev="LABEL=..." or "UUID=..."'


def _chosen(entry: Filesystem | Mount, layout: Layout) -> Found:
    """Only BOEL has the names of disks by rule; a file system that it makes is mounted by UUID."""
    source = entry.source if isinstance(entry, Mount) else entry.device
    named = isinstance(entry, Filesystem) and (
        layout.is_made(entry) or entry.mount_source is not None
    )
    if source.startswith(CHOSEN) and not named:
        text = f"the installed system has no {source}, which fstab would name"
        yield entry.source_line, f'{text}: write mount_dev="LABEL=..." or "UUID=..."'


def _source(filesystem: Filesystem) -> Found:
    line = filesystem.source_line
    label, uuid = filesystem.volume_label, filesystem.chosen_uuid
    vfat = filesystem.type is FilesystemType.VFAT
    if label is not None:
        most = _LABEL_LENGTHS[filesystem.type]
        if len(label.encode()) > most or not label.isprintable():
            yield line, f"the label {label!r} is too long: {filesystem.type} has room for {most}"
    if uuid is not None and (_VFAT_ID if vfat else _UUID).fullmatch(uuid) is None:
        form = "XXXX-XXXX" if vfat else "8-4-4-4-12 hex digits"
        yield line, f"UUID={uuid} is no UUID of {filesystem.type}: write {form}, or leave it out"


def _shared(layout: Layout) -> Found:
    for name in ("device", "volume_label", "chosen_uuid"):
        seen: dict[str, int] = {}
        for filesystem in layout.filesystems:
            value: str | None = getattr(filesystem, name)
            if value is None:
                continue
            if value in seen:
                text = f"{value} is used on line {seen[value]} already"
                yield filesystem.source_line, f"{text}: a file system needs one of its own"
            seen.setdefault(value, filesystem.source_line)
