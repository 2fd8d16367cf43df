"""What is known of a push after its server was killed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.config import Settings, default_settings
from si.errors import PushBusy, PushNotFound, PushSpoiled
from si.fleet import journal
from si.fleet.journal import (
    Event,
    Standing,
    What,
    begin_push,
    fold,
    parse_events,
    take_up_push,
)
from si.fleet.rollout import Plan, Step

T0 = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return default_settings(tmp_path)


def plan(*clients: str) -> Plan:
    return Plan(clients=clients, update="u", batch=1, timeout_s=1.0, check="c", spread_s=3.5)


def test_a_push_is_taken_up_as_it_was_left(settings: Settings) -> None:
    with begin_push(settings, plan("a", "b", "c", "d")) as held:
        assert (held.number, held.standing) == (1, Standing())
        for client in ("a", "b", "c"):
            held.note(client, What.BEGUN)
        held.note("a", What.DONE)
        held.note("b", What.FAILED, Step.CHECK, "exit code 1")
    for number in (None, 1):
        with take_up_push(settings, number) as held:
            assert held.plan == plan("a", "b", "c", "d")
            assert held.standing == Standing(("a",), ("b",), ("c",))


def test_the_last_push_that_is_not_through_is_meant(settings: Settings) -> None:
    for clients in (("a",), ("b",), ("c",)):
        with begin_push(settings, plan(*clients)) as held:
            if clients != ("b",):
                held.note(clients[0], What.DONE)
    with take_up_push(settings, None) as held:
        assert held.number == 2
        held.note("b", What.DONE)
    with pytest.raises(PushNotFound), take_up_push(settings, None):
        pass


def test_a_client_is_in_one_push_at_a_time(settings: Settings) -> None:
    with begin_push(settings, plan("a", "b")):
        with pytest.raises(PushBusy, match="push 1 is at work on b"):
            begin_push(settings, plan("b", "c")).__enter__()
        with pytest.raises(PushBusy):
            take_up_push(settings, 1).__enter__()
        with begin_push(settings, plan("c")) as other:
            assert other.number == 2
    with begin_push(settings, plan("b", "c")) as later:
        assert later.number == 3


def test_what_a_kill_tore_does_not_spoil_what_follows(settings: Settings) -> None:
    with begin_push(settings, plan("a", "b")) as held:
        held.note("a", What.DONE)
    file = settings.fleet / "pushes/1/events.jsonl"
    with file.open("ab") as torn:
        torn.write(b'{"time":"2026')
    with take_up_push(settings, None) as held:
        held.note("b", What.DONE)
    with take_up_push(settings, 1) as held:
        assert set(held.standing.done) == {"a", "b"}


def test_a_plan_that_cannot_be_read(settings: Settings) -> None:
    with begin_push(settings, plan("a")):
        pass
    (settings.fleet / "pushes/1/plan.json").write_text('{"clients": [')
    with pytest.raises(PushSpoiled, match=r"plan\.json"):
        take_up_push(settings, 1).__enter__()
    with begin_push(settings, plan("a")) as held:
        assert held.number == 2


def test_old_pushes_are_forgotten(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "KEPT_PUSHES", 2)
    with begin_push(settings, plan("held")):
        for _ in range(4):
            with begin_push(settings, plan("a")):
                pass
    kept = {int(path.name) for path in (settings.fleet / "pushes").iterdir()}
    assert kept == {1, 3, 4, 5}


_EVENTS = st.lists(
    st.builds(
        Event,
        time=st.just(T0),
        client=st.sampled_from(["a", "b", "c"]),
        what=st.sampled_from(What),
        detail=st.text(max_size=5),
    ),
    max_size=8,
)


@given(_EVENTS, st.data())
def test_wherever_a_kill_cuts_the_lines_that_are_whole_count(
    events: list[Event], data: st.DataObject
) -> None:
    lines = [msgspec.json.encode(event) + b"\n" for event in events]
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    read = list(parse_events(whole[:cut]))
    # A line that lacks nothing but its end is whole, too.
    assert read == events[: len(read)]
    assert len(b"".join(lines[: len(read)])) <= cut + 1
    assert fold(iter(read)) == fold(iter(events[: len(read)]))
