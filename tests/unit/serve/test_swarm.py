"""Whom a peer hears of, and how long one is remembered."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.serve import swarm
from si.serve.swarm import LEAST_INTERVAL_S, MOST_PORTS, Member, Swarms, choose_peers, subnet_of

PACK, OTHER_PACK = b"p" * 20, b"q" * 20
WIDE = (IPv4Network("10.0.0.0/8"),)


def member(
    address: str, port: int = 6881, *, group: str | None = None, complete: bool = False
) -> Member:
    return Member(IPv4Address(address), port, group=group, complete=complete)


def rack(
    number: int, size: int, *, group: str | None = None, complete: bool = False
) -> list[Member]:
    return [
        member(f"10.0.{number}.{last}", group=group, complete=complete)
        for last in range(1, size + 1)
    ]


members = st.builds(
    Member,
    address=st.integers(0x0A000000, 0x0A0002FF).map(IPv4Address),
    port=st.integers(1, 3),
    group=st.sampled_from([None, "a", "b"]),
    complete=st.booleans(),
)


@given(members, st.lists(members, unique_by=lambda one: one.key), st.integers(0, 60), st.integers())
def test_a_choice_is_of_others_once_each_and_no_more_than_wanted(
    asking: Member, others: list[Member], wanted: int, seed: int
) -> None:
    subnet = subnet_of(asking.address, WIDE)
    chosen = choose_peers(asking, others, wanted, subnet, Random(seed))
    useful = {one for one in others if one.key != asking.key}
    useful = {one for one in useful if not (one.complete and asking.complete)}
    assert len(chosen) == len(set(chosen)) == min(wanted, len(useful))
    assert set(chosen) <= useful


def test_most_of_a_choice_is_near_and_some_is_not() -> None:
    asking, near, far = member("10.0.1.200"), rack(1, 100), rack(2, 100)
    chosen = choose_peers(asking, near + far, 40, subnet_of(asking.address, WIDE), Random(1))
    at_home = sum(one in near for one in chosen)
    assert 30 <= at_home < 40


def test_the_own_group_comes_first_within_a_subnet() -> None:
    asking = member("10.0.1.200", group="farm")
    ours, theirs = rack(1, 30, group="farm"), rack(1, 60)[30:]
    chosen = choose_peers(asking, theirs + ours, 40, subnet_of(asking.address, WIDE), Random(1))
    assert set(ours) <= set(chosen)


def test_who_has_all_does_not_hear_of_others_who_have() -> None:
    asking, complete = member("10.0.1.200", complete=True), rack(1, 5, complete=True)
    missing = rack(2, 5)
    chosen = choose_peers(asking, complete + missing, 40, IPv4Network("10.0.1.0/24"), Random(1))
    assert set(chosen) == set(missing)


def test_a_subnet_is_the_narrowest_network_that_is_answered() -> None:
    address = IPv4Address("10.0.1.9")
    assert subnet_of(address, WIDE) == IPv4Network("10.0.1.0/24")
    assert subnet_of(address, (*WIDE, IPv4Network("10.0.1.0/28"))) == IPv4Network("10.0.1.0/28")


def test_a_silent_peer_is_forgotten_and_one_that_speaks_is_not() -> None:
    swarms = Swarms(Random(1))
    silent, lively = member("10.0.0.1"), member("10.0.0.2")
    swarms.hear(PACK, silent, 0.0)
    for now in range(0, 4 * LEAST_INTERVAL_S, LEAST_INTERVAL_S):
        assert swarms.hear(PACK, lively, float(now)) == LEAST_INTERVAL_S
    assert [one.key for one in swarms.members(PACK)] == [lively.key]


def test_a_peer_that_is_late_once_is_not_forgotten() -> None:
    swarms = Swarms(Random(1))
    swarms.hear(PACK, member("10.0.0.1"), 0.0)
    swarms.hear(PACK, member("10.0.0.2"), 2.0 * LEAST_INTERVAL_S)
    assert len(swarms.members(PACK)) == 2


def test_a_peer_that_leaves_is_gone_from_its_swarm_alone() -> None:
    swarms, peer = Swarms(Random(1)), member("10.0.0.1")
    swarms.hear(PACK, peer, 0.0)
    swarms.hear(OTHER_PACK, peer, 0.0)
    swarms.leave(PACK, peer)
    assert (len(swarms.members(PACK)), len(swarms.members(OTHER_PACK))) == (0, 1)
    swarms.drop(OTHER_PACK)
    assert len(swarms) == 0


def test_one_machine_cannot_fill_the_memory() -> None:
    swarms = Swarms(Random(1))
    for port in range(1, 1000):
        swarms.hear(port.to_bytes(20, "big"), member("10.0.0.1", port), 0.0)
    assert len(swarms) == MOST_PORTS
    swarms.hear(PACK, member("10.0.0.2"), 0.0)
    assert len(swarms.members(PACK)) == 1


def test_many_machines_cannot_fill_it_and_those_that_are_known_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(swarm, "MOST_MEMBERS", 10)
    swarms = Swarms(Random(1))
    for one in rack(1, 20):
        swarms.hear(PACK, one, 0.0)
    assert [one.key for one in swarms.members(PACK)] == [one.key for one in rack(1, 10)]
    swarms.hear(PACK, member("10.0.1.1", complete=True), 1.0)
    assert swarms.counts(PACK) == (1, 9)


@pytest.mark.parametrize("group", [None, "farm"])
def test_neighbours_are_found_in_a_large_swarm(group: str | None) -> None:
    swarms = Swarms(Random(1))
    racks = [rack(number, 30, group="farm") for number in range(60)]
    for one in (one for members in racks for one in members):
        swarms.hear(PACK, one, 0.0)
    chosen = swarms.choose(PACK, member("10.0.9.200", group=group), 80, WIDE)
    assert len(chosen) == 80
    assert {one.key for one in racks[9]} <= {one.key for one in chosen}
    assert len({one.address.packed[2] for one in chosen}) > 20, "others are from anywhere"


def test_a_group_is_found_wherever_its_members_are() -> None:
    swarms = Swarms(Random(1))
    ours = [member(f"10.0.{number}.250", group="ours") for number in range(20)]
    for one in [*ours, *(one for number in range(60) for one in rack(number, 30))]:
        swarms.hear(PACK, one, 0.0)
    chosen = swarms.choose(PACK, member("10.1.0.1", group="ours"), 80, WIDE)
    assert {one.key for one in ours} <= {one.key for one in chosen}


def test_who_is_complete_is_counted_however_members_change() -> None:
    swarms = Swarms(Random(1))
    for complete in (False, True, True, False):
        swarms.hear(PACK, member("10.0.0.1", complete=complete), 0.0)
        assert swarms.counts(PACK) == (complete, not complete)
    swarms.hear(PACK, member("10.0.0.2", complete=True), 0.0)
    swarms.leave(PACK, member("10.0.0.2"))
    assert swarms.counts(PACK) == (0, 1)
    swarms.drop(PACK)
    assert swarms.counts(PACK) == (0, 0)


def test_a_large_swarm_is_asked_to_speak_more_rarely() -> None:
    swarms = Swarms(Random(1))
    intervals = [
        swarms.hear(PACK, Member(IPv4Address(0x0A000000 + number), 1), 0.0)
        for number in range(3000)
    ]
    assert intervals[0] == LEAST_INTERVAL_S
    assert intervals[-1] == 59
