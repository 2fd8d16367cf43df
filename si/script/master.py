"""The master script of an image: what it says of itself, its steps, and its checksum.

Stage 5. Pure. The text depends on nothing but layout, facts and options, so the same input gives
the same bytes; the checksum tells later whether a person has changed it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from si.layout.layers import Crypt, Layer, Raid, VolumeGroup
from si.layout.model import MIB, Disk, Layout, Partition, PartitionKind, partition_path
from si.names_check import check_name
from si.script.plan import least_disk_bytes, plan
from si.script.render import render_steps
from si.script.room import UNMEASURED
from si.script.steps import Comment, PostInstall

_CHECKSUM = "# si-checksum: "
_PROLOGUE = "set -eu\n. /lib/boel/functions.sh\n. /run/boel/header.sh\n"


def make_master(
    layout: Layout,
    *,
    image: str,
    layout_name: str,
    kernel_args: tuple[str, ...] = (),
    post_install: PostInstall = PostInstall.REBOOT,
    content: Mapping[str, int] = UNMEASURED,
    command: str = "si-mkautoinstallscript",
) -> str:
    """The text of an image's master script.

    `layout_name` (the document's file name) and `command` are only told to the reader;
    `kernel_args` come from `kernel_arguments`; `content` is how many bytes the image holds by mount
    point, where that is known. Raises NameInvalid, and DocumentInvalid for a layout that has no
    room for the image or cannot be installed yet.
    """
    check_name("image", image)
    steps = plan(
        layout,
        kernel_args=kernel_args,
        post_install=post_install,
        content=content,
        file=layout_name,
    )
    about = Comment(
        (
            f"Master script of image {image}, made by {command} of {layout_name}.",
            "",
            *_wiped(layout, content),
            *_kept(layout),
            f"When all is written: {post_install}.",
            "",
            "Edit the layout and make this script anew, rather than edit the script: one that was",
            "changed by hand is overwritten only with --force.",
        )
    )
    body = _PROLOGUE + render_steps(steps)
    return f"#!/bin/sh\n{render_steps([about])}{_CHECKSUM}{_checksum(body)}\n{body}"


def is_hand_edited(text: str) -> bool:
    """Whether a master script differs from what was generated; one without checksum does."""
    _before, mark, rest = text.partition(f"\n{_CHECKSUM}")
    checksum, _newline, body = rest.partition("\n")
    return not mark or checksum != _checksum(body)


def _wiped(layout: Layout, content: Mapping[str, int]) -> Iterator[str]:
    yield "WIPES"
    for disk in layout.disks:
        for part in disk.rewritten:
            yield f"  {_partition(disk, part, layout)}, of a disk whose table is kept"
        if not disk.keeps_table:
            least = least_disk_bytes(disk, layout, content=content) // MIB
            what = disk.device if disk.rule is None else f"{disk.rule}: {disk.device}"
            yield f"  {what}, which must have {least} MiB at least; then ({disk.label}):"
            yield from _table(disk, layout)


def _kept(layout: Layout) -> Iterator[str]:
    kept = [disk for disk in layout.disks if disk.keeps_table]
    if kept:
        yield "KEEPS"
    for disk in kept:
        what = disk.device if disk.rule is None else f"{disk.rule}: {disk.device}"
        yield f"  {what}: the {disk.label} table" + (", and all that is on it" if disk.keep else "")
        for part in disk.partitions:
            if part.keep:
                yield f"    {_partition(disk, part, layout)}"


def _table(disk: Disk, layout: Layout) -> Iterator[str]:
    for partition in disk.partitions:
        yield f"    {_partition(disk, partition, layout)}"


def _partition(disk: Disk, partition: Partition, layout: Layout) -> str:
    path = partition_path(disk.device, partition.number)
    filesystem = layout.filesystem_on(path)
    if filesystem is None:
        return f"{path}  {_use(partition, layout.layer_on(path))}"
    lost = not filesystem.format and not layout.is_kept(path)
    note = ' (format="no" keeps nothing: it is wiped)' if lost else ""
    return f"{path}  {filesystem.type} {filesystem.mount_point}{note}"


def _use(partition: Partition, layer: Layer | None) -> str:
    """What a partition without a file system is for."""
    match layer:
        case Raid():
            return f"part of {layer.device} (RAID {layer.level})"
        case Crypt():
            return f"encrypted, as {layer.device}"
        case VolumeGroup():
            return f"part of the volume group {layer.name}"
    return "extended" if partition.kind is PartitionKind.EXTENDED else "no file system"


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
