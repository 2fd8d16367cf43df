"""How much an image holds, by the mount points of a layout.

Stage 2. In: a tree and mount points; out: bytes. Measured in the tree each time it is asked for:
what a capture noted is no longer true after a patch, counts sparse files and hard links too high,
and says nothing of where the bytes are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from si.system.run import run


def measure_content(tree: Path, mount_points: Iterable[str]) -> dict[str, int]:
    """Bytes that files take on the disk below each mount point, without those below a deeper one.

    Mount points that are no directories of the tree are left out; they will be empty.
    """
    places = {os.path.normpath(f"{tree}/{point}"): point for point in mount_points}
    present = {place: point for place, point in places.items() if _is_directory(place)}
    if not present:
        return {}
    # du counts each file once: in the first of its arguments that it is found under.
    deepest_first = sorted(present, key=lambda place: place.count("/"), reverse=True)
    du = ["du", "--summarize", "--null", "--block-size=1", "--one-file-system", "--"]
    done = run([*du, *deepest_first], ok=(0, 1))  # 1: a file went meanwhile
    lines = (line.split("\t", 1) for line in done.text.split("\0") if line)
    return {present[place]: int(number) for number, place in lines}


def _is_directory(place: str) -> bool:
    path = Path(place)
    return path.is_dir() and not path.is_symlink()
