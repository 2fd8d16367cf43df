"""The swarm: clients that get a pack from the server and from each other, block by block.

A pack is cut into blocks, and time into rounds, in each of which a client's link carries one block
in and one out. A block stands for what a peer has under way at once, not for a torrent's piece: it
can be passed on when it has come, so each doubling of those that have it costs a round. Each round
the server gives away as many as its link carries, and each client that lacks some asks a peer it
has heard of, in its rack or anywhere, for the rarest of a few. A rack's uplink carries so many
blocks a round each way; whoever finds it full asks in its own rack. What somebody has is one
integer, so ten thousand clients are played in seconds. Fitted are the number of blocks, and what
libtorrent needs over the link's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from random import Random

from scripts.simulate.plant import Plant
from si.serve.announce import MOST_WANTED

_CONNECTED = 80
"""Peers that a client looks through; connections_limit of boel-initrd/torrent.py."""
_LOOKED_AT = 3
"""Blocks of which the rarest is asked for."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How peers behave."""

    blocks: int = 96
    """Into how many a pack is cut."""
    overhead: float = 1.0
    """Time that a pack takes over that of its bytes on the link."""
    near_first: bool = True
    """The tracker names peers of the same rack first."""
    stay_s: float = inf
    """How long a client shares what it has after the end, until it reboots."""


@dataclass(frozen=True, slots=True)
class Swarmed:
    """What came of it. finished: when each client had unpacked; the rest in packs."""

    finished: tuple[float, ...]
    server_sent: float
    peers_sent: float
    crossed: float
    """Between racks, without what the server sent."""


def swarm(
    plant: Plant, pack: float, arrivals: Sequence[float], habits: Habits, chance: Random
) -> Swarmed:
    """Play one install of all clients."""
    return _Swarm(plant, pack, arrivals, habits, chance).play()


class _Swarm:
    def __init__(
        self,
        plant: Plant,
        pack: float,
        arrivals: Sequence[float],
        habits: Habits,
        chance: Random,
    ) -> None:
        count, racks = len(arrivals), plant.racks(len(arrivals))
        self.arrivals, self.habits, self.chance = arrivals, habits, chance
        self.blocks, self.whole = habits.blocks, (1 << habits.blocks) - 1
        self.round_s = pack / self.blocks / plant.client * habits.overhead
        # Blocks a round.
        self.per_round = plant.server / plant.client
        self.uplink = plant.uplink / plant.client
        self.unpack = plant.unpack * self.round_s / (pack / self.blocks)
        self.unsent = self.whole
        # By client.
        self.rack = [client // plant.rack for client in range(count)]
        self.have = [0] * count
        self.window = [(1 << self.blocks // 2) - 1] * count
        self.unpacked = [0.0] * count
        self.finished = [inf] * count
        self.free = [True] * count
        # Clients, by where they stand.
        self.coming = sorted(range(count), key=arrivals.__getitem__, reverse=True)
        self.lacking: list[int] = []
        self.unpacking: list[int] = []
        self.sharing: list[list[int]] = [[] for _ in range(racks)]
        self.leaving: list[tuple[float, int]] = []
        # By rack, and in all.
        self.copies, self.all_copies = [[0] * self.blocks for _ in range(racks)], [0] * self.blocks
        self.entering, self.going, self.credit = [0.0] * racks, [0.0] * racks, 0.0
        self.server_sent = self.peers_sent = self.crossed = 0

    def play(self) -> Swarmed:
        now = 0.0
        while self.coming or self.lacking or self.unpacking:
            if not self.lacking and not self.unpacking:
                now = max(now, self.arrivals[self.coming[-1]])
            while self.coming and self.arrivals[self.coming[-1]] <= now:
                self.lacking.append(self.coming.pop())
                self.unpacking.append(self.lacking[-1])
            self.chance.shuffle(self.lacking)
            self._open_links()
            came = self._serve()
            self._exchange(came)
            self._take(came)
            self._unpack(now)
            now += self.round_s
            self._leave(now)
        return Swarmed(
            tuple(self.finished),
            self.server_sent / self.blocks,
            self.peers_sent / self.blocks,
            self.crossed / self.blocks,
        )

    def _open_links(self) -> None:
        """What a link did not carry of a block in this round it carries in the next."""
        for carried in (self.entering, self.going):
            for rack, left in enumerate(carried):
                carried[rack] = min(left, 1.0) + self.uplink
        self.credit = min(self.credit, 1.0) + self.per_round

    def _serve(self) -> dict[int, int]:
        """The server's blocks of this round: client to block."""
        came: dict[int, int] = {}
        for client in self.lacking:
            if self.credit < 1:
                break
            rack = self.rack[client]
            if self.entering[rack] < 1:
                continue
            came[client] = self._next_of_server(client)
            self.credit -= 1
            self.entering[rack] -= 1
        self.server_sent += len(came)
        return came

    def _next_of_server(self, client: int) -> int:
        """One that nobody has, while there are such."""
        missing = self.whole & ~self.have[client]
        block = self._rarest(client, missing & self.unsent or missing)
        self.unsent &= ~(1 << block)
        return block

    def _exchange(self, came: dict[int, int]) -> None:
        """The blocks that clients get of each other in this round, added to `came`."""
        near = [list(members) for members in self.sharing]
        everyone = [client for members in near for client in members]
        self.free = [True] * len(self.have)
        for client in self.lacking:
            if client not in came:
                block = self._ask(client, near[self.rack[client]], everyone)
                if block is not None:
                    came[client] = block

    def _ask(self, client: int, near: list[int], everyone: list[int]) -> int | None:
        rack, missing = self.rack[client], self.whole & ~self.have[client]
        nearby = self._nearby(len(near), len(everyone))
        for _ in range(_CONNECTED):
            far = self.entering[rack] >= 1 and self.chance.random() >= nearby
            peer = self._draw(everyone if far else near)
            if peer is None:
                continue
            crosses = self.rack[peer] != rack
            if not crosses and not self._knows(client, peer, nearby):
                continue
            if crosses and self.going[self.rack[peer]] < 1:
                continue
            offered = self.have[peer] & missing
            if not offered:
                continue
            self.free[peer] = False
            self.peers_sent += 1
            if crosses:
                self.crossed += 1
                self.entering[rack] -= 1
                self.going[self.rack[peer]] -= 1
            return self._rarest(client, offered)
        return None

    def _nearby(self, near: int, everyone: int) -> float:
        """The part of the peers it has heard of that is in its rack; see si.serve.swarm."""
        wanted = MOST_WANTED - 1
        if everyone <= wanted or not self.habits.near_first:
            return near / max(everyone, 1)
        return min(near, wanted - wanted // 4) / wanted

    def _knows(self, client: int, peer: int, nearby: float) -> bool:
        """Whether a client has heard of one of its rack. Of few it has of all; else by lot, and
        the same lot each time."""
        known = nearby * (MOST_WANTED - 1) / len(self.sharing[self.rack[client]])
        if known >= 1:
            return True
        return _lot(min(client, peer), max(client, peer)) < known

    def _draw(self, pool: list[int]) -> int | None:
        """Somebody who has not been asked in this round."""
        while pool:
            at = int(self.chance.random() * len(pool))
            if self.free[pool[at]]:
                return pool[at]
            pool[at] = pool[-1]
            pool.pop()
        return None

    def _rarest(self, client: int, offered: int) -> int:
        """Of a few blocks, in the window if there are any, that of which its peers have least."""
        offered = offered & self.window[client] or offered
        here, everywhere = self.copies[self.rack[client]], self.all_copies
        best, least = -1, inf
        for _ in range(_LOOKED_AT):
            start = int(self.chance.random() * self.blocks)
            above = offered >> start
            if above:
                block = start + (above & -above).bit_length() - 1
            else:
                block = (offered & -offered).bit_length() - 1
            copies = here[block] + everywhere[block] / len(self.have)
            if copies < least:
                best, least = block, copies
        return best

    def _take(self, came: dict[int, int]) -> None:
        for client, block in came.items():
            rack = self.rack[client]
            if not self.have[client]:
                self.sharing[rack].append(client)
            self.have[client] |= 1 << block
            self.copies[rack][block] += 1
            self.all_copies[block] += 1
        self.lacking = [client for client in self.lacking if self.have[client] != self.whole]

    def _unpack(self, now: float) -> None:
        """What has come in order is unpacked, and the half of the pack that is next preferred."""
        for client in self.unpacking:
            have, done = self.have[client], self.unpacked[client]
            whole = (~have & (have + 1)).bit_length() - 1
            if whole <= done:
                continue
            new = self.unpacked[client] = min(float(whole), done + self.unpack)
            self.window[client] = (1 << (int(new) + self.blocks // 2)) - 1
            if new >= self.blocks:
                self.finished[client] = now + self.round_s * self._last_part(done)
                self.leaving.append((self.finished[client] + self.habits.stay_s, client))
        self.unpacking = [one for one in self.unpacking if self.unpacked[one] < self.blocks]

    def _last_part(self, done: float) -> float:
        """How much of a round the end of unpacking takes."""
        return 1.0 if self.unpack == inf else min(1.0, (self.blocks - done) / self.unpack)

    def _leave(self, now: float) -> None:
        """Whoever reboots takes its blocks along."""
        gone = {client for ends, client in self.leaving if ends <= now}
        if not gone:
            return
        self.leaving = [one for one in self.leaving if one[1] not in gone]
        for members in self.sharing:
            members[:] = [client for client in members if client not in gone]


def _lot(low: int, high: int) -> float:
    """From 0 to 1, the same for the same pair: multiplicative hashing, of which the high bits."""
    return ((low * 2654435761 ^ high * 2246822519) >> 8 & 0xFFFF) / 0x10000
