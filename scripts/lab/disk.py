"""Raw disk images of machines that are switched off: partitions attached by loop, and mounted.

partx tells the kernel of each partition, so that a kernel which cannot read partition tables itself
serves too. Everything is undone in the opposite order, whatever happens in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from scripts.lab.errors import LabError
from si.errors import CommandFailed
from si.system.run import run

READ_ONLY = "ro,noload"


@contextmanager
def attached(image: Path, *, read_only: bool = True) -> Iterator[Path]:
    """The loop device of `image`; its partitions are DEVICEp1, DEVICEp2, ..."""
    mode = ["--read-only"] if read_only else []
    device = Path(run(["losetup", "--find", "--show", *mode, image]).text.strip())
    try:
        run(["partx", "--update", device])
        yield device
    finally:
        run(["partx", "--delete", device], check=False)
        run(["losetup", "--detach", device])


@contextmanager
def mounted(source: Path | str, point: Path, *options: str) -> Iterator[Path]:
    """`mount OPTIONS SOURCE POINT`, undone at the end."""
    run(["mount", *options, source, point])
    try:
        yield point
    finally:
        _unmount(point)


@contextmanager
def mounted_tree(image: Path, points: Mapping[str, int], tree: Path) -> Iterator[Path]:
    """The file systems of a disk that is switched off, read-only, put together at `tree`.

    `points` says which partition belongs where: {"/": 2, "/boot": 1}. A journal that was not
    closed is not replayed (noload), for that would write; ext4 only.
    """
    with ExitStack() as stack:
        device = stack.enter_context(attached(image))
        tree.mkdir(parents=True, exist_ok=True)
        for point, number in sorted(points.items()):
            place = tree / point.lstrip("/")
            if not place.is_dir():
                raise LabError(f"{image.name} has no folder {point} to mount partition {number} on")
            stack.enter_context(mounted(partition(device, number), place, "-o", READ_ONLY))
        yield tree


def partition(device: Path, number: int) -> Path:
    """The path of a loop device's partition."""
    return Path(f"{device}p{number}")


def _unmount(point: Path) -> None:
    """A device may be busy for a moment after its last reader has gone."""
    deadline = time.monotonic() + 10
    while True:
        try:
            run(["umount", point])
            return
        except CommandFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
