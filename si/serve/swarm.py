"""Who shares which pack: members of swarms, how long they are remembered, whom each hears of.

Stage 7, one server process. Pure: the time and the dice are handed in. A peer hears first of those
on its own subnet and in its own group, for their bytes need not cross an uplink; but a quarter of
what it hears of is from anywhere, or racks would be islands that each wait for the server.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from random import Random
from typing import Final

MOST_MEMBERS: Final = 50_000
"""Of all swarms together; more get answers and are not remembered."""
MOST_PORTS: Final = 8
"""Of one address in all swarms, so that one machine cannot fill the memory."""
LEAST_INTERVAL_S: Final = 30
_ANNOUNCES_PER_S: Final = 50
_LONGEST_INTERVAL_S: Final = 600
_SILENT_INTERVALS: Final = 2.5
_SWEEP_EVERY_S: Final = 5.0
_NARROW: Final = 24
_LOOKED_AT: Final = 256
"""Of each kind of neighbours; a look at all of a large swarm would take 20 ms an announce."""

Key = tuple[IPv4Address, int]


@dataclass(frozen=True, slots=True)
class Member:
    """A peer of a swarm. until: when it is forgotten, in seconds of any steady clock."""

    address: IPv4Address
    port: int
    peer_id: bytes = bytes(20)
    group: str | None = None
    complete: bool = False
    until: float = 0.0

    @property
    def key(self) -> Key:
        """What tells it from all others of its swarm."""
        return self.address, self.port


def subnet_of(address: IPv4Address, networks: Iterable[IPv4Network]) -> IPv4Network:
    """The narrowest of `networks` around `address`, but never wider than a /24."""
    around = [network for network in networks if address in network]
    length = max([network.prefixlen for network in around] + [_NARROW])
    return IPv4Network((address, length), strict=False)


def choose_peers(
    asking: Member, others: Sequence[Member], wanted: int, subnet: IPv4Network, chance: Random
) -> tuple[Member, ...]:
    """At most `wanted` of `others`, near ones before far ones and a quarter from anywhere.

    Whoever has the whole pack does not hear of others who have it.
    """
    useful = [
        one for one in others
        if one.key != asking.key and not (asking.complete and one.complete)
    ]  # fmt: skip
    if len(useful) <= wanted:
        return tuple(useful)
    chance.shuffle(useful)
    useful.sort(key=lambda one: _distance(asking, one, subnet))
    near = wanted - wanted // 4
    return tuple(useful[:near] + chance.sample(useful[near:], wanted - near))


@dataclass(slots=True)
class _Swarm:
    """Members of one swarm, and the same by subnet and by group."""

    members: dict[Key, Member] = field(default_factory=dict)
    near: defaultdict[IPv4Network | str, dict[Key, Member]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    complete: int = 0

    def add(self, member: Member) -> None:
        self.members[member.key] = member
        self.complete += member.complete
        for place in _places(member):
            self.near[place][member.key] = member

    def remove(self, key: Key) -> bool:
        """Whether it was there."""
        gone = self.members.pop(key, None)
        if gone is None:
            return False
        self.complete -= gone.complete
        for place in _places(gone):
            del self.near[place][key]
            if not self.near[place]:
                del self.near[place]
        return True

    def some(self, asking: Member, chance: Random) -> list[Member]:
        """All of a small swarm; of a large one a part, with neighbours of `asking` in it."""
        pools = [self.members, *(self.near.get(place, {}) for place in _places(asking))]
        found: dict[Key, Member] = {}
        for pool in pools:
            members = list(pool.values())
            if len(members) > _LOOKED_AT:
                members = chance.sample(members, _LOOKED_AT)
            found.update((one.key, one) for one in members)
        return list(found.values())


class Swarms:
    """Members of all swarms, by info-hash."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._swarms: dict[bytes, _Swarm] = {}
        self._ports: Counter[IPv4Address] = Counter()
        self._swept = float("-inf")

    def __len__(self) -> int:
        return self._ports.total()

    def members(self, info_hash: bytes) -> tuple[Member, ...]:
        """Those of one swarm."""
        swarm = self._swarms.get(info_hash)
        return tuple(swarm.members.values()) if swarm else ()

    def hear(self, info_hash: bytes, member: Member, now: float) -> int:
        """Remember `member`, if there is room; gives the seconds until it should announce again.

        Whoever missed two of its announces is forgotten.
        """
        self._sweep(now)
        self._drop(info_hash, member.key)
        interval_s = self._interval_s()
        if len(self) < MOST_MEMBERS and self._ports[member.address] < MOST_PORTS:
            kept = replace(member, until=now + _SILENT_INTERVALS * interval_s)
            self._swarms.setdefault(info_hash, _Swarm()).add(kept)
            self._ports[member.address] += 1
        return interval_s

    def leave(self, info_hash: bytes, member: Member) -> None:
        """Forget a peer that says it stops."""
        self._drop(info_hash, member.key)

    def choose(
        self, info_hash: bytes, asking: Member, wanted: int, networks: Iterable[IPv4Network]
    ) -> tuple[Member, ...]:
        """Peers that `asking` is told of, see `choose_peers`."""
        subnet = subnet_of(asking.address, networks)
        swarm = self._swarms.get(info_hash)
        others = swarm.some(asking, self._chance) if swarm else ()
        return choose_peers(asking, others, wanted, subnet, self._chance)

    def counts(self, info_hash: bytes) -> tuple[int, int]:
        """How many have the whole pack, and how many do not."""
        swarm = self._swarms.get(info_hash)
        return (swarm.complete, len(swarm.members) - swarm.complete) if swarm else (0, 0)

    def drop(self, info_hash: bytes) -> None:
        """Forget the swarm of a version that is gone."""
        for member in self.members(info_hash):
            self._drop(info_hash, member.key)
        self._swarms.pop(info_hash, None)

    def _interval_s(self) -> int:
        """Longer the more peers there are, for the tracker's sake."""
        return min(max(len(self) // _ANNOUNCES_PER_S, LEAST_INTERVAL_S), _LONGEST_INTERVAL_S)

    def _sweep(self, now: float) -> None:
        if now - self._swept < _SWEEP_EVERY_S:
            return
        self._swept = now
        for info_hash, swarm in list(self._swarms.items()):
            for member in [one for one in swarm.members.values() if one.until < now]:
                self._drop(info_hash, member.key)
            if not swarm.members:
                del self._swarms[info_hash]

    def _drop(self, info_hash: bytes, key: Key) -> None:
        swarm = self._swarms.get(info_hash)
        if swarm and swarm.remove(key):
            self._ports[key[0]] -= 1
            if not self._ports[key[0]]:
                del self._ports[key[0]]


def _places(member: Member) -> list[IPv4Network | str]:
    """Where its neighbours are looked for: no subnet is wider than this one."""
    subnet = subnet_of(member.address, ())
    return [subnet] if member.group is None else [subnet, member.group]


def _distance(asking: Member, other: Member, subnet: IPv4Network) -> int:
    same_group = asking.group is not None and asking.group == other.group
    return 2 * (other.address not in subnet) + (not same_group)
