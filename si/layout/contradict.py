"""Where a layout document does not describe the golden client it was found on.

Stage 4. Pure. An administrator's document wins over inference, so it may choose other sizes; but
one that speaks of other partitions, or other file systems, is a leftover of another machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from si.client.record import Facts
from si.layout.check_table import least_sizes
from si.layout.fitting import smallest_disk
from si.layout.geometry import place
from si.layout.inventory import FoundDisk, FoundPartition, Inventory, take_inventory
from si.layout.model import MIB, Disk, LabelType, Layout, partition_path
from si.layout.sizes import format_bytes

_TABLES = {LabelType.MSDOS: "dos", LabelType.GPT: "gpt"}


def contradictions(layout: Layout, facts: Facts) -> tuple[str, ...]:
    """One line for each statement of `layout` that the facts deny; empty when they agree."""
    inventory = take_inventory(facts)
    found = {disk.path: disk for disk in inventory.disks}
    texts = [text for disk in layout.disks for text in _disk(disk, found.get(disk.device), layout)]
    texts += _left_out(layout, inventory)
    texts += _file_systems(layout, inventory)
    return tuple(texts)


def with_capacities(layout: Layout, facts: Facts) -> Layout:
    """`layout` with the sizes of the golden client's disks, where it fits on them.

    `si.layout.geometry` says what that is good for: the last partition may shrink a little.
    """
    sizes = {disk.path: disk.size for disk in take_inventory(facts).disks}
    disks = []
    for disk in layout.disks:
        known = replace(disk, capacity=disk.capacity or sizes.get(disk.device) or None)
        needed = smallest_disk(place(known), least_sizes(known, layout))
        fits = known.capacity is not None and needed is not None and needed <= known.capacity
        disks.append(known if fits else disk)
    return replace(layout, disks=tuple(disks))


def _disk(disk: Disk, found: FoundDisk | None, layout: Layout) -> Iterator[str]:
    if found is None:
        yield f"{disk.device}: the golden client has no such disk"
        return
    if found.table != _TABLES[disk.label]:
        yield f"{disk.device}: label_type is {disk.label}, the golden client's is {found.table}"
        return
    ours = {part.number for part in disk.partitions}
    theirs = {part.number for part in found.partitions}
    for number in sorted(ours - theirs):
        path = partition_path(disk.device, number)
        yield f"{path}: the golden client has no such partition"
    for number in sorted(theirs - ours):
        path = partition_path(disk.device, number)
        yield f"{path}: the golden client has it, the document has not"
    fitted = replace(disk, capacity=found.size or None)
    needed = smallest_disk(place(fitted), least_sizes(fitted, layout))
    if needed is not None and found.size and needed > found.size:
        text = f"the partitions need {needed // MIB} MiB, the golden client's disk has"
        yield f"{disk.device}: {text} {format_bytes(found.size)}"


def _left_out(layout: Layout, inventory: Inventory) -> Iterator[str]:
    known = {disk.device for disk in layout.disks}
    for disk in inventory.disks:
        if disk.path in known or not disk.in_use:
            continue
        mounted = [where for part in disk.partitions for where in part.mount_points]
        where = ", ".join([*disk.mount_points, *mounted]) or "volumes"
        yield f"{disk.path}: the golden client uses it ({where}), the document has no such disk"


def _file_systems(layout: Layout, inventory: Inventory) -> Iterator[str]:
    for filesystem in layout.filesystems:
        part = inventory.partition(filesystem.device)
        if part is None:
            continue
        if part.fstype and part.fstype != filesystem.type:
            text = f"fs is {filesystem.type}, the golden client's is {part.fstype}"
            yield f"{filesystem.device}: {text}"
        yield from _mounted_elsewhere(filesystem.mount_point, part)


def _mounted_elsewhere(mount_point: str, part: FoundPartition) -> Iterator[str]:
    if part.mount_points and mount_point not in part.mount_points:
        where = part.mount_points[0]
        yield f"{part.path}: mp is {mount_point}, the golden client has it at {where}"
