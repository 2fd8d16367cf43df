"""The fold: late, doubled and out-of-order events."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.monitor.state import ClientState, Event, Phase, State, fold, is_welcome

T0 = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
STEPS = (
    Phase.CHECK, Phase.PRE_INSTALL, Phase.PARTITION, Phase.FORMAT, Phase.MOUNT, Phase.IMAGE,
    Phase.OVERRIDES, Phase.CONFIGURE, Phase.BOOTLOADER, Phase.POST_INSTALL, Phase.UNMOUNT,
)  # fmt: skip
ARMED = Event(T0, Phase.ARMED, None, json.dumps({"image": "web", "flavor": "virtio"}))


def at(seconds: float, phase: Phase, uptime_s: float | None = None, detail: str = "") -> Event:
    return Event(T0 + timedelta(seconds=seconds), phase, uptime_s, detail)


def boot(at_s: float, *phases: Phase) -> list[Event]:
    """A machine switched on at `at_s`, which reports every 4 s from its 8th second on."""
    told = (Phase.STARTED, *phases)
    return [at(at_s + 8 + 4 * n, phase, 8.0 + 4 * n) for n, phase in enumerate(told)]


def state_of(events: list[Event], now_s: float = 300, attempts: int = 3) -> ClientState:
    now = T0 + timedelta(seconds=now_s)
    return fold(events, now=now, attempts=attempts, report_timeout_s=900)


def test_which_version_was_armed_and_which_one_runs() -> None:
    events = [replace(ARMED, detail=json.dumps({"image": "web", "version": 3}))]
    assert state_of(events).version == 3
    for told, version in ((4, 4), (None, None), ("4", None), (True, None), (-1, None)):
        report = json.dumps({"image": "web", "version": told})
        assert state_of([*events, at(160, Phase.INSTALLED, 40, report)]).version == version
    assert state_of([*events, at(160, Phase.INSTALLED, 40)]).version == 3


def test_nothing_reported_is_idle() -> None:
    assert state_of([]) == ClientState()
    assert not state_of([]).may_install


def test_reports_without_an_arming_count_for_nothing() -> None:
    assert state_of(boot(0, *STEPS, Phase.WRITTEN)).state is State.IDLE


def test_the_way_of_an_install() -> None:
    events = [ARMED]
    assert state_of(events).state is State.ARMED
    assert state_of(events).may_install
    assert state_of(events).image == "web"
    events += boot(10, *STEPS)
    during = state_of(events)
    assert (during.state, during.phase, during.attempts) == (State.INSTALLING, Phase.UNMOUNT, 1)
    assert during.may_install, "a power cut now must be survived"
    events.append(at(100, Phase.WRITTEN, 90))
    assert state_of(events).state is State.WRITTEN
    assert not state_of(events).may_install
    report = json.dumps({"image": "web", "captured": "2026-11-20T00:00:00Z"})
    events.append(at(160, Phase.INSTALLED, 40, report))
    done = state_of(events)
    assert (done.state, done.image, done.captured) == (
        State.INSTALLED, "web", "2026-11-20T00:00:00Z",
    )  # fmt: skip


def test_the_newest_word_about_the_present_phase_is_shown() -> None:
    events = [ARMED, *boot(0, *STEPS[:6])]
    events += [at(40, Phase.IMAGE, 40, "place 2 of 2"), at(50, Phase.IMAGE, 50, "place 1 of 1")]
    assert state_of(events).detail == "place 1 of 1"
    assert state_of(events).since == T0 + timedelta(seconds=32)
    late = [*events, at(60, Phase.IMAGE, 45, "place 2 of 2"), at(61, Phase.FORMAT, 61, "late")]
    assert state_of(late) == state_of(events)
    assert state_of([*late, at(70, Phase.OVERRIDES, 70)]).detail == ""


def test_attempts_run_out() -> None:
    events = [ARMED]
    for number in range(1, 4):
        assert state_of(events).may_install
        events += boot(100.0 * number, Phase.CHECK)
        assert state_of(events, 500).attempts == number
    assert not state_of(events, 500).may_install
    assert state_of(events, 500).armed, "the third install itself may go on"


def test_a_started_that_is_sent_again_is_one_attempt() -> None:
    first, second = boot(10, Phase.CHECK)
    again = replace(first, time=first.time + timedelta(seconds=30))
    assert state_of([ARMED, first, second, again]).attempts == 1
    assert state_of([ARMED, first, first, second]).attempts == 1


def test_a_started_that_comes_after_its_phases_is_one_attempt() -> None:
    started, check, failed = boot(10, Phase.CHECK, Phase.FAILED)
    late = replace(started, time=failed.time + timedelta(seconds=1), uptime_s=8.0)
    found = state_of([ARMED, check, replace(late, time=check.time + timedelta(seconds=1))])
    assert (found.attempts, found.phase) == (1, Phase.CHECK)


def test_without_uptime_a_restart_still_counts() -> None:
    events = [ARMED, at(10, Phase.STARTED), at(60, Phase.STARTED)]
    assert state_of(events).attempts == 2


def test_failed_stays_until_the_machine_starts_again() -> None:
    events = [ARMED, *boot(10, Phase.CHECK, Phase.PARTITION)]
    events.append(at(40, Phase.FAILED, 30, "partition: parted said no"))
    late = at(41, Phase.PARTITION, 31)
    found = state_of([*events, late], 5000)
    assert (found.state, found.detail) == (State.FAILED, "partition: parted said no")
    assert found.may_install
    again = state_of([*events, *boot(100, Phase.CHECK)])
    assert (again.state, again.attempts) == (State.INSTALLING, 2)


@pytest.mark.parametrize("last", [Phase.IMAGE, Phase.WRITTEN])
def test_silence_is_unknown(last: Phase) -> None:
    events = [ARMED, *boot(10, last)]
    heard_s = (events[-1].time - T0).total_seconds()
    assert state_of(events, heard_s + 900).state is not State.UNKNOWN
    silent = state_of(events, heard_s + 901)
    assert silent.state is State.UNKNOWN
    assert silent.may_install is (last is Phase.IMAGE)


def test_disarmed_before_it_began_is_idle() -> None:
    found = state_of([ARMED, at(5, Phase.DISARMED)])
    assert (found.state, found.may_install) == (State.IDLE, False)


def test_disarmed_during_an_install_lets_it_end_and_report() -> None:
    events = [ARMED, *boot(10, Phase.IMAGE), at(40, Phase.DISARMED)]
    assert state_of(events).state is State.INSTALLING
    assert not state_of(events).may_install
    events += [at(60, Phase.WRITTEN, 50), at(90, Phase.INSTALLED, 20)]
    assert state_of(events).state is State.INSTALLED


def test_a_disarmed_client_is_stopped_while_its_disk_is_whole() -> None:
    disarmed = at(40, Phase.DISARMED)
    whole = state_of([ARMED, *boot(10, Phase.CHECK), disarmed])
    begun = state_of([ARMED, *boot(10, Phase.CHECK, Phase.PARTITION), disarmed])
    for phase in (Phase.CHECK, Phase.PRE_INSTALL, Phase.PARTITION):
        assert not is_welcome(whole, phase)
        assert is_welcome(begun, phase), "a late report"
    for state in (whole, begun):
        assert not is_welcome(state, Phase.STARTED)
        assert is_welcome(state, Phase.FAILED)
        assert is_welcome(state, Phase.WRITTEN)
    assert all(is_welcome(state_of([ARMED]), phase) for phase in (Phase.STARTED, *STEPS))


def test_the_newest_report_of_an_installed_system_counts() -> None:
    first, second = (
        at(number, Phase.INSTALLED, 20, json.dumps({"image": name}))
        for number, name in ((100, "web"), (900, "web2"))
    )
    found = state_of([ARMED, at(50, Phase.WRITTEN, 5), first, second], 5000)
    assert (found.image, found.since) == ("web2", first.time)


def test_a_detail_that_is_no_json_breaks_nothing() -> None:
    for detail in ("", "{", "[1]", '{"image": 7}', "[" * 100_000):
        found = state_of([replace(ARMED, detail=detail), at(9, Phase.INSTALLED, 1, detail)])
        assert found.state is State.INSTALLED


PHASES = st.sampled_from([phase for phase in Phase if phase is not Phase.ARMED])
EVENTS = st.builds(
    Event,
    time=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    phase=PHASES,
    uptime_s=st.none() | st.floats(0, 1e9),
    detail=st.text(max_size=20),
)
STORIES = st.lists(EVENTS, max_size=30)


@given(STORIES, st.integers(1, 5))
def test_any_story_has_a_state(events: list[Event], attempts: int) -> None:
    found = state_of([ARMED, *events], attempts=attempts)
    if found.may_install:
        assert found.attempts < attempts
        assert not {Phase.WRITTEN, Phase.INSTALLED, Phase.DISARMED} & {e.phase for e in events}


@given(STORIES, STORIES)
def test_what_came_before_the_last_arming_is_ignored(old: list[Event], new: list[Event]) -> None:
    assert state_of([ARMED, *old, ARMED, *new]) == state_of([ARMED, *new])


@given(STORIES, STORIES)
def test_once_written_only_arming_installs_again(before: list[Event], after: list[Event]) -> None:
    written = at(1, Phase.WRITTEN, 1)
    assert not state_of([ARMED, *before, written, *after], attempts=99).may_install


@given(st.permutations(STEPS))
def test_order_of_phases_within_an_attempt_does_not_matter(phases: list[Phase]) -> None:
    in_order, shuffled = boot(10, *STEPS), boot(10, *phases)
    one, other = state_of([ARMED, *in_order]), state_of([ARMED, *shuffled])
    assert (one.state, one.phase, one.attempts) == (other.state, other.phase, other.attempts)


@given(st.integers(0, len(STEPS) + 2), st.floats(0, 50))
def test_a_doubled_event_changes_nothing(which: int, later_s: float) -> None:
    events = boot(10, *STEPS, Phase.WRITTEN, Phase.INSTALLED)
    copy = replace(events[which], time=events[which].time + timedelta(seconds=later_s))
    doubled = [*events, copy]
    doubled.sort(key=lambda event: event.time)
    assert state_of([ARMED, *doubled], 80) == state_of([ARMED, *events], 80)


@given(st.integers(1, len(STEPS) + 1), st.integers(1, len(STEPS)))
def test_a_late_event_changes_nothing(which: int, places: int) -> None:
    events = boot(10, *STEPS, Phase.WRITTEN)
    late = [*events]
    late.insert(min(which + places, len(events) - 1), late.pop(which))
    assert replace(state_of([ARMED, *late], 80), since=None) == replace(
        state_of([ARMED, *events], 80), since=None
    )
