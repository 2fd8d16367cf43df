"""Streams from the server, one for each client: boot files, and an image by rsync or http.

A fluid: whoever is served gets an equal share of what the server and the uplinks carry, but no more
than it can take. With a queue only so many are served; the others wait in the order in which they
came, as `si.serve.turns` has it. Racks are taken to fill evenly, so that all uplinks are one.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from scripts.simulate.plant import Load, Plant

TFTP = 63.2e6
"""Of the server's TFTP for all clients, one processor, blocks of 1428 bytes (measured)."""
TFTP_EACH = 1428 / 0.0003
"""Of one client, which waits for each block: 0.3 ms there and back."""
TFTP_AT_ONCE = 512
"""si.serve.tftp.MAX_SESSIONS"""
TURN_S = 1.5
"""Until a client hears that its turn has come: it asks every three seconds."""


@dataclass(frozen=True, slots=True)
class Pipe:
    """What streams pass through: together, and each."""

    whole: float
    each: float

    def share(self, streams: int) -> float:
        """What each of so many gets."""
        return min(self.each, self.whole / streams)


ONE_BY_ONE = Pipe(1.0, 1.0)
"""A processor: a second a second. With at_once=1 it does one thing after another."""


def from_server(plant: Plant, clients: int, *, each: float = inf) -> Pipe:
    """The way from the server to that many clients, which take at most `each`."""
    uplinks = plant.racks(clients) * plant.uplink
    return Pipe(min(plant.server, uplinks), min(plant.client, each))


def finish_times(
    arrivals: Sequence[float], size: float, pipe: Pipe, *, at_once: int = 0, turn_s: float = 0.0
) -> list[float]:
    """When each client has its `size` bytes. at_once: how many are served; 0: all.

    All that are served get the same, so one number, the bytes that somebody would have who was
    served from the beginning, says how far each of them is.
    """
    coming = deque(sorted(range(len(arrivals)), key=arrivals.__getitem__))
    waiting: deque[int] = deque()
    served: list[tuple[float, int]] = []
    free: list[float] = [-inf] * min(at_once or len(arrivals), len(arrivals))
    finished = [0.0] * len(arrivals)
    now = level = 0.0
    while coming or waiting or served:
        while coming and arrivals[coming[0]] <= now:
            waiting.append(coming.popleft())
        while waiting and free and free[0] <= now:
            heapq.heappop(free)
            heapq.heappush(served, (level + size, waiting.popleft()))
        rate = pipe.share(len(served)) if served else 0.0
        ends = now + max(served[0][0] - level, 0.0) / rate if served else inf
        comes = arrivals[coming[0]] if coming else inf
        begins = free[0] if waiting and free else inf
        then = min(ends, comes, begins)
        level += rate * (then - now)
        now = then
        if ends <= min(comes, begins):
            _, client = heapq.heappop(served)
            finished[client] = now
            heapq.heappush(free, now + turn_s)
    return finished


def boot_times(
    plant: Plant, load: Load, switched_on: Sequence[float], *, torrent: bool
) -> list[float]:
    """When BOEL runs on each client: the boot program by TFTP, then kernel and initrd by HTTP.

    What firmware, kernel and a DHCP server take is left out; it does not grow with the clients.
    """
    tftp = Pipe(min(TFTP, plant.server), TFTP_EACH)
    programs = finish_times(switched_on, load.program, tftp, at_once=TFTP_AT_ONCE)
    size = load.boot + (load.torrent_part if torrent else 0.0)
    return finish_times(programs, size, from_server(plant, len(switched_on)))
