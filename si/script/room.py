"""Whether an image has room in the partitions of a layout.

Stage 5. Pure. In: a layout, and the bytes that the image takes below each mount point (measured on
the server, `si.image.content`). A client finds out that its disk is too small before it writes to
it, and a partition that is too small on every disk is found before there is a script.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from si.errors import Problem
from si.layout.model import MIB, Disk, Filesystem, FilesystemType, Fixed, Layout
from si.layout.sizes import format_bytes

UNMEASURED: Mapping[str, int] = MappingProxyType({})
_OVERHEAD_BYTES = 64 * MIB
_OVERHEAD_PERCENT = 10


def filled(layout: Layout) -> tuple[Filesystem, ...]:
    """The file systems that the install makes and fills."""
    return tuple(f for f in layout.filesystems if f.format and f.type is not FilesystemType.SWAP)


def least_for_content(disk: Disk, layout: Layout, content: Mapping[str, int]) -> dict[int, int]:
    """MiB that partitions of a variable size need for what comes into them, by number.

    A file system's own tables and journal take a part of its partition.
    """
    paths = layout.partition_paths()
    least = {}
    for filesystem in filled(layout):
        where, partition = paths[filesystem.device]
        size = content.get(filesystem.mount_point)
        if size is None or where != disk or isinstance(partition.size, Fixed):
            continue
        needed = size * (100 + _OVERHEAD_PERCENT) // 100 + _OVERHEAD_BYTES
        least[partition.number] = -(-needed // MIB)
    return least


def room_problems(layout: Layout, content: Mapping[str, int], file: str) -> Iterator[Problem]:
    """Partitions of a fixed size that are smaller than what has to go into them."""
    paths = layout.partition_paths()
    for filesystem in filled(layout):
        _disk, partition = paths[filesystem.device]
        size = content.get(filesystem.mount_point, 0)
        if isinstance(partition.size, Fixed) and partition.size.size < size:
            text = (
                f"{filesystem.device} has {format_bytes(partition.size.size)}, but what the image "
                f"holds in {filesystem.mount_point} takes {-(-size // MIB)} MiB: make it larger"
            )
            yield Problem(file, partition.source_line, text)
