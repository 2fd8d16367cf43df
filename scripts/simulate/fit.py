"""What was measured, and the habits of peers that explain it.

`measured.json` has the table of `make bench`, of one server and up to 16 clients on links shaped
alike. Fitted are the rows of 1, 2 and 4 clients alone; those of 8 and 16 are there to be predicted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Final

from scripts.simulate.plant import Plant, link
from scripts.simulate.stream import finish_times, from_server
from scripts.simulate.swarm import Habits, swarm

FITTED_ON: Final = (1, 2, 4)
_SEEDS: Final = range(8)
_BLOCKS: Final = range(16, 129, 4)
_FILE: Final = Path(__file__).with_name("measured.json")


@dataclass(frozen=True, slots=True)
class Measured:
    """One row. Times until the last client was ready; sent: as the server's interface counts."""

    clients: int
    torrent_s: float
    sent_packs: float
    rsync_s: float


@dataclass(frozen=True, slots=True)
class Bench:
    """A run of the bench."""

    rate_mbit: float
    pack: int
    tree: int
    rows: tuple[Measured, ...]

    @property
    def plant(self) -> Plant:
        """The bench's network: one switch, all links alike."""
        rate = link(self.rate_mbit / 1000)
        return Plant(server=rate, client=rate, rack=max(row.clients for row in self.rows))

    @property
    def limit_s(self) -> float:
        """How long the pack takes on a link that carries nothing else."""
        return self.pack / self.plant.client

    def row(self, clients: int) -> Measured:
        """That of so many clients."""
        return next(row for row in self.rows if row.clients == clients)


@dataclass(frozen=True, slots=True)
class Fitted:
    """habits: of peers; wire: bytes on the server's link over what peers get from it; rsync: its
    time over that of the tree's bytes on the link."""

    habits: Habits
    wire: float
    rsync: float


def load_bench(path: Path = _FILE) -> Bench:
    """The committed table."""
    raw = json.loads(path.read_text())
    rows = tuple(Measured(**row) for row in raw["rows"])
    return Bench(raw["rate_mbit"], raw["pack"], raw["tree"], rows)


def fit(bench: Bench) -> Fitted:
    """Least squares of relative errors over FITTED_ON."""
    rows = [bench.row(clients) for clients in FITTED_ON]
    wire = bench.row(1).sent_packs

    def error_of(blocks: int) -> float:
        return sum(
            (predict_swarm(bench, Habits(blocks), row.clients)[1] * wire / row.sent_packs - 1) ** 2
            for row in rows
        )

    ideal = Habits(min(_BLOCKS, key=error_of))
    overhead = _factor(
        [predict_swarm(bench, ideal, row.clients)[0] for row in rows],
        [row.torrent_s for row in rows],
    )
    rsync = _factor(
        [_ideal_rsync_s(bench, row.clients) for row in rows], [row.rsync_s for row in rows]
    )
    return Fitted(replace(ideal, overhead=overhead), wire, rsync)


def predict(bench: Bench, fitted: Fitted, clients: int) -> Measured:
    """What the bench would print."""
    last_s, sent = predict_swarm(bench, fitted.habits, clients)
    rsync_s = _ideal_rsync_s(bench, clients) * fitted.rsync
    return Measured(clients, last_s, sent * fitted.wire, rsync_s)


def predict_swarm(bench: Bench, habits: Habits, clients: int) -> tuple[float, float]:
    """The last client's time and what the server sent, in packs: the means of some runs."""
    runs = [
        swarm(bench.plant, bench.pack, [0.0] * clients, habits, Random(seed)) for seed in _SEEDS
    ]
    return fmean(max(run.finished) for run in runs), fmean(run.server_sent for run in runs)


def _ideal_rsync_s(bench: Bench, clients: int) -> float:
    pipe = from_server(bench.plant, clients)
    return max(finish_times([0.0] * clients, bench.tree, pipe))


def _factor(ideal: Sequence[float], measured: Sequence[float]) -> float:
    """The factor of `ideal` that makes the sum of the squares of relative errors least."""
    ratios = [one / other for one, other in zip(ideal, measured, strict=True)]
    return sum(ratios) / sum(ratio * ratio for ratio in ratios)
