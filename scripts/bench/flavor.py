"""How long a flavor takes to build, and how large its initrd is."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from scripts.bench.row import Row, seconds_of
from si.system.run import run

RUNS = 3
BUILD_BOUND_S = 10
SIZE_BOUND_MB, FULL_BOUND_MB = 20, 24


def flavor_rows(folder: Path) -> list[Row]:
    """Rows flavor-build, initrd-size (what every machine boots) and initrd-size-full (with what an
    install by torrent fetches besides)."""
    root = folder / "flavor"
    program = Path(sys.executable).with_name("si-mkbootpackage")
    times = [
        round(seconds_of(lambda: run([program, "--root", root, "--flavor", "virtio"])), 2)
        for _ in range(RUNS)
    ]
    initrd = next(root.glob("var/lib/systemimager/flavors/*/virtio/initrd.img"))
    size = round(initrd.stat().st_size / 1e6, 2)
    full = round(size + initrd.with_name("torrent.img").stat().st_size / 1e6, 2)
    return [
        Row("flavor-build", statistics.median(times), "s", BUILD_BOUND_S, "-", tuple(times)),
        Row("initrd-size", size, "MB", SIZE_BOUND_MB, "-", (size,)),
        Row("initrd-size-full", full, "MB", FULL_BOUND_MB, "-", (full,)),
    ]
