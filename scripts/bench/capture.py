"""`si-getimage` against the bare rsync command it runs, on a tree of 30,000 files."""

from __future__ import annotations

import os
import random
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from scripts.bench.row import Row, ratio_row, seconds_of
from si.errors import CommandFailed
from si.system.run import run, start

FILES = 30_000
RUNS = 5
SEED = 4711
FIRST_BOUND = 1.1
AGAIN_BOUND = 1.3
FACTS = Path(__file__).parents[2] / "tests/machines/debian-virtio-bios.json"


class Daemon(NamedTuple):
    """Where an rsync daemon listens, and its process."""

    port: int
    pid: int


def capture_rows(folder: Path) -> list[Row]:
    """Rows capture-first and capture-again: medians of interleaved pairs."""
    tree = ensure_tree(folder / "tree")
    with offered_tree(tree, folder) as daemon:
        first = _measure(folder, daemon.port, again=False)
        again = _measure(folder, daemon.port, again=True)
    peer = "rsync -aHAXS --numeric-ids --delete"
    return [
        ratio_row("capture-first", *first, FIRST_BOUND, peer),
        ratio_row("capture-again", *again, AGAIN_BOUND, peer),
    ]


def _measure(folder: Path, port: int, *, again: bool) -> tuple[list[float], list[float]]:
    ours: list[float] = []
    bare: list[float] = []
    root, copy = folder / "root", folder / "copy"
    command = [Path(sys.executable).with_name("si-getimage"), "--root", root, "--image", "bench",
               "--golden-client", "127.0.0.1", "--port", str(port), "--yes", "--quiet",
               "--no-publish"]  # fmt: skip
    rsync = ["rsync", "-aHAXS", "--numeric-ids", "--delete",
             f"rsync://127.0.0.1:{port}/root/", f"{copy}/"]  # fmt: skip
    pair = [(ours, command, root), (bare, rsync, copy)]
    for number in range(RUNS):
        for times, argv, written in pair if number % 2 else reversed(pair):
            if not again:
                shutil.rmtree(written, ignore_errors=True)
            os.sync()  # what the one left to write must not be charged to the other
            times.append(seconds_of(lambda argv=argv: run(argv)))  # type: ignore[misc]
    return ours, bare


def ensure_tree(tree: Path) -> Path:
    """30,000 files in 1,500 folders, sizes as in a Debian tree: half below 4 kB, a few large."""
    complete = tree.with_suffix(".complete")
    if complete.exists():
        return tree
    shutil.rmtree(tree, ignore_errors=True)
    chance = random.Random(SEED)
    for number in range(FILES):
        path = tree / f"d{number % 30}/d{number % 1500}/f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(min(int(chance.lognormvariate(8.2, 1.8)), 4 << 20)))
    (tree / "var/cache").mkdir(parents=True)
    facts = tree / "etc/systemimager/facts.json"
    facts.parent.mkdir(parents=True)
    shutil.copy(FACTS, facts)
    complete.touch()
    return tree


@contextmanager
def offered_tree(tree: Path, folder: Path) -> Iterator[Daemon]:
    """An rsync daemon that offers `tree` as a prepared golden client does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    conf = folder / "rsyncd.conf"
    modules = "".join(f"[{name}]\npath = {tree}\n" for name in ("root", "done"))
    conf.write_text(
        "uid = 0\ngid = 0\nread only = yes\nuse chroot = yes\nreverse lookup = no\n"
        "socket options = TCP_NODELAY\n" + modules
    )
    process = start(["rsync", "--daemon", "--no-detach", f"--config={conf}", f"--port={port}",
                     "--address=127.0.0.1"])  # fmt: skip
    try:
        wait_for(port)
        yield Daemon(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise CommandFailed(f"rsync does not listen on port {port}") from error
            time.sleep(0.02)
