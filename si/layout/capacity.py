"""How much room there is in a device, and how much must be in it.

Stage 4. Pure. Both go through arrays, encryption and volume groups. What those take for
themselves is reckoned a little too high, so that what is promised here fits on the client.
"""

from __future__ import annotations

from collections.abc import Mapping

from si.layout.model import (
    MIB,
    Crypt,
    FilesystemType,
    Fixed,
    Layout,
    Percent,
    Raid,
    RaidLevel,
    Rest,
    VolumeGroup,
    volume_path,
)

EXTENT = 4 * MIB
"""LVM's own size of a physical extent; also what it takes for its records at most."""
LUKS = 16 * MIB
"""Header of LUKS2, as cryptsetup makes it."""
LEAST_ANY = 16 * MIB

NOTHING: Mapping[str, int] = {}
_LEAST_OF = {
    FilesystemType.XFS: 320 * MIB,
    FilesystemType.VFAT: 40 * MIB,
    FilesystemType.BTRFS: 128 * MIB,
}


def raid_share(level: RaidLevel, members: int) -> int:
    """How many members' worth of data an array of so many members holds."""
    lost = {RaidLevel.RAID4: 1, RaidLevel.RAID5: 1, RaidLevel.RAID6: 2}
    if level is RaidLevel.MIRROR:
        return 1
    if level is RaidLevel.RAID10:
        return max(members // 2, 1)
    return max(members - lost.get(level, 0), 1)


def needed_extents(group: VolumeGroup) -> int:
    """Physical extents that a group must have: those of the volumes of known size and one for each
    other volume, and as many more as leave the percentages what they are."""
    extent = group.extent or EXTENT
    count = shares = 0
    for volume in group.volumes:
        if volume.thin_pool is not None:
            continue
        size = volume.size
        if isinstance(size, Percent):
            shares += size.hundredths
        else:
            count += -(-size.size // extent) if isinstance(size, Fixed) else 1
        # A pool's own records, twice.
        count += 2 if volume.is_pool else 0
    left = 10_000 - shares
    return -(-count * 10_000 // left) if left > 0 else max(count, len(group.volumes))


def capacity(device: str, layout: Layout) -> int | None:
    """Bytes of a device, where they are the same on every disk; None where they are not."""
    found = layout.partition_paths().get(device)
    if found is not None:
        size = found[1].size
        return size.size if isinstance(size, Fixed) else None
    layer = layout.layer_of(device)
    if layer is None or isinstance(layer, VolumeGroup):
        return _volume_size(device, layer) if layer is not None else None
    inner = [capacity(path, layout) for path in _active(layer)]
    known = [size for size in inner if size is not None]
    if not known or len(known) < len(inner):
        return None
    if isinstance(layer, Crypt):
        return max(known[0] - LUKS, 0)
    if layer.level is RaidLevel.LINEAR:
        return sum(size - _superblock(size) for size in known)
    smallest = min(known)
    return (smallest - _superblock(smallest)) * raid_share(layer.level, len(known))


def least_bytes(device: str, layout: Layout, content: Mapping[str, int] = NOTHING) -> int:
    """How small a device may become so that all that stands on it still fits.

    `content` is what file systems must have room for, by their devices.
    """
    layer = layout.layer_on(device)
    if isinstance(layer, Crypt):
        return least_bytes(layer.device, layout, content) + LUKS
    if isinstance(layer, Raid):
        whole = least_bytes(layer.device, layout, content)
        least = -(-whole // raid_share(layer.level, len(layer.members)))
        return least + _superblock(least)
    if isinstance(layer, VolumeGroup):
        return _least_of_group(device, layer, layout, content)
    filesystem = layout.filesystem_on(device)
    least = _LEAST_OF.get(filesystem.type, LEAST_ANY) if filesystem is not None else LEAST_ANY
    return max(least, content.get(device, 0))


def _least_of_group(
    device: str, group: VolumeGroup, layout: Layout, content: Mapping[str, int]
) -> int:
    """What this member must take over from the others, which are taken to be as they are."""
    extent = group.extent or EXTENT
    total = needed_extents(group) * extent
    for volume in group.volumes:
        if isinstance(volume.size, Rest):
            total += least_bytes(volume_path(group.name, volume.name), layout, content)
    others = [capacity(member, layout) for member in group.members if member != device]
    unknown = sum(size is None for size in others)
    there = sum(size - EXTENT for size in others if size is not None)
    return max(-(-(total - there) // (1 + unknown)), LEAST_ANY) + EXTENT


def _active(layer: Raid | Crypt) -> tuple[str, ...]:
    return layer.members if isinstance(layer, Raid) else layer.holds


def _volume_size(device: str, group: VolumeGroup) -> int | None:
    for volume in group.volumes:
        if volume_path(group.name, volume.name) == device and isinstance(volume.size, Fixed):
            return volume.size.size
    return None


def _superblock(size: int) -> int:
    """What mdadm takes of a member: records, bitmap, and room to grow, at most 128 MiB."""
    return min(size // 256 + 4 * MIB, 132 * MIB)
