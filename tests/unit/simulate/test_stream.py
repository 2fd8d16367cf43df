"""Streams keep to the links, whoever comes when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.simulate.plant import Load, Plant
from scripts.simulate.stream import Pipe, boot_times, finish_times, from_server

ARRIVALS = st.lists(st.floats(0, 1000), min_size=1, max_size=30)
SIZE = 50.0
PIPE = Pipe(whole=10.0, each=4.0)


@given(arrivals=ARRIVALS, at_once=st.integers(0, 10))
def test_no_stream_is_faster_than_its_links(arrivals: list[float], at_once: int) -> None:
    finished = finish_times(arrivals, SIZE, PIPE, at_once=at_once)
    for came, done in zip(arrivals, finished, strict=True):
        assert done - came >= SIZE / PIPE.each * (1 - 1e-9)
    for moment in finished:
        sent = SIZE * sum(done <= moment for done in finished)
        assert sent <= PIPE.whole * (moment - min(arrivals)) * (1 + 1e-9)


@given(arrivals=ARRIVALS)
def test_a_link_that_is_full_is_never_idle(arrivals: list[float]) -> None:
    """Whatever the queue, as long as those that are served can fill the link."""
    together = max(finish_times(arrivals, SIZE, PIPE))
    assert max(finish_times(arrivals, SIZE, Pipe(10.0, 10.0), at_once=1)) <= together * (1 + 1e-9)
    assert together <= max(arrivals) + len(arrivals) * SIZE / PIPE.each


@given(arrivals=st.lists(st.floats(0, 1000), min_size=1, max_size=30, unique=True))
def test_turns_come_in_the_order_in_which_clients_came(arrivals: list[float]) -> None:
    finished = finish_times(arrivals, SIZE, PIPE, at_once=1)
    by_arrival = sorted(range(len(arrivals)), key=arrivals.__getitem__)
    assert by_arrival == sorted(range(len(arrivals)), key=finished.__getitem__)


def test_shares_change_when_somebody_comes_and_when_somebody_is_done() -> None:
    pipe = Pipe(whole=10.0, each=10.0)
    # Alone for 2 s (20 bytes), then halves: the first is done at 8 s, and the second has 20 to go.
    assert finish_times([0.0, 2.0], SIZE, pipe) == pytest.approx([8.0, 10.0])


def test_a_queue_that_is_too_short_leaves_the_link_idle() -> None:
    one_after_another = finish_times([0.0] * 4, SIZE, PIPE, at_once=1, turn_s=1.0)
    assert one_after_another == pytest.approx([12.5, 26.0, 39.5, 53.0])
    assert max(finish_times([0.0] * 4, SIZE, PIPE)) == pytest.approx(20.0)


def test_a_rack_gets_no_more_than_its_uplink_carries() -> None:
    plant = Plant(server=1000.0, client=10.0, rack=4, oversubscription=4)
    assert from_server(plant, 4).whole == 10.0
    assert from_server(plant, 5).whole == 20.0
    assert from_server(plant, 4000).whole == 1000.0


def test_boot_files_of_many_take_the_servers_link() -> None:
    plant = Plant(server=1e9, client=1e8)
    load = Load(pack=0, tree=0)
    files = load.boot + load.torrent_part
    assert max(boot_times(plant, load, [0.0], torrent=True)) == pytest.approx(files / 1e8, abs=0.1)
    crowd = boot_times(plant, load, [0.0] * 1000, torrent=True)
    assert max(crowd) >= 1000 * files / 1e9
    assert max(boot_times(plant, load, [0.0] * 1000, torrent=False)) < max(crowd)
