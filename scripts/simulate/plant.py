"""What is simulated: machines and cables, and what is sent over them.

All rates are bytes of payload a second, all sizes bytes, all times seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from random import Random

from scripts.bench.links import payload_bytes_s


def link(gigabits: float) -> float:
    """The payload rate of a link."""
    return payload_bytes_s(gigabits * 1000)


@dataclass(frozen=True, slots=True)
class Plant:
    """One server and racks of clients, all at one core switch without limits of its own."""

    server: float
    client: float
    rack: int = 40
    """Clients at one switch. Clients are numbered, so client N is in rack N // rack."""
    oversubscription: float = 1.0
    """The links of a full rack together, over its uplink."""
    unpack: float = inf
    """How fast one client unpacks, in bytes of the pack."""

    @property
    def uplink(self) -> float:
        """What one rack gets from all others, and sends to them."""
        return self.rack * self.client / self.oversubscription

    def racks(self, clients: int) -> int:
        """How many racks that many clients fill."""
        return -(-clients // self.rack)


@dataclass(frozen=True, slots=True)
class Load:
    """What every client gets."""

    pack: float
    tree: float
    """The pack unpacked, which is what rsync sends."""
    program: float = 173_792
    """The boot program, by TFTP: the larger one, for UEFI."""
    boot: float = 8.25e6 + 17.4e6
    """Kernel and initrd, by HTTP."""
    torrent_part: float = 6.3e6
    """BOEL's client of a swarm."""


def power_on(clients: int, within_s: float, chance: Random) -> Sequence[float]:
    """When each client is switched on: evenly, in no order."""
    times = [within_s * number / clients for number in range(clients)]
    chance.shuffle(times)
    return times
