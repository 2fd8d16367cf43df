"""What requests cost the server's processor, and how many a client makes.

`si-server` answers HTTP, the tracker's included, in one process, so these seconds add up. They
were measured on one machine with the server's own code and stand in measured.json as `costs_ms`;
boot files are 26 MB of zero-copy sending.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EVENTS_BEFORE_IMAGE: Final = 7
"""started, check, pre-install, partition, format, mount, image"""
LOG_EVERY_S: Final = 5.0
"""BOEL looks every two seconds; while a swarm brings the image there is a new line every five."""
TURN_EVERY_S: Final = 3.0
_FILE: Final = Path(__file__).with_name("measured.json")

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Costs:
    """Processor milliseconds of one request each; curves: by how many clients are remembered."""

    boot_entry: float
    boot_files: float
    bundle: float
    event: float
    log: float
    turn: float
    turn_waiting: Curve
    announce: Curve

    def install_s(self) -> float:
        """Of one client until its image comes."""
        events = EVENTS_BEFORE_IMAGE * self.event
        return (self.boot_entry + self.boot_files + self.bundle + events) / 1000

    def join_s(self, clients: int) -> float:
        """The same, and a first announce, for each of so many on the average."""
        return self.install_s() + read_curve(self.announce, clients / 2) / 1000

    def announce_s(self, clients: int) -> float:
        """Of one announce in a swarm of so many."""
        return read_curve(self.announce, clients) / 1000

    def waiting_share(self, clients: int) -> float:
        """Of a processor, while so many wait for their turn."""
        each_ms = self.turn + read_curve(self.turn_waiting, clients)
        return clients / TURN_EVERY_S * each_ms / 1000

    def log_share(self, clients: int) -> float:
        """Of a processor, for the consoles of so many while their image comes."""
        return clients / LOG_EVERY_S * self.log / 1000


def load_costs(path: Path = _FILE) -> Costs:
    """The committed figures."""
    raw = json.loads(path.read_text())["costs_ms"]
    curves = {name: tuple((x, y) for x, y in raw[name]) for name in ("turn_waiting", "announce")}
    return Costs(**{**raw, **curves})


def read_curve(curve: Curve, at: float) -> float:
    """Straight lines between the points, from nothing at 0, and on beyond the last."""
    points = [(0.0, 0.0), *curve]
    right = min(max(bisect_left(points, (at, 0.0)), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[right - 1], points[right]
    return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
