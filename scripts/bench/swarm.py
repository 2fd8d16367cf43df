"""Clients that install from one server at once: torrent, http and rsync, on links shaped alike.

Each client runs what BOEL runs: its own client program, and GNU tar, which unpacks the tree. All of
them share the processors of one machine with the server, so the links are slow; and they write into
memory, for each would have a disk of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.links import NETWORK, SERVER_ADDRESS, links, payload_bytes_s, sent_bytes, within
from scripts.bench.row import Row
from scripts.lab.golden_tree import ensure_tree
from si.config import load_settings
from si.errors import CommandFailed, ServerNotRunning
from si.serve.status import read_status
from si.system.run import run

RATE_MBIT = float(os.environ.get("BENCH_RATE_MBIT", "6"))
COUNTS = (1, 2, 4, 8, 16)
SAMPLE = 48
"""rsync copies a part of the image that is this many times smaller: it is the server's link that
limits it, for as long as there are bytes, and whole copies for 16 clients would take an hour."""
SWARM_BOUND, SEEDER_BOUND, HTTP_BOUND, CPU_BOUND = 1.15, 1.3, 1.05, 0.5
RSYNC_BOUND = 30
_HTTP = f"http://{SERVER_ADDRESS}:8080"
_VERSION = f"{_HTTP}/versions/bench/1"
_UNPACK = "tar --zstd --xattrs --xattrs-include='*' --acls --numeric-owner -xpf - --directory=tree"
_READY_S = 30.0
PROGRAM = Path(__file__).parents[2] / "boel-initrd/torrent.py"

COMMANDS = {
    "torrent": f"wget -q -O torrent {_VERSION}/image.torrent && "
    f"/usr/bin/python3 {PROGRAM} torrent . {_HTTP}/announce 6881 60 2>log | {_UNPACK}",
    "http": f"wget -q -O - {_VERSION}/image.tar.zst | {_UNPACK}",
    "rsync": "rsync -aHAXS --numeric-ids --modify-window=-1 --no-inc-recursive "
    f"rsync://{SERVER_ADDRESS}:873/sample/ tree/",
}


@dataclass(frozen=True)
class Figures:
    """One run. last_s: until the last client had its tree; sent: bytes; cpu_s: of the server."""

    last_s: float
    sent: int
    cpu_s: float


@dataclass(frozen=True)
class Store:
    """A root with a published image, and another that is a part of it."""

    root: Path
    pack: int
    tree: int
    sample: int

    @property
    def limit_s(self) -> float:
        """How long the pack alone takes on a link that carries nothing else."""
        return self.pack / payload_bytes_s(RATE_MBIT)


def swarm_rows(folder: Path) -> list[Row]:
    """Rows swarm-16, seeder-upload, swarm-vs-rsync, http-1, server-cpu-torrent; and the table."""
    store = ensure_store(folder / "swarm")
    idle = _idle_cpu_s(store)
    print(
        f"bench: pack {store.pack / 1e6:.1f} MB, tree {store.tree / 1e6:.1f} MB,"
        f" links of {RATE_MBIT:g} Mbit/s, limit {store.limit_s:.1f} s"
    )
    http = _measure(store, "http", 1)
    print(f"bench: http with 1 client: {http.last_s:.1f} s, {http.last_s / store.limit_s:.3f}")
    print("bench: clients  torrent s  of limit  server sent  server cpu s   rsync s  cpu s  load")
    for count in COUNTS:
        swarm, rsync = _measure(store, "torrent", count), _rsync(store, count, idle)
        swarm_cpu_s = swarm.cpu_s - idle
        print(f"bench: {count:7} {swarm.last_s:10.1f} {swarm.last_s / store.limit_s:9.3f}"
              f" {swarm.sent / store.pack:12.3f} {swarm_cpu_s:13.1f} {rsync.last_s:9.1f}"
              f" {rsync.cpu_s:6.1f} {os.getloadavg()[0]:5.1f}", flush=True)  # fmt: skip
    return [
        _row("swarm-16", swarm.last_s / store.limit_s, SWARM_BOUND, f"{store.limit_s:.1f} s"),
        _row("seeder-upload", swarm.sent / store.pack, SEEDER_BOUND, "the pack"),
        _row("swarm-vs-rsync", rsync.last_s / swarm.last_s, RSYNC_BOUND, "rsync", least=True),
        _row("http-1", http.last_s / store.limit_s, HTTP_BOUND, f"{store.limit_s:.1f} s"),
        _row("server-cpu-torrent", swarm_cpu_s / rsync.cpu_s, CPU_BOUND, "rsync"),
    ]


def _row(name: str, value: float, bound: float, peer: str, *, least: bool = False) -> Row:
    value = round(value, 3)
    return Row(name, value, "ratio", bound, peer, (value,), least=least)


def _rsync(store: Store, count: int, idle_s: float) -> Figures:
    """What rsync would take for the whole tree, by what it takes for the sample."""
    sampled = _measure(store, "rsync", count)
    scale = store.tree / store.sample
    cpu_s = (sampled.cpu_s - idle_s) * scale
    return Figures(sampled.last_s * scale, int(sampled.sent * scale), cpu_s)


def _measure(store: Store, transport: str, count: int) -> Figures:
    places = make_places(store, count)
    with links(count, rate_mbit=RATE_MBIT), running_server(store) as server:
        before, started = sent_bytes(0), time.perf_counter()
        clients = [
            subprocess.Popen([*within(number), "sh", "-c", COMMANDS[transport]], cwd=place)
            for number, place in enumerate(places, 1)
        ]
        try:
            codes = [client.wait() for client in clients]
            last_s = time.perf_counter() - started
            sent = sent_bytes(0) - before
        finally:
            end_sharing(places)
        cpu_s = _stop(server)
    if any(codes) or not all(map(has_tree, places)):
        raise CommandFailed(f"a client of {count} by {transport} failed: exit codes {codes}")
    return Figures(last_s, sent, cpu_s)


def make_places(store: Store, count: int) -> list[Path]:
    """A fresh folder for each client."""
    places = [store.root.with_name("clients") / str(number) for number in range(1, count + 1)]
    shutil.rmtree(places[0].parent, ignore_errors=True)
    for place in places:
        (place / "tree").mkdir(parents=True)
    run(["sync"])
    return places


def has_tree(place: Path) -> bool:
    """Whether a client unpacked the image."""
    return (place / "tree/etc/passwd").is_file()


@contextmanager
def running_server(store: Store) -> Iterator[subprocess.Popen[bytes]]:
    """si-server for the clients, ready."""
    program = Path(sys.executable).with_name("si-server")
    argv = [*within(0), str(program), "--root", str(store.root), "--only", "http,rsync,torrent"]
    settings = load_settings(root=store.root, config=None)
    with (store.root / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _READY_S
        while True:
            with suppress(ServerNotRunning):
                read_status(settings)
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise CommandFailed(f"si-server does not answer, see {log.name}")
            time.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            process.wait()


def _stop(server: subprocess.Popen[bytes]) -> float:
    """End the server; gives the processor time of it and of all that it had started."""
    server.terminate()
    _, status, usage = os.wait4(server.pid, 0)
    server.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _idle_cpu_s(store: Store) -> float:
    """What the server takes to start and to end."""
    with links(0, rate_mbit=RATE_MBIT), running_server(store) as server:
        return _stop(server)


def end_sharing(places: Iterable[Path]) -> None:
    """End those that share what they have."""
    for place in places:
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((place / "pid").read_text()), signal.SIGTERM)


def ensure_store(folder: Path) -> Store:
    """The golden client's tree, published, and a part of it."""
    root = folder / "root"
    settings = load_settings(root=root, config=None)
    tree, sample = settings.images / "bench", settings.images / "sample"
    if not sample.exists():
        shutil.rmtree(root, ignore_errors=True)
        archive = ensure_tree(Path("build/lab").resolve(), lambda step: print(f"bench: {step}"))
        tree.mkdir(parents=True)
        run(["tar", "--zstd", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner",
             "-xpf", archive, "-C", tree])  # fmt: skip
        run([Path(sys.executable).with_name("si-publish"), "--root", root, "bench"])
        settings.etc.mkdir(parents=True, exist_ok=True)
        (settings.etc / "si.toml").write_text(
            f"[server]\naddress = '{SERVER_ADDRESS}'\nnetworks = ['{NETWORK}', '127.0.0.0/8']\n"
        )
        _make_sample(tree, sample)
    pack = settings.versions / "bench/1/image.tar.zst"
    return Store(root, pack.stat().st_size, _bytes_of(tree), _bytes_of(sample))


def _make_sample(tree: Path, sample: Path) -> None:
    """Every so-and-so-many-th file of the tree, and /etc/passwd."""
    aside = sample.with_name(".sample.fresh")
    shutil.rmtree(aside, ignore_errors=True)
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    for path in {*files[::SAMPLE], tree / "etc/passwd"}:
        copy = aside / path.relative_to(tree)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    aside.rename(sample)


def _bytes_of(tree: Path) -> int:
    found = (path.lstat() for path in tree.rglob("*"))
    return sum({stat.st_ino: stat.st_size for stat in found}.values())
