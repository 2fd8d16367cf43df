"""What can be wrong with arrays, encryption and volume groups.

Stage 4. Pure. A part of `si.layout.check`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from si.layout.check_groups import group_problems
from si.layout.disks import NO_DEVICE, NO_NUMBER, is_device
from si.layout.model import (
    Crypt,
    Flag,
    Layer,
    Layout,
    PartitionKind,
    Pbkdf,
    Raid,
    RaidLevel,
    VolumeGroup,
)

Found = Iterator[tuple[int, str]]

_ARRAY = re.compile(r"/dev/md(?:[0-9]|[1-9][0-9]|[1-4][0-9]{2}|50[0-9]|51[01])")
_NAMED_ARRAY = re.compile(r"/dev/md/[A-Za-z][A-Za-z0-9_.-]{0,31}")
_METADATA = ("1.2", "1.1", "1.0", "0.90")
_LEAST_MEMBERS = {
    **dict.fromkeys((RaidLevel.LINEAR, RaidLevel.STRIPE, RaidLevel.MIRROR, RaidLevel.RAID10), 2),
    **{RaidLevel.RAID4: 3, RaidLevel.RAID5: 3, RaidLevel.RAID6: 4},
}
_NO_SPARES = (RaidLevel.LINEAR, RaidLevel.STRIPE)
_NO_CHUNK = (RaidLevel.MIRROR, RaidLevel.LINEAR)
_PARITY = r"(?:left|right)-(?:a?symmetric)|parity-(?:first|last)"
_RAID_LAYOUTS = {
    **dict.fromkeys((RaidLevel.RAID5, RaidLevel.RAID6), re.compile(_PARITY)),
    RaidLevel.RAID10: re.compile(r"[nof][1-9][0-9]?"),
}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
_KEY = re.compile(r"prompt|file:[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LEAST_PASSES = {Pbkdf.ARGON2ID: 4, Pbkdf.PBKDF2: 1000}
_MEMORY_KIB = range(32, 4 * 1024**2 + 1)


def layer_problems(layout: Layout) -> Found:
    """Problems of all layers, each by itself and all together."""
    for raid in layout.raids:
        yield from _raid(raid)
    for crypt in layout.crypts:
        yield from _crypt(crypt)
    for group in layout.volume_groups:
        yield from group_problems(group, layout)
    yield from _names(layout)
    yield from _circles(layout)
    yield from _members(layout)


def layer_warnings(layout: Layout) -> Found:
    """What is worth a second look."""
    yield from _idle_members(layout)
    for raid in layout.raids:
        if raid.level in _NO_SPARES:
            continue
        disks = [layout.disks_below(member) for member in raid.members]
        if all(disks) and len({found[0].device for found in disks}) < len(disks):
            text = f"{raid.device} has two members on one disk: when it fails, both are lost"
            yield raid.source_line, text


def _idle_members(layout: Layout) -> Found:
    for path, (_disk, part) in layout.partition_paths().items():
        for flag, what in ((Flag.RAID, "array"), (Flag.LVM, "volume group")):
            if flag in part.flags and layout.layer_on(path) is None:
                yield part.source_line, f'{path} has flags="{flag}", but no {what} has it'


def _raid(raid: Raid) -> Found:
    line, name = raid.source_line, raid.device
    if _ARRAY.fullmatch(name) is None and _NAMED_ARRAY.fullmatch(name) is None:
        yield line, f'name="{name}" is no array: write /dev/md0 up to /dev/md511, or /dev/md/NAME'
    least = _LEAST_MEMBERS[raid.level]
    if len(raid.members) < least:
        text = f"{name} has {len(raid.members)} active devices, but level {raid.level} needs"
        yield line, f'{text} {least}: write devices="/dev/vda2 /dev/vdb2"'
    if raid.spares and raid.level in _NO_SPARES:
        yield line, f"{name}: level {raid.level} cannot use spares: remove spare_devices"
    if raid.metadata not in _METADATA:
        yield line, f'metadata="{raid.metadata}" is none of {", ".join(_METADATA)}'
    if raid.chunk is not None and raid.level in _NO_CHUNK:
        yield line, f"{name}: level {raid.level} has no chunks: remove chunk_size"
    if raid.layout is not None:
        known = _RAID_LAYOUTS.get(raid.level)
        if known is None or known.fullmatch(raid.layout) is None:
            yield line, f'layout="{raid.layout}" is none of level {raid.level}: remove it'


def _crypt(crypt: Crypt) -> Found:
    line = crypt.source_line
    if _NAME.fullmatch(crypt.name) is None or crypt.name == "control":
        yield line, f'name="{crypt.name}" is no name: write letters, digits, . _ + and -'
    if _KEY.fullmatch(crypt.key) is None:
        text = f'key="{crypt.key}" is neither "prompt" nor the name of a file on the server'
        yield line, f'{text}, like "file:office-disks"'
    if any(char.isspace() for char in crypt.options):
        yield line, f'options="{crypt.options}" holds blanks: separate options by commas only'
    least = _LEAST_PASSES[crypt.pbkdf]
    if crypt.iterations is not None and crypt.iterations < least:
        yield line, f"iterations={crypt.iterations}: LUKS wants {least} at least of {crypt.pbkdf}"
    if crypt.iterations is not None and crypt.iter_time_ms is not None:
        yield line, "iterations and iter_time exclude one another: remove one of them"
    if crypt.memory_kib is not None and crypt.pbkdf is not Pbkdf.ARGON2ID:
        yield line, f"pbkdf {crypt.pbkdf} takes no memory: remove memory, or write argon2id"
    elif crypt.memory_kib is not None and crypt.memory_kib not in _MEMORY_KIB:
        yield line, "memory must be between 32KiB and 4GiB, and less than every machine has"


def _names(layout: Layout) -> Found:
    """No device is made twice."""
    seen: dict[str, int] = {}
    for layer in layout.layers:
        names = [f"/dev/{layer.name}"] if isinstance(layer, VolumeGroup) else list(layer.devices)
        for name in names:
            if name in seen and NO_DEVICE not in name:
                yield layer.source_line, f"{name} stands on line {seen[name]} already"
            seen.setdefault(name, layer.source_line)


def _circles(layout: Layout) -> Found:
    for layer in layout.circular_layers:
        what = layer.name if isinstance(layer, VolumeGroup) else layer.device
        yield layer.source_line, f"{what} stands on itself: {', '.join(layer.holds)}"


def _members(layout: Layout) -> Found:
    """Everything that a layer stands on is there, and nothing else stands on it."""
    users: dict[str, int] = {}
    for layer in layout.layers:
        for device in layer.holds:
            line = layer.source_line
            if device in users:
                yield line, f"{device} is used on line {users[device]} already"
            users.setdefault(device, line)
            yield from _member(device, layer, layout)
    for filesystem in layout.filesystems:
        if filesystem.device in users:
            text = f"{filesystem.device} belongs to what stands on line {users[filesystem.device]}"
            yield filesystem.source_line, f"{text}: it has no room for a file system"


def _member(device: str, layer: Layer, layout: Layout) -> Found:
    line = layer.source_line
    if layout.is_kept(device):
        what = layer.name if isinstance(layer, VolumeGroup) else layer.device
        text = f"{device} is kept, but {what} would be made of it anew"
        yield line, f"{text}: remove one of the two"
    found = layout.partition_paths().get(device)
    if found is not None:
        part = found[1]
        if part.kind is PartitionKind.EXTENDED or Flag.BIOS_GRUB in part.flags:
            kind = "extended" if part.kind is PartitionKind.EXTENDED else "bios_grub"
            yield line, f"{device} is the {kind} partition: nothing else can stand on it"
        return
    offered = [path for other in layout.layers for path in other.devices]
    unread = any(part.number == NO_NUMBER for disk in layout.disks for part in disk.partitions)
    if device == NO_DEVICE or device in offered or unread:
        return
    if device in [disk.device for disk in layout.disks]:
        yield line, f"{device} is a whole disk: make a partition on it, and name that"
    elif not is_device(device):
        yield line, f'"{device}" is no device: write a partition, like /dev/vda2'
    else:
        known = ", ".join((*layout.partition_paths(), *offered)) or "there is none"
        yield line, f"{device} is no device of this layout: {known}"
