"""What on this machine does not come from its image: mounts, running databases.

Stage 8, effects: reads /proc, changes nothing; runs on clients
(Python 3.9).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from si.client.excludes import DATABASES
from si.client.mounts import DISK_TYPES, Mount, parse_mountinfo, parse_swap_files, top_mounts


def find_mounts(destination: Path, mountinfo: Path) -> dict[str, Mount]:
    """Mounts below (not at) `destination`, by their path from there."""
    mounts = top_mounts(parse_mountinfo(mountinfo.read_bytes()))
    seen = {_inside(destination, target): mount for target, mount in mounts.items()}
    return {path: mount for path, mount in seen.items() if path is not None}


def find_swap_files(destination: Path, swaps: Path) -> list[str]:
    """Files below `destination` that this machine swaps to, by their path from there."""
    try:
        files = parse_swap_files(swaps.read_bytes())
    except FileNotFoundError:
        return []  # a kernel without swap
    found = (_inside(destination, file) for file in files)
    return [path for path in found if path is not None]


def foreign_mounts(
    mounts: dict[str, Mount], is_empty: Callable[[str], bool]
) -> tuple[list[str], list[str]]:
    """(mount points of no disk file system, disks that the image knows nothing about).

    is_empty: whether the image has nothing below a path. A disk that is mounted where the image
    has nothing, or an empty directory, was added to this machine after its install: an update must
    not empty it.
    """
    pseudo = [path for path, mount in mounts.items() if mount.type not in DISK_TYPES]
    disks = [path for path in mounts if path not in pseudo and _under(path, pseudo) is None]
    return pseudo, [path for path in disks if is_empty(path)]


def running_databases(proc: Path) -> dict[str, tuple[str, ...]]:
    """Names of database servers that run, with the directories of their data."""
    found = {}
    for comm in proc.glob("[0-9]*/comm"):
        try:
            name = comm.read_text(errors="replace").strip()
        except OSError:
            continue
        if name in DATABASES:
            found[name] = DATABASES[name]
    return found


def _inside(top: Path, path: bytes) -> str | None:
    """`path` as seen from `top`, None when it is not below it."""
    prefix = os.fsencode(top).rstrip(b"/") + b"/"
    if not path.startswith(prefix) or path == prefix:
        return None
    return os.fsdecode(b"/" + path[len(prefix) :])


def _under(path: str, points: list[str]) -> str | None:
    return next((point for point in points if path.startswith(f"{point}/")), None)
