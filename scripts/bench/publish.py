"""`si-publish` against `tar c | zstd -3 -T0`, on the golden client's tree, four times over."""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

from scripts.bench.row import Row, ratio_row, seconds_of
from scripts.lab.golden_tree import ensure_tree
from si.system.run import run

RUNS = 5
SEED = 4711
CHANGED = 100
"""One path in so many is changed before each further publishing."""
FRESH_BOUND = 1.5
AGAIN_BOUND = 0.3
SIZE_BOUND = 1.05


def publish_rows(folder: Path) -> list[Row]:
    """Rows publish-fresh, publish-again and pack-size: medians of interleaved pairs."""
    root = folder / "publish"
    images = root / "var/lib/systemimager/images"
    _ensure_image(images / "bench")
    versions = root / "var/lib/systemimager/versions"
    tar = ["sh", "-c", f"tar -C '{images}/bench' -c . | zstd -3 -T0 -q -f -o '{root}/peer.tar.zst'"]
    fresh: list[float] = []
    again: list[float] = []
    peer: list[float] = []
    sizes: list[float] = []
    for number in range(RUNS):
        shutil.rmtree(versions, ignore_errors=True)
        peer.append(_timed(tar))
        fresh.append(_timed(_publish(root)))
        sizes.append((versions / "bench/1/image.tar.zst").stat().st_size)
        _change(images / "bench", random.Random(SEED + number))
        again.append(_timed(_publish(root)))
    whole = (root / "peer.tar.zst").stat().st_size
    return [
        ratio_row("publish-fresh", fresh, peer, FRESH_BOUND, "tar c | zstd -3 -T0"),
        ratio_row("publish-again", again, fresh, AGAIN_BOUND, "publish-fresh"),
        ratio_row("pack-size", sizes, [float(whole)] * RUNS, SIZE_BOUND, "tar c | zstd -3 -T0"),
    ]


def _publish(root: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("si-publish")), "--root", str(root), "bench"]


def _timed(argv: list[str]) -> float:
    run(["sync"])  # what one left to write must not be charged to the next
    return seconds_of(lambda: run(argv))


def _change(tree: Path, chance: random.Random) -> None:
    """Change one byte of each of the chosen files."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    for path in chance.sample(files, len(files) // CHANGED):
        data = bytearray(path.read_bytes()) or bytearray(b"x")
        data[chance.randrange(len(data))] ^= 1
        path.write_bytes(data)


def _ensure_image(image: Path) -> None:
    """The golden client's tree, four times: 30,000 files with the sizes and contents of a system.
    A copy lies farther from the one before than either packer looks back."""
    if image.exists():
        return
    archive = ensure_tree(Path("build/lab").resolve(), lambda step: print(f"bench: {step}"))
    fresh = image.with_name(".bench.fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    for copy in ("one", "two", "three", "four"):
        (fresh / copy).mkdir(parents=True)
        run(["tar", "--zstd", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner",
             "-xpf", archive, "-C", fresh / copy])  # fmt: skip
    fresh.rename(image)
