"""How large a disk must be for its partitions.

Stage 4. Pure. Asks `si.layout.geometry`, which says where everything lies on a disk of any size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from si.layout.geometry import Geometry, end_mib, step_mib
from si.layout.model import MIB, Fixed, Partition, PartitionKind, Percent, Rest

_MOST_MIB = 2**42


def smallest_disk(geometry: Geometry, least_mib: Mapping[int, int]) -> int | None:
    """Bytes of the smallest disk on which everything fits; None when it fits on none.

    `least_mib` says, by partition number, how small a partition without fixed size may become.
    """
    low, high = 1, _MOST_MIB
    if not all(_rooms(geometry, high, least_mib)):
        return None
    while low < high:
        middle = (low + high) // 2
        if all(_rooms(geometry, middle, least_mib)):
            high = middle
        else:
            low = middle + 1
    return low * MIB


def _rooms(geometry: Geometry, disk_mib: int, least_mib: Mapping[int, int]) -> Iterator[bool]:
    """Whether each partition has room. That lengths suffice is enough: what is long enough begins
    behind what stands before it."""
    end = end_mib(geometry.disk, disk_mib * MIB)
    shares = geometry.shares(end)
    outer = [e.end for e in geometry.extents if e.partition.kind is PartitionKind.EXTENDED]
    inner_end = outer[0].at(end, shares) if outer else end
    for extent in geometry.extents:
        part, slack = extent.partition, _slack(geometry, extent.partition)
        stop = extent.end.at(end, shares)
        length = stop - extent.start.at(end, shares)
        last = stop + (slack if isinstance(part.size, Fixed) else 0)
        least = least_mib.get(part.number, 1) + (slack if isinstance(part.size, Rest) else 0)
        ceiling = inner_end if part.kind is PartitionKind.LOGICAL else end
        yield last <= ceiling and length >= least


def _slack(geometry: Geometry, partition: Partition) -> int:
    """What the others of its row may take more of a disk that is a little larger.

    Each share grows by whole steps, several perhaps at once, while the disk has grown by one: what
    fits on one disk has to fit on every larger one.
    """
    step = step_mib(geometry.disk)
    logical = partition.kind is PartitionKind.LOGICAL
    row = [p for p in geometry.disk.partitions if (p.kind is PartitionKind.LOGICAL) is logical]
    rest = any(isinstance(part.size, Rest) for part in row)
    if step == 1 or (rest and not isinstance(partition.size, Rest)):
        return 0
    return step * sum(isinstance(part.size, Percent) for part in row)
