"""How much an image holds, by the mount points of a layout.

Stage 2. In: a tree and mount points; out: bytes. Measured in the tree each time it is asked for:
what a capture noted is no longer true after a patch, counts sparse files and hard links too high,
and says nothing of where the bytes are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_BLOCK = 4096
_INITRAMFS = ("initrd.img-{}", "initramfs-{}.img", "initrd-{}")


def measure_content(tree: Path, mount_points: Iterable[str]) -> dict[str, int]:
    """Bytes that files take on a client's disk below each mount point, without those below a
    deeper one. A mount point that the tree has not is empty.

    The server's file system may take more for a file than the client's will (large blocks), or less
    (compression): a file counts as the fewest blocks of 4 KiB that either says.
    """
    points = {os.path.normpath(f"{tree}/{point}"): point for point in mount_points}
    content = dict.fromkeys(points.values(), 0)
    todo = [(str(tree), points.get(os.path.normpath(tree)))]
    linked: set[tuple[int, int]] = set()
    while todo:
        folder, point = todo.pop()
        total = 0
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                total += _BLOCK
                todo.append((entry.path, points.get(entry.path, point)))
            else:
                total += _blocks(entry, linked)
        if point is not None:
            content[point] += total
    return content


def measure_kernels(tree: Path) -> int:
    """Bytes of the kernels of an image and their initramfs, as systemd-boot copies them."""
    boot = tree / "boot"
    files = {} if boot.is_symlink() else {entry.name: entry for entry in _entries(str(boot))}
    copied = set()
    for name in files:
        if name.startswith("vmlinuz-"):
            release = name.removeprefix("vmlinuz-")
            copied |= {name, *(form.format(release) for form in _INITRAMFS)} & files.keys()
    return sum(_blocks(files[name], set()) for name in copied)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:  # gone meanwhile, or not ours to read
        yield from entries


def _blocks(entry: os.DirEntry[str], linked: set[tuple[int, int]]) -> int:
    """Bytes of one file; 0 for a further name of one that was counted."""
    try:
        about = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return 0
    if about.st_nlink > 1:
        inode = (about.st_dev, about.st_ino)
        if inode in linked:
            return 0
        linked.add(inode)
    return min(about.st_blocks * 512, -(-about.st_size // _BLOCK) * _BLOCK)
