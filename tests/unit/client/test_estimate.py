"""Estimates of how long an update takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.client.estimate import ASSUMED_LINK, Cost, LastUpdate, estimate

NOTHING = Cost(0, 0, 0)
LARGE = Cost(fetched=500_000_000, written=1_000_000_000, paths=20_000)
COSTS = st.builds(Cost, *[st.integers(0, 10**12)] * 3)
LASTS = st.none() | st.builds(LastUpdate, COSTS, st.floats(0, 1e6), st.none() | st.floats(1, 1e10))
LINKS = st.none() | st.floats(1, 1e10)


def test_the_link_decides_where_much_is_fetched() -> None:
    slow, fast = estimate(LARGE, 1e6, None), estimate(LARGE, 100e6, None)
    assert slow.seconds > 500 > 30 > fast.seconds > 5
    assert slow.link_source == fast.link_source == "measured on the manifest"


def test_where_nothing_was_measured_the_last_update_counts_then_an_assumption() -> None:
    last = LastUpdate(LARGE, 60.0, 50e6)
    assert estimate(LARGE, None, last)[2:4] == (50e6, "as at the last update")
    assert estimate(LARGE, None, last._replace(link=None))[2:4] == (ASSUMED_LINK, "assumed")
    assert estimate(LARGE, None, None)[2:] == (ASSUMED_LINK, "assumed", None)


def test_the_same_update_again_is_expected_to_take_what_it_took() -> None:
    last = LastUpdate(LARGE, 123.0, 50e6)
    assert estimate(LARGE, 50e6, last).seconds == pytest.approx(123.0)
    assert estimate(LARGE, None, last).seconds == pytest.approx(123.0)


def test_one_strange_run_does_not_make_it_absurd() -> None:
    plain = estimate(LARGE, 50e6, None).seconds
    suspended = LastUpdate(NOTHING, 1e5, None)
    assert estimate(LARGE, 50e6, suspended).seconds <= 20 * plain


@given(COSTS, COSTS, LINKS, LASTS)
def test_more_work_never_takes_less(
    cost: Cost, more: Cost, link: float | None, last: LastUpdate | None
) -> None:
    both = Cost(*(one + other for one, other in zip(cost, more, strict=True)))
    assert 0 < estimate(cost, link, last).seconds <= estimate(both, link, last).seconds
