"""What no schema can say of a layout: all problems at once, each with its line.

Stage 4. Pure. Problems are what would fail on the client, or leave it without a way to start;
warnings are what works, but perhaps not as the author of the document thinks. This module looks
at the layout as a whole, `si.layout.check_table` at each disk, `si.layout.check_layers` at what
stands between disks and file systems, `si.layout.check_mounts` at each line of fstab, and
`si.layout.check_boot` at how it starts.
"""

from __future__ import annotations

from collections.abc import Iterator

from si.errors import Problem
from si.layout.check_boot import (
    bare_esps,
    boot_devices,
    boot_problems,
    boot_warnings,
    uses_systemd_boot,
)
from si.layout.check_layers import layer_problems, layer_warnings
from si.layout.check_mounts import mount_problems, mount_warnings
from si.layout.check_table import table_problems, table_warnings
from si.layout.disks import NO_DEVICE
from si.layout.model import Layout

__all__ = [
    "bare_esps",
    "boot_devices",
    "check_layout",
    "uses_systemd_boot",
    "warn_of_layout",
]

Found = Iterator[tuple[int, str]]


def check_layout(layout: Layout, file: str) -> tuple[Problem, ...]:
    """Every problem of `layout`; `file` is its name in them."""
    checks = (_whole(layout), layer_problems(layout), mount_problems(layout), boot_problems(layout))
    return _problems(file, *checks)


def warn_of_layout(layout: Layout, file: str) -> tuple[Problem, ...]:
    """What is worth a second look in a layout without problems."""
    tables = (table_warnings(disk) for disk in layout.disks)
    stacked = (layer_warnings(layout), mount_warnings(layout), boot_warnings(layout))
    return _problems(file, _links(layout), *tables, *stacked)


def _problems(file: str, *checks: Found) -> tuple[Problem, ...]:
    return tuple(Problem(file, line, text) for check in checks for line, text in check)


def _whole(layout: Layout) -> Found:
    if not layout.disks:
        yield 1, '<config> has no <disk>: write at least one, like <disk dev="/dev/vda" ...>'
    seen: dict[str, int] = {}
    for disk in layout.disks:
        if disk.device in seen and disk.device != NO_DEVICE:
            where = seen[disk.device]
            yield disk.source_line, f"{disk.device} stands on line {where} already: join the two"
        seen[disk.device] = disk.source_line
        yield from table_problems(disk, layout)


def _links(layout: Layout) -> Found:
    for disk in layout.disks:
        if disk.device.startswith("/dev/disk/"):
            text = "BOEL does not make the links of /dev/disk yet: name the disk itself"
            yield disk.source_line, f"{disk.device}: {text}, like /dev/vda"
