"""Whose turn it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.fleet.rollout import Plan, Rollout, Step, batches, parse_batch


def plan(count: int, **given: object) -> Plan:
    fields: dict[str, object] = {
        "clients": tuple(f"c{number}" for number in range(count)),
        "update": "u",
        "batch": count,
        "timeout_s": 1.0,
        **given,
    }
    return Plan(**fields)  # type: ignore[arg-type]


def test_a_client_goes_through_its_steps_in_order() -> None:
    rollout = Rollout(plan(1, check="c", drain="d", undrain="u"))
    assert rollout.take() == ("c0", Step.DRAIN)
    assert [rollout.ended("c0", well=True) for _ in range(4)] == [
        Step.UPDATE,
        Step.CHECK,
        Step.UNDRAIN,
        None,
    ]
    assert (rollout.failed, rollout.at_work, rollout.take()) == ({}, (), None)


def test_a_client_that_fails_is_left_drained() -> None:
    rollout = Rollout(plan(1, check="c", drain="d", undrain="u"))
    rollout.take()
    rollout.ended("c0", well=True)
    rollout.ended("c0", well=True)
    assert rollout.ended("c0", well=False) is None
    assert rollout.failed == {"c0": Step.CHECK}


def test_the_next_batch_waits_for_all_of_this_one() -> None:
    rollout = Rollout(plan(4, batch=2))
    assert [rollout.take(), rollout.take(), rollout.take()] == [
        ("c0", Step.UPDATE),
        ("c1", Step.UPDATE),
        None,
    ]
    rollout.ended("c1", well=True)
    assert rollout.take() is None
    rollout.ended("c0", well=True)
    assert rollout.take() == ("c2", Step.UPDATE)


@pytest.mark.parametrize(("most", "begun"), [(0, 1), (1, 2), (None, 4)])
def test_after_too_many_failures_nothing_begins(most: int | None, begun: int) -> None:
    rollout = Rollout(plan(4, batch=1, max_failures=most))
    count = 0
    while (taken := rollout.take()) is not None:
        rollout.ended(taken[0], well=False)
        count += 1
    assert count == begun
    assert rollout.has_failed_too_often == (most is not None)


def test_it_goes_on_with_what_is_not_done() -> None:
    rollout = Rollout(plan(4, batch=2), done=["c0", "c2"])
    assert rollout.waiting == ("c1", "c3")
    taken = [rollout.take(), rollout.take()]
    assert [client for client, _ in filter(None, taken)] == ["c1", "c3"]


def test_stopped_it_begins_nothing_and_lets_the_others_finish() -> None:
    rollout = Rollout(plan(2, check="c"))
    rollout.take()
    rollout.stop()
    assert rollout.take() is None
    assert rollout.ended("c0", well=True) is Step.CHECK


@given(
    st.integers(1, 12),
    st.integers(1, 5),
    st.none() | st.integers(0, 4),
    st.data(),
)
def test_however_they_end(count: int, size: int, most: int | None, data: st.DataObject) -> None:
    rollout = Rollout(plan(count, batch=size, max_failures=most, check="c"))
    begun: list[str] = []
    through: list[str] = []
    while True:
        may_begin = not rollout.has_failed_too_often
        taken = rollout.take()
        if taken is not None:
            assert may_begin
            begun.append(taken[0])
            first = len(begun) - 1 - (len(begun) - 1) % size
            assert set(rollout.at_work) <= set(begun[first:])
            continue
        if not rollout.at_work:
            break
        client = data.draw(st.sampled_from(rollout.at_work))
        well = data.draw(st.booleans())
        if rollout.ended(client, well=well) is None and well:
            through.append(client)
    assert sorted([*through, *rollout.failed]) == sorted(begun)
    assert rollout.has_failed_too_often or len(begun) == count
    if most is not None:
        assert len(rollout.failed) <= most + size


@pytest.mark.parametrize(
    ("text", "clients", "size"),
    [("5", 100, 5), ("10%", 100, 10), ("10%", 5, 1), ("34%", 3, 2), ("100%", 7, 7), ("9", 2, 9)],
)
def test_sizes_of_batches(text: str, clients: int, size: int) -> None:
    assert parse_batch(text, clients) == size


@pytest.mark.parametrize("text", ["0", "0%", "101%", "-1", "ten", "", "1.5", "5 %", "١"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="batch"):
        parse_batch(text, 10)


def test_batches_and_spacing() -> None:
    assert batches(["a"] * 10, 3) == 4
    assert plan(4, spread_s=60.0).spacing_s == 15
