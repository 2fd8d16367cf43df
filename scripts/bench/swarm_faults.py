"""What a slow peer, a peer that dies and a server that dies cost the others of a swarm."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.links import links, slow_down, within
from scripts.bench.row import Row
from scripts.bench.swarm import (
    COMMANDS,
    RATE_MBIT,
    Store,
    end_sharing,
    ensure_store,
    has_tree,
    make_places,
    running_server,
)
from si.errors import CommandFailed
from si.version.store import PACK

CLIENTS = 8
BOUND = 1.2
SLOWER = 10
DEATH = 0.6
"""Of the pack: what each of the others has when a peer or the server dies."""
AWAY_S = 10.0


@dataclass
class _Swarm:
    """A server and clients under way; the first client is the one that is in trouble."""

    store: Store
    places: Sequence[Path]
    clients: Sequence[subprocess.Popen[bytes]]
    server: subprocess.Popen[bytes]
    open_: ExitStack

    def wait_for(self, part: float) -> None:
        """Until the last of the others has this part of the pack."""
        while min(map(self._staged, self.places[1:])) < part * self.store.pack:
            time.sleep(0.1)

    def _staged(self, place: Path) -> int:
        try:
            return 512 * (place / PACK).stat().st_blocks
        except FileNotFoundError:
            return 0


def swarm_fault_rows(folder: Path) -> list[Row]:
    """Rows swarm-slow-peer, swarm-dead-peer, swarm-dead-server: time of the last of the others."""
    store = ensure_store(folder / "swarm")
    whole = _measure(store, lambda _swarm: None)
    print(f"bench: {CLIENTS} clients, nothing happens: {whole:.1f} s", flush=True)
    rows = []
    for name, trouble in (
        ("swarm-slow-peer", _slow_down),
        ("swarm-dead-peer", _kill_client),
        ("swarm-dead-server", _restart_server),
    ):
        last = _measure(store, trouble)
        print(f"bench: {name}: {last:.1f} s", flush=True)
        value = round(last / whole, 3)
        rows.append(Row(name, value, "ratio", BOUND, "the same without", (value,)))
    return rows


def _slow_down(_swarm: _Swarm) -> None:
    slow_down(1, rate_mbit=RATE_MBIT / SLOWER)


def _kill_client(swarm: _Swarm) -> None:
    swarm.wait_for(DEATH)
    os.killpg(swarm.clients[0].pid, signal.SIGKILL)


def _restart_server(swarm: _Swarm) -> None:
    """No copy is whole among the peers yet: they wait for the server that comes back."""
    swarm.wait_for(DEATH)
    swarm.server.kill()
    swarm.server.wait()
    time.sleep(AWAY_S)
    swarm.open_.enter_context(running_server(swarm.store))


def _measure(store: Store, trouble: Callable[[_Swarm], None]) -> float:
    """Seconds until the last client but the first had its tree."""
    places = make_places(store, CLIENTS)
    with ExitStack() as open_:
        open_.enter_context(links(CLIENTS, rate_mbit=RATE_MBIT))
        server = open_.enter_context(running_server(store))
        started = time.perf_counter()
        clients = [
            subprocess.Popen(
                [*within(number), "sh", "-c", COMMANDS["torrent"]],
                cwd=place,
                start_new_session=True,
            )
            for number, place in enumerate(places, 1)
        ]
        try:
            trouble(_Swarm(store, places, clients, server, open_))
            codes = [client.wait() for client in clients[1:]]
            last_s = time.perf_counter() - started
        finally:
            for client in clients:
                if client.poll() is None:
                    os.killpg(client.pid, signal.SIGKILL)
            end_sharing(places)
    if any(codes) or not all(map(has_tree, places[1:])):
        raise CommandFailed(f"a client of the others failed: exit codes {codes}")
    return last_s
