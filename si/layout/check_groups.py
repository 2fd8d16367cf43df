"""What can be wrong with volume groups and their volumes.

Stage 4. Pure. A part of `si.layout.check`. Names are as lvm(8) allows them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from si.layout.capacity import EXTENT, capacity, needed_extents
from si.layout.disks import NO_DEVICE
from si.layout.model import Fixed, Layout, LogicalVolume, Percent, Rest, VolumeGroup
from si.layout.sizes import format_bytes

Found = Iterator[tuple[int, str]]

_NAME = re.compile(r"[A-Za-z0-9_.+][A-Za-z0-9_.+-]{0,126}")
_RESERVED = re.compile(
    r"\.{1,2}|snapshot.*|pvmove.*"
    r"|.*_(?:mlog|mimage|rimage|rmeta|tdata|tmeta|cdata|cmeta|corig|vorigin|pmspare).*"
)
# A group's name is a directory of /dev.
_TAKEN = ("md", "mapper", "disk", "si", "shm", "pts", "input", "block", "char", "fd", "net")
_LEAST_EXTENT, _MOST_EXTENT = 4096, 2**40


def group_problems(group: VolumeGroup, layout: Layout) -> Found:
    """Problems of one volume group."""
    line, name = group.source_line, group.name
    if name != NO_DEVICE and (_NAME.fullmatch(name) is None or name in (".", "..", *_TAKEN)):
        yield line, f'name="{name}" is no name of a group: write letters, digits, . _ + and -'
    if not group.members:
        yield line, f'volume group {name} has no members: write devices="/dev/vda3"'
    extent = group.extent
    if extent is not None and (
        extent.bit_count() > 1 or not _LEAST_EXTENT <= extent < _MOST_EXTENT
    ):
        yield line, "phys_extent_size is no power of two of at least 4KiB: write 4MiB"
        return
    if not group.volumes:
        yield line, f"volume group {name} has no volumes: write at least one <lv>"
    for volume in group.volumes:
        yield from _volume(volume, group)
    yield from _sums(group, layout)


def _volume(volume: LogicalVolume, group: VolumeGroup) -> Found:
    line, name = volume.source_line, volume.name
    bad = _NAME.fullmatch(name) is None or _RESERVED.fullmatch(name) is not None
    if bad and name != NO_DEVICE:
        yield line, f'name="{name}" is no name of a volume: write another one'
    first = next(other for other in group.volumes if other.name == name)
    if first is not volume and name != NO_DEVICE:
        yield line, f"{name} stands on line {first.source_line} already: write another name"
    if volume.thin_pool is None:
        return
    pools = [other.name for other in group.volumes if other.is_pool]
    if volume.thin_pool not in pools:
        known = ", ".join(pools) or f"there is none in {group.name}"
        yield line, f'thin_pool="{volume.thin_pool}" is no thin pool: {known}'
    if not isinstance(volume.size, Fixed):
        yield line, f"{name} is thin, so it needs a size of its own, like 20GiB"


def _sums(group: VolumeGroup, layout: Layout) -> Found:
    thick = [volume for volume in group.volumes if volume.thin_pool is None]
    rest = [volume for volume in thick if isinstance(volume.size, Rest)]
    for volume in rest[1:]:
        text = f'size="*" stands on line {rest[0].source_line} already'
        yield volume.source_line, f"{text}: only one volume of a group can have it"
    shares = [volume for volume in thick if isinstance(volume.size, Percent)]
    total = sum(volume.size.hundredths for volume in shares if isinstance(volume.size, Percent))
    if total > 10_000:
        text = f"the percentages of {group.name} add up to {total / 100:g}, more than 100"
        yield shares[-1].source_line, text
    elif total == 10_000 and len(shares) < len(thick):
        text = f"the percentages take all of {group.name}"
        yield shares[-1].source_line, f"{text}: nothing is left for its other volumes"
    sizes = [capacity(device, layout) for device in group.members]
    known = [size for size in sizes if size is not None]
    if not known or len(known) < len(sizes):
        return
    extent = group.extent or EXTENT
    there = sum((size - EXTENT) // extent for size in known)
    needed = needed_extents(group)
    if needed > there:
        text = f"the volumes of {group.name} need {format_bytes(needed * extent)}, but its members"
        yield group.source_line, f"{text} have {format_bytes(there * extent)}: make them smaller"
