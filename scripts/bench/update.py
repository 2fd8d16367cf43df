"""`si-updateclient` against `rsync -aHAXS --delete` from a daemon, on a tree of 30,000 files."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from scripts.bench.capture import ensure_tree, offered_tree
from scripts.bench.row import Row, ratio_row, seconds_of
from scripts.bench.site import client_command, make_site, publish, running_server
from si.config import Settings
from si.image.metadata import Record as ImageRecord
from si.image.metadata import write_record
from si.system.run import DEVNULL, run, start

RUNS = 5
AT_ONCE = 32
CHANGED = 100
"""One file in so many differs between the two versions."""
SEED = 4711
NOOP_WALL_BOUND = 0.5
NOOP_CPU_BOUND = 0.01
CHANGED_WALL_BOUND = 0.7
CHANGED_CPU_BOUND = 0.1
BYTES_BOUND = 1.5
_TICKS = os.sysconf("SC_CLK_TCK")
_PEER = "rsync -aHAXS --delete"
_CROWD = f"{_PEER}, {AT_ONCE} at once"


def update_rows(folder: Path) -> list[Row]:
    """Rows update-noop-*, update-1pct-*: medians of interleaved pairs."""
    settings = make_site(folder / "root")
    image = ensure_tree(settings.images / "bench")
    write_record(image, ImageRecord("bench", "", "bench", os.uname().machine, 1, 1))
    first = folder / "first"
    run(["cp", "-a", image, first])
    publish(settings)
    changed = _change(image)
    publish(settings)
    ours, theirs = folder / "ours", folder / "theirs"
    for client in (ours, theirs):
        run(["cp", "-a", first, client])
    with ExitStack() as open_:
        bench = _Bench(
            settings, folder, ours, theirs, open_.enter_context(running_server(settings))
        )
        for number, tree in ((1, first), (2, image)):
            bench.offer(number, tree, open_)
        bench.bring(1)
        return [*bench.noop_rows(), *bench.changed_rows(), bench.bytes_row(changed)]


class _Bench:
    def __init__(
        self, settings: Settings, folder: Path, ours: Path, theirs: Path, server: int
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._ours = ours
        self._theirs = theirs
        self._server = server
        self._daemons: dict[int, int] = {}
        self._rsync: dict[int, list[str]] = {}
        command = client_command(settings, folder, "updateclient", ours)
        self._update = [*command, "--yes", "--no-bootloader"]

    def offer(self, number: int, tree: Path, open_: ExitStack) -> None:
        """Offer the tree of a version by a daemon of its own."""
        place = self._folder / f"rsync{number}"
        place.mkdir()
        daemon = open_.enter_context(offered_tree(tree, place))
        self._daemons[number] = daemon.pid
        kept = ("--exclude=/etc/systemimager/site-key.pub", "--exclude=/run")
        url = f"rsync://127.0.0.1:{daemon.port}/root/"
        self._rsync[number] = [*_PEER.split(), "--numeric-ids", *kept, url, f"{self._theirs}/"]

    def bring(self, number: int) -> None:
        """Both to a version."""
        run([*self._update, "--image", f"bench@{number}"])
        run(self._rsync[number])

    def noop_rows(self) -> list[Row]:
        """An update that changes nothing: one client's wall, and 32 clients' load."""
        ours: list[float] = []
        theirs: list[float] = []
        command = [*self._update, "--image", "bench@1"]
        for _ in range(RUNS):
            theirs.append(seconds_of(lambda: run(self._rsync[1])))
            ours.append(seconds_of(lambda: run(command)))
        clients = self._many_clients(command)
        with clients as commands:
            used = self._load(self._server, lambda: _run_all(commands))
        peer = self._load(self._daemons[1], lambda: _run_all([self._rsync[1]] * AT_ONCE))
        return [
            ratio_row("update-noop-wall", ours, theirs, NOOP_WALL_BOUND, _PEER),
            ratio_row("update-noop-cpu", [used], [peer], NOOP_CPU_BOUND, _CROWD),
        ]

    def changed_rows(self) -> list[Row]:
        """From one version to the next, which the way back between two runs does not count for:
        wall of one client, CPU of the server."""
        walls: dict[str, list[float]] = {"ours": [], "theirs": []}
        loads: dict[str, list[float]] = {"ours": [], "theirs": []}
        pairs = (
            ("ours", self._server, [*self._update, "--image", "bench@2"]),
            ("theirs", self._daemons[2], self._rsync[2]),
        )
        for _ in range(RUNS):
            self.bring(1)
            for name, pid, command in pairs:
                run(["sync"])
                before = _cpu_of(pid)
                walls[name].append(seconds_of(lambda argv=command: run(argv)))  # type: ignore[misc]
                loads[name].append(_cpu_of(pid) - before)
        # A run takes a few ticks of the server's clock: only their sum says anything.
        spent, peer = sum(loads["ours"]), sum(loads["theirs"])
        return [
            ratio_row(
                "update-1pct-wall", walls["ours"], walls["theirs"], CHANGED_WALL_BOUND, _PEER
            ),
            ratio_row("update-1pct-cpu", [spent], [peer], CHANGED_CPU_BOUND, _PEER),
        ]

    def bytes_row(self, changed: Sequence[Path]) -> Row:
        """Bytes on the wire for the changes, against what must come at least."""
        packed = self._folder / "changed.zst"
        names = b"".join(os.fsencode(path) + b"\0" for path in changed)
        run(["sh", "-c", f"xargs -0 cat | zstd -3 -q -f -o '{packed}'"], stdin=names)
        manifest = self._settings.versions / "bench/2/manifest"
        least = packed.stat().st_size + manifest.stat().st_size
        self.bring(1)
        with counted(self._settings.server.http_port) as (port, count):
            words = [word.replace(str(self._settings.server.http_port), str(port))
                     for word in self._update]  # fmt: skip
            run([*words, "--image", "bench@2"])
        return ratio_row("update-1pct-bytes", [float(count[0])], [float(least)], BYTES_BOUND,
                         "zstd -3 of the new contents, and the manifest")  # fmt: skip

    @contextmanager
    def _many_clients(self, command: list[str]) -> Iterator[list[list[str]]]:
        """The same tree under many names, each with a lock of its own."""
        commands = []
        with ExitStack() as mounted:
            for number in range(AT_ONCE):
                place = self._folder / f"client{number}"
                place.mkdir()
                run(["mount", "--bind", self._ours, place])
                mounted.callback(run, ["umount", place])
                run(["mount", "-t", "tmpfs", "tmpfs", place / "run"])
                mounted.callback(run, ["umount", place / "run"])
                commands.append([word.replace(str(self._ours), str(place)) for word in command])
            yield commands

    def _load(self, pid: int, work: Callable[[], None]) -> float:
        before = _cpu_of(pid)
        work()
        return _cpu_of(pid) - before


def _change(image: Path) -> list[Path]:
    """Change one file in a hundred; which."""
    chance = random.Random(SEED)
    files = sorted(path for path in image.rglob("f*") if path.is_file())
    chosen = chance.sample(files, len(files) // CHANGED)
    for path in chosen:
        data = bytearray(path.read_bytes()) or bytearray(b"x")
        data[chance.randrange(len(data))] ^= 1
        path.write_bytes(data + b"more")
    return chosen


def _run_all(commands: Sequence[Sequence[str]]) -> None:
    running = [start(command, stdout=DEVNULL, stderr=DEVNULL) for command in commands]
    codes = [process.wait() for process in running]
    assert codes == [0] * len(codes), codes


def _cpu_of(pid: int) -> float:
    """Seconds that a process and the children it has waited for have used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:15])) / _TICKS


@contextmanager
def counted(port: int) -> Iterator[tuple[int, list[int]]]:
    """Another port that leads to the server at `port`, and how many bytes came from there."""
    count = [0]
    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=_serve, args=(door, port, count), daemon=True)
        thread.start()
        yield door.getsockname()[1], count


def _serve(door: socket.socket, port: int, count: list[int]) -> None:
    while True:
        try:
            client, _ = door.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", port))
        for source, sink, counts in ((client, server, False), (server, client, True)):
            words = (source, sink, count if counts else [0])
            threading.Thread(target=_copy, args=words, daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket, count: list[int]) -> None:
    try:
        while data := source.recv(1 << 16):
            count[0] += len(data)
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
