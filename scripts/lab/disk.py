"""Raw disk images of machines that are switched off: partitions attached by loop, and mounted.

partx tells the kernel of each partition, so that a kernel which cannot read partition tables itself
serves too. Everything is undone in the opposite order, whatever happens in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.lab.errors import LabError
from si.errors import CommandFailed
from si.system.run import run

JOURNAL_LEFT = "ro,noload"
"""A journal that was not closed is not replayed, for that would write (ext4's word for it)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file system lies on a disk, and how it is mounted without being written to."""

    partition: int
    options: str = JOURNAL_LEFT


@contextmanager
def attached(image: Path, *, read_only: bool = True) -> Iterator[Path]:
    """The loop device of `image`; its partitions are DEVICEp1, DEVICEp2, ..."""
    mode = ["--read-only"] if read_only else []
    device = Path(run(["losetup", "--find", "--show", *mode, image]).text.strip())
    try:
        # Not --update, which leaves out the last logical partition; and --add refuses a number that
        # an earlier image on this loop device, or the kernel itself, has left or made.
        run(["partx", "--delete", device], check=False)
        run(["partx", "--add", device])
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
def filled(source: Path, point: Path) -> Iterator[Path]:
    """A file system of a disk, mounted to be written to, and whole on its disk at the end.

    umount alone does not see to that: any process that meanwhile got a mount namespace of its own
    (services do, and si-chroot) still has it mounted, and what is in its journal stays there.
    """
    with mounted(source, point):
        try:
            yield point
        finally:
            run(["mount", "-o", "remount,ro", point])


@contextmanager
def mounted_tree(image: Path, points: Mapping[str, Place], tree: Path) -> Iterator[Path]:
    """The file systems of a disk that is switched off, read-only, put together at `tree`.

    `points` says what belongs where: {"/": Place(2), "/boot": Place(1)}.
    """
    with ExitStack() as stack:
        device = stack.enter_context(attached(image))
        tree.mkdir(parents=True, exist_ok=True)
        for point, place in sorted(points.items()):
            folder = tree / point.lstrip("/")
            if not folder.is_dir():
                raise LabError(f"{image.name} has no folder {point} to mount a file system on")
            source = partition(device, place.partition)
            stack.enter_context(mounted(source, folder, "-o", place.options))
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
