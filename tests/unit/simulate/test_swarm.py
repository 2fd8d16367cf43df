"""A swarm keeps to the links, loses nothing, and grows as the manual says."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.simulate.plant import Plant
from scripts.simulate.swarm import Habits, Swarmed, swarm

PACK = 960.0
FLAT = Plant(server=10.0, client=10.0, rack=40)
LIMIT_S = PACK / FLAT.client


def together(plant: Plant, clients: int, habits: Habits | None = None) -> Swarmed:
    return swarm(plant, PACK, [0.0] * clients, habits or Habits(), Random(1))


def test_one_client_takes_what_the_link_takes() -> None:
    alone = together(FLAT, 1)
    assert alone.finished == pytest.approx([LIMIT_S])
    assert (alone.server_sent, alone.peers_sent) == (1.0, 0.0)


@settings(max_examples=15)
@given(
    clients=st.integers(1, 16),
    server=st.floats(1.0, 100.0),
    oversubscription=st.floats(1.0, 20.0),
    blocks=st.integers(2, 100),
    stay_s=st.floats(0.0, 20.0),
    late_s=st.floats(0.0, 500.0),
    near_first=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_what_is_got_was_sent_and_no_link_carries_more_than_it_can(
    clients: int, server: float, oversubscription: float, blocks: int, stay_s: float,
    late_s: float, near_first: bool, seed: int,
) -> None:  # fmt: skip
    plant = Plant(server=server, client=10.0, rack=8, oversubscription=oversubscription)
    habits = Habits(blocks, stay_s=stay_s, near_first=near_first)
    arrivals = [late_s * client / clients for client in range(clients)]
    done = swarm(plant, PACK, arrivals, habits, Random(seed))
    assert done.server_sent + done.peers_sent == pytest.approx(clients)
    assert done.server_sent >= 1
    for came, finished in zip(arrivals, done.finished, strict=True):
        assert finished - came >= LIMIT_S * (1 - 1e-9)
    last_s = max(done.finished)
    a_round = 2 / blocks
    assert done.server_sent <= last_s * server / PACK + a_round
    assert done.crossed <= plant.racks(clients) * (last_s * plant.uplink / PACK + a_round)


def test_on_a_flat_network_time_hardly_grows_with_the_clients() -> None:
    times = [max(together(replace(FLAT, rack=400), clients).finished) for clients in (4, 40, 200)]
    assert times == sorted(times)
    assert times[-1] < 1.25 * LIMIT_S


def test_the_server_sends_little_more_than_its_link_takes_in_that_time() -> None:
    many = together(replace(FLAT, rack=400), 100)
    assert 1 <= many.server_sent <= 1.25


def test_narrow_uplinks_cost_much_only_if_the_tracker_knows_no_racks() -> None:
    wide = Plant(server=100.0, client=10.0, rack=10)
    narrow = replace(wide, oversubscription=10)
    near, blind = Habits(32), Habits(32, near_first=False)
    near_s, blind_s = (max(together(narrow, 200, one).finished) for one in (near, blind))
    assert near_s < 1.5 * max(together(wide, 200, near).finished)
    assert blind_s > 1.4 * near_s


def test_a_rack_of_one_has_no_more_than_its_uplink() -> None:
    lonely = Plant(server=100.0, client=10.0, rack=1, oversubscription=4)
    assert max(together(lonely, 10).finished) >= 4 * LIMIT_S * (1 - 1 / Habits().blocks)


def test_a_rack_that_alone_has_the_pack_sends_no_more_than_its_uplink_carries() -> None:
    """It is long done when seven more racks come, each of which could take all that it sends."""
    plant = Plant(server=0.3, client=10.0, rack=2, oversubscription=8)
    arrivals = [0.0] * 2 + [5000.0] * 14
    finished = swarm(plant, PACK, arrivals, Habits(), Random(1)).finished
    assert max(finished[:2]) < 5000.0
    assert max(finished) - 5000.0 > 1.08 * PACK / plant.uplink


def test_who_cannot_unpack_at_the_links_speed_is_done_later() -> None:
    slow = replace(FLAT, unpack=5.0)
    assert max(together(slow, 10).finished) >= PACK / 5.0
    assert max(together(slow, 10).finished) > max(together(FLAT, 10).finished)


def test_who_leaves_at_once_takes_its_blocks_along() -> None:
    arrivals = [30.0 * client for client in range(20)]
    stayed, left = (
        swarm(FLAT, PACK, arrivals, Habits(stay_s=stay_s), Random(1)) for stay_s in (1e6, 0.0)
    )
    assert sum(left.finished) > 1.02 * sum(stayed.finished)


def test_the_more_a_peer_has_under_way_the_longer_a_swarm_takes() -> None:
    few, many = (max(together(FLAT, 16, Habits(blocks)).finished) for blocks in (24, 96))
    assert few > 1.1 * many
