"""Whether an image has room on the file systems of a layout.

Stage 5. Pure. In: a layout, and the bytes that the image takes below each mount point (measured on
the server, `si.image.content`). A client finds out that its disk is too small before it writes to
it, and a device that is too small on every disk is found before there is a script.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from si.errors import Problem
from si.layout.capacity import capacity
from si.layout.check_boot import uses_systemd_boot
from si.layout.check_table import least_sizes, too_small
from si.layout.fitting import smallest_disk
from si.layout.geometry import place
from si.layout.model import MIB, Disk, Filesystem, FilesystemType, Layout, partition_path
from si.layout.sizes import format_bytes
from si.script.bootloader import esp_mount_points

UNMEASURED: Mapping[str, int] = MappingProxyType({})
_OVERHEAD_BYTES = 64 * MIB
_OVERHEAD_PERCENT = 10


def filled(layout: Layout) -> tuple[Filesystem, ...]:
    """The file systems that the install makes and fills."""
    swap = FilesystemType.SWAP
    return tuple(f for f in layout.filesystems if layout.is_made(f) and f.type is not swap)


def needed_bytes(layout: Layout, content: Mapping[str, int]) -> dict[str, int]:
    """What each file system's device needs for what comes into it, by device.

    A file system's own tables and journal take a part of it.
    """
    return {
        filesystem.device: content[filesystem.mount_point] * (100 + _OVERHEAD_PERCENT) // 100
        + _OVERHEAD_BYTES
        for filesystem in filled(layout)
        if filesystem.mount_point in content
    }


def with_kernels(layout: Layout, content: Mapping[str, int], kernels: int) -> Mapping[str, int]:
    """`content`, measured at all of `filled`, with the kernels where systemd-boot has them.

    They come in place of those that the golden client had there, hence not in addition.
    """
    points = esp_mount_points(layout) if uses_systemd_boot(layout) else ()
    return {**content, **{point: max(content[point], kernels) for point in points}}


def room_problems(layout: Layout, content: Mapping[str, int], file: str) -> Iterator[Problem]:
    """Devices that are smaller than what has to go into them, on a disk of any size."""
    for disk in layout.disks:
        for line, text in _bound(disk, layout, content):
            yield Problem(file, line, text)
    for filesystem in filled(layout):
        size = content.get(filesystem.mount_point, 0)
        room = capacity(filesystem.device, layout)
        if room is not None and room < size:
            text = (
                f"{filesystem.device} has {format_bytes(room)}, but what comes into "
                f"{filesystem.mount_point} takes {-(-size // MIB)} MiB: make it larger"
            )
            yield Problem(file, _line(filesystem, layout), text)


def _bound(disk: Disk, layout: Layout, content: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    """Partitions that may not grow to what the image needs: by a bound of their own, or by that of
    the extended partition that they lie in."""
    least = least_sizes(disk, layout, needed_bytes(layout, content))
    small = list(too_small(disk, least))
    for part, most in small:
        path = partition_path(disk.device, part.number)
        text = f"{path} has {format_bytes(most)} at most, but what the image holds there"
        yield part.source_line, f"{text} takes {least[part.number]} MiB: make max larger"
    if not small and smallest_disk(place(disk), least) is None:
        text = f"what the image holds has no room on {disk.device}, however large the disk is"
        yield disk.source_line, f"{text}: make its partitions larger"


def _line(filesystem: Filesystem, layout: Layout) -> int:
    found = layout.partition_paths().get(filesystem.device)
    return found[1].source_line if found is not None else filesystem.source_line
