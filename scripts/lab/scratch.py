"""Folders to build in, aside from the result, that leave nothing mounted and nothing attached.

A build that was killed leaves its folder behind; the next one sweeps it, provided that the process
whose number is in the folder's name has gone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from si.system.run import run

NAME = re.compile(r"\.new-[a-z]+-(\d+)")


@contextmanager
def scratch_folder(parent: Path, purpose: str) -> Iterator[Path]:
    """A new folder below `parent`; at the end all in it is unmounted, detached and removed."""
    parent.mkdir(parents=True, exist_ok=True)
    sweep_scratch(parent)
    folder = parent / f".new-{purpose}-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        yield folder
    finally:
        remove_scratch(folder)


def sweep_scratch(parent: Path) -> None:
    """Remove the folders of builds that were killed."""
    for folder in parent.glob(".new-*"):
        match = NAME.fullmatch(folder.name)
        if match and not Path("/proc", match.group(1)).exists():
            remove_scratch(folder)


def remove_scratch(folder: Path) -> None:
    """Unmount, detach and remove; nothing is removed while anything is still mounted there."""
    folder = folder.resolve()
    for point in reversed(mounts_below(folder)):
        run(["umount", point])
    for file in folder.glob("*.raw"):
        for line in run(["losetup", "--associated", file]).text.splitlines():
            device = line.partition(":")[0]
            run(["partx", "--delete", device], check=False)
            run(["losetup", "--detach", device])
    run(["rm", "-rf", "--one-file-system", folder])


def mounts_below(folder: Path) -> list[Path]:
    """Mount points below `folder`, in the order they were mounted."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        name = re.sub(r"\\(\d{3})", lambda m: chr(int(m.group(1), 8)), line.split()[4])
        if Path(name).is_relative_to(folder):
            points.append(Path(name))
    return points
