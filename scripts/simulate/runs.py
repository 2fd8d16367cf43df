"""The installs that are simulated, from power-on to the last client's last file.

Each plays the parts one after another for every client: boot files, requests that the server's
one process for HTTP answers one by one, the image. Boot files and image are each given the server's
whole link; clients that share it end their boot together, so the two overlap little.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Final

from scripts.simulate.costs import Costs
from scripts.simulate.fit import Fitted
from scripts.simulate.plant import Load, Plant, link, power_on
from scripts.simulate.stream import ONE_BY_ONE, TURN_S, boot_times, finish_times, from_server
from scripts.simulate.swarm import swarm

GB: Final = 1e9
COUNTS: Final = (1, 10, 40, 100, 400, 1000, 4000, 10_000)
PLANT: Final = Plant(server=link(10), client=link(1), unpack=167e6)
"""unpack: a pack of 150.4 MB took 0.90 s into memory."""
LOADS: Final = tuple(Load(pack=size * GB, tree=size * 3.06 * GB) for size in (1, 5))
"""The trees: as many times their packs as that of 460 MB, packed to 150.4 MB."""
UPLINKS: Final = (1, 4, 10)
POWER_ON_S: Final = 10.0
STAY_S: Final = 30.0
QUEUED: Final = 400
AT_ONCE: Final = (0, 8, 12, 24)
TRACKED: Final = 1000
TRACKED_UPLINKS: Final = (1, 4, 10, 40)
_FILE: Final = Path(__file__).with_name("runs.json")


@dataclass(frozen=True, slots=True)
class Growth:
    """So many clients at once: until the last of them has booted, was told what to do and whom to
    ask, and has its image."""

    pack_gb: int
    clients: int
    boot_s: float
    told_s: float
    rsync_s: float
    http_s: float
    torrent_s: tuple[float, ...]
    """By UPLINKS."""
    server_packs: float
    """What the server sends of the pack, by torrent at the narrowest uplinks."""


@dataclass(frozen=True, slots=True)
class Queue:
    """QUEUED clients by http, at_once of them served, 0: all: when the first, the mean and the last
    had its image."""

    at_once: int
    first_s: float
    mean_s: float
    last_s: float


@dataclass(frozen=True, slots=True)
class Tracked:
    """TRACKED clients by torrent: until the last had its image, and packs over each uplink, with a
    tracker that names the own rack first, and with one that does not."""

    oversubscription: int
    near_s: float
    near_packs: float
    blind_s: float
    blind_packs: float


@dataclass(frozen=True, slots=True)
class Runs:
    """All that was simulated."""

    growth: tuple[Growth, ...]
    queue: tuple[Queue, ...]
    tracked: tuple[Tracked, ...]


def run_all(
    fitted: Fitted, costs: Costs, counts: Sequence[int], tell: Callable[[str], None]
) -> Runs:
    """Simulate everything, growth at these counts of clients."""
    growth: list[Growth] = []
    for load in LOADS:
        for clients in counts:
            tell(f"{clients} clients, a pack of {load.pack / GB:g} GB")
            growth.append(run_growth(fitted, costs, load, clients))
    queue = [run_queue(at_once) for at_once in AT_ONCE]
    tell(f"{TRACKED} clients, with and without the tracker's preference")
    tracked = [run_tracked(fitted, oversubscription) for oversubscription in TRACKED_UPLINKS]
    return Runs(tuple(growth), tuple(queue), tuple(tracked))


def run_growth(fitted: Fitted, costs: Costs, load: Load, clients: int) -> Growth:
    """All transports, for so many clients."""
    chance = Random(clients)
    switched_on = power_on(clients, POWER_ON_S, chance)
    booted = boot_times(PLANT, load, switched_on, torrent=False)
    alone = finish_times(booted, costs.install_s(), ONE_BY_ONE, at_once=1)
    pipe = from_server(PLANT, clients, each=PLANT.unpack)
    tree = from_server(PLANT, clients, each=PLANT.unpack * load.tree / load.pack)
    ready = boot_times(PLANT, load, switched_on, torrent=True)
    told = finish_times(ready, costs.join_s(clients), ONE_BY_ONE, at_once=1)
    habits = replace(fitted.habits, stay_s=STAY_S)
    swarms = [
        swarm(replace(PLANT, oversubscription=over), load.pack, told, habits, chance)
        for over in UPLINKS
    ]
    return Growth(
        pack_gb=int(load.pack / GB),
        clients=clients,
        boot_s=_round(max(ready)),
        told_s=_round(max(told)),
        rsync_s=_round(max(finish_times(alone, load.tree * fitted.rsync, tree))),
        http_s=_round(max(finish_times(alone, load.pack, pipe))),
        torrent_s=tuple(_round(max(one.finished)) for one in swarms),
        server_packs=round(swarms[-1].server_sent, 1),
    )


def run_queue(at_once: int) -> Queue:
    """QUEUED clients by http, the smaller pack."""
    load = LOADS[0]
    booted = boot_times(PLANT, load, power_on(QUEUED, POWER_ON_S, Random(QUEUED)), torrent=False)
    pipe = from_server(PLANT, QUEUED, each=PLANT.unpack)
    turn_s = TURN_S if at_once else 0.0
    times = finish_times(booted, load.pack, pipe, at_once=at_once, turn_s=turn_s)
    return Queue(at_once, _round(min(times)), _round(fmean(times)), _round(max(times)))


def run_tracked(fitted: Fitted, oversubscription: int) -> Tracked:
    """TRACKED clients by torrent, the larger pack, all at once."""
    plant = replace(PLANT, oversubscription=oversubscription)
    near, blind = (
        swarm(
            plant,
            LOADS[1].pack,
            [0.0] * TRACKED,
            replace(fitted.habits, near_first=near_first),
            Random(TRACKED),
        )
        for near_first in (True, False)
    )
    racks = plant.racks(TRACKED)
    return Tracked(
        oversubscription,
        _round(max(near.finished)),
        round(near.crossed / racks, 1),
        _round(max(blind.finished)),
        round(blind.crossed / racks, 1),
    )


def save_runs(runs: Runs, path: Path = _FILE) -> None:
    """Write the committed figures."""
    path.write_text(json.dumps(asdict(runs), indent=1) + "\n")


def load_runs(path: Path = _FILE) -> Runs:
    """Read them."""
    raw = json.loads(path.read_text())
    growth = tuple(Growth(**{**one, "torrent_s": tuple(one["torrent_s"])}) for one in raw["growth"])
    queue = tuple(Queue(**one) for one in raw["queue"])
    return Runs(growth, queue, tuple(Tracked(**one) for one in raw["tracked"]))


def _round(seconds: float) -> float:
    return round(seconds, 1)
