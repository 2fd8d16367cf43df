"""What is written down of a client."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import si.monitor.events as events_module
import si.monitor.unknown as unknown_module
from si.config import Settings, default_settings
from si.errors import NameInvalid
from si.monitor.events import (
    LogFull,
    LogGap,
    append_event,
    append_log,
    begin_events,
    client_state,
    read_events,
)
from si.monitor.overview import look, render_table
from si.monitor.state import Event, Phase, State
from si.monitor.unknown import note_unknown, read_unknown

T0 = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return default_settings(tmp_path)


def events_file(settings: Settings) -> Path:
    return settings.clients / "web1/events.jsonl"


def test_events_come_back_as_they_were(settings: Settings) -> None:
    told = [
        Event(T0, Phase.ARMED, None, '{"image":"web"}'),
        Event(T0, Phase.STARTED, 8.25, ""),
        Event(T0, Phase.FAILED, 9.5, 'step "x"\n\x00\x1b\ufffd ü'),
    ]
    for event in told:
        append_event(settings, "web1", event)
    assert list(read_events(settings, "web1")) == told
    assert stat.S_IMODE((settings.clients / "web1").stat().st_mode) == 0o700
    assert stat.S_IMODE(events_file(settings).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["../web1", "", ".", "..", "a/b", "-x", ".unknown.jsonl"])
def test_a_name_cannot_lead_elsewhere(settings: Settings, name: str) -> None:
    with pytest.raises(NameInvalid):
        append_event(settings, name, Event(T0, Phase.ARMED))
    with pytest.raises(NameInvalid):
        read_events(settings, name)


def test_a_torn_last_line_costs_only_itself(settings: Settings) -> None:
    append_event(settings, "web1", Event(T0, Phase.ARMED))
    whole = events_file(settings).read_bytes()
    for cut in range(1, len(whole)):
        events_file(settings).write_bytes(whole + whole[:cut])
        assert read_events(settings, "web1")[0] == Event(T0, Phase.ARMED)
        append_event(settings, "web1", Event(T0, Phase.STARTED, 1.0))
        assert read_events(settings, "web1")[-1] == Event(T0, Phase.STARTED, 1.0)


def test_rubbish_lines_are_passed_over(settings: Settings) -> None:
    append_event(settings, "web1", Event(T0, Phase.ARMED))
    with events_file(settings).open("ab") as file:
        file.write(b'\xff\xfe\n{"time":"x"}\n[]\n\n{"time":"2026-11-21T12:00:00Z","phase":"no"}\n')
        file.write(b'{"time":"2026-11-21T12:00:00Z","phase":"started"}\n')
    assert [event.phase for event in read_events(settings, "web1")] == ["armed", "started"]


def test_a_client_that_talks_without_end_is_cut_off(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "MAX_EVENTS", 2000)
    append_event(settings, "web1", Event(T0, Phase.ARMED))
    with pytest.raises(LogFull):
        for _ in range(100):
            append_event(settings, "web1", Event(T0, Phase.IMAGE, 1.0, "x" * 100))
    append_event(settings, "web1", Event(T0, Phase.WRITTEN, 2.0))
    assert client_state(settings, "web1", now=T0).state is State.WRITTEN
    begin_events(settings, "web1", Event(T0, Phase.ARMED))
    assert len(read_events(settings, "web1")) == 1, "arming begins a new file"


def test_console_bytes_join_whatever_comes_twice(settings: Settings) -> None:
    append_log(settings, "web1", offset=0, data=b"hello ")
    append_log(settings, "web1", offset=6, data=b"world")
    append_log(settings, "web1", offset=6, data=b"world")
    append_log(settings, "web1", offset=3, data=b"lo world!")
    with pytest.raises(LogGap) as gap:
        append_log(settings, "web1", offset=13, data=b"?")
    assert gap.value.size == 12
    assert (settings.clients / "web1/console.log").read_bytes() == b"hello world!"


def test_the_console_log_ends_somewhere(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "MAX_LOG", 10)
    append_log(settings, "web1", offset=0, data=b"0123456789")
    append_log(settings, "web1", offset=0, data=b"0123456789")
    with pytest.raises(LogFull):
        append_log(settings, "web1", offset=10, data=b"x")


def test_a_new_boot_begins_a_new_log_and_a_repeated_report_does_not(settings: Settings) -> None:
    log = settings.clients / "web1/console.log"
    started = Event(T0 + timedelta(seconds=20), Phase.STARTED, 8.0)
    append_event(settings, "web1", Event(T0, Phase.ARMED))
    append_event(settings, "web1", started)
    append_log(settings, "web1", offset=0, data=b"first")
    append_event(settings, "web1", replace(started, time=started.time + timedelta(seconds=2)))
    assert log.read_bytes() == b"first"
    later = Event(started.time + timedelta(seconds=90), Phase.STARTED, 7.5)
    append_event(settings, "web1", later)
    assert not log.exists()
    assert log.with_name("console.log.1").read_bytes() == b"first"


def test_unknown_macs_are_kept_once_and_not_without_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_module, "MAX_MACS", 16)
    for number in range(20):
        note_unknown(settings, f"52:54:00:00:00:{number:02x}", "10.0.0.9")
    first = read_unknown(settings)[0].mac
    note_unknown(settings, first, "10.0.0.8")
    known = read_unknown(settings)
    assert len(known) == 16
    assert (known[-1].mac, known[-1].ip, known[-1].count) == (first, "10.0.0.8", 2)


def test_the_table_escapes_what_clients_say(settings: Settings) -> None:
    settings.etc.mkdir(parents=True)
    append_event(settings, "web1", Event(T0, Phase.ARMED, None, '{"image":"web"}'))
    append_event(settings, "web1", Event(T0, Phase.FAILED, 8.0, "\x1b[2Jbad\nline two " + "x" * 90))
    text = render_table(look(settings, now=T0), now=T0)
    header, row = text.splitlines()
    assert header.split() == ["client", "state", "phase", "try", "since", "image", "detail"]
    assert row.split()[:6] == ["web1", "failed", "failed", "1", "0", "s"]
    assert "\\x1b[2Jbad line two" in row
    assert "\x1b" not in text


def test_it_is_said_when_no_attempts_are_left(settings: Settings) -> None:
    settings.etc.mkdir(parents=True)
    append_event(settings, "web1", Event(T0, Phase.ARMED, None, '{"image":"web"}'))
    for attempt in range(settings.install.attempts):
        (row,) = look(settings, now=T0).clients
        assert (row.next_boot, row.out_of_attempts) == ("install", False)
        append_event(settings, "web1", Event(T0 + timedelta(seconds=60 * attempt), Phase.STARTED))
    (row,) = look(settings, now=T0).clients
    assert (row.next_boot, row.out_of_attempts) == ("disk", True)
    assert "no attempts left, it boots its own disk" in render_table(look(settings, now=T0))
    append_event(settings, "web1", Event(T0 + timedelta(seconds=600), Phase.WRITTEN))
    assert "no attempts" not in render_table(look(settings, now=T0))
