"""si-monitor as a command."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from si.config import Settings
from si.monitor.events import append_event, append_log, read_events
from si.monitor.state import Event, Phase
from tests.integration.server_kit import arm, make_store, run_si, wait_until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_store(tmp_path)


def test_every_client_of_the_cluster_has_a_row(settings: Settings) -> None:
    arm(settings)
    lines = run_si(settings, "monitor").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["client", "nomac", "web1", "web2"]
    assert lines[2].split()[1:4] == ["armed", "armed", "0"]
    shown = json.loads(run_si(settings, "monitor", "--json").stdout)
    assert {row["client"]: row["state"] for row in shown["clients"]} == {
        "nomac": "idle", "web1": "armed", "web2": "idle",
    }  # fmt: skip
    assert shown["unknown"] == []


def test_a_client_that_was_taken_out_is_still_shown(settings: Settings) -> None:
    arm(settings)
    settings.cluster_xml.unlink()
    assert "web1" in run_si(settings, "monitor").stdout
    assert run_si(settings, "monitor", "--log", "web1").returncode == 0


def test_logs(settings: Settings) -> None:
    arm(settings)
    none = run_si(settings, "monitor", "--log", "web2")
    assert (none.returncode, none.stdout) == (0, "")
    assert "no console log of web2" in none.stderr
    append_log(settings, "web1", offset=0, data=b"\x1b[31mred\r\n")
    assert run_si(settings, "monitor", "--log", "web1").stdout == "\x1b[31mred\r\n", "to a file"
    assert run_si(settings, "monitor", "--log", "web9").returncode == 20
    assert run_si(settings, "monitor", "--log", "../web1").returncode == 14


def on_terminal(settings: Settings, *words: str) -> tuple[subprocess.Popen[bytes], int]:
    leader, follower = pty.openpty()
    argv = [str(Path(sys.executable).with_name("si-monitor")), *words]
    environment = {**os.environ, "SI_ROOT": str(settings.root), "TERM": "dumb"}
    process = subprocess.Popen(argv, env=environment, stdout=follower, stdin=follower)
    os.close(follower)
    return process, leader


def test_a_log_cannot_drive_the_terminal(settings: Settings) -> None:
    append_log(settings, "web1", offset=0, data=b"\x1b]0;evil\x07one\r\ntwo\n")
    process, leader = on_terminal(settings, "--log", "web1")
    assert process.wait(30) == 0
    shown = os.read(leader, 4096)
    os.close(leader)
    assert shown == b"\\x1b]0;evil\\x07one\r\ntwo\r\n"


def test_watch_shows_what_changes_until_interrupted(settings: Settings) -> None:
    arm(settings)
    process, leader = on_terminal(settings, "--watch")
    shown = b""

    def sees(word: bytes) -> bool:
        nonlocal shown
        shown += os.read(leader, 4096)
        return word in shown

    wait_until(lambda: sees(b"armed"), "the table")
    now = read_events(settings, "web1")[-1].time
    append_event(settings, "web1", Event(now, Phase.STARTED, 5.0))
    wait_until(lambda: sees(b"installing"), "the change")
    process.send_signal(2)
    assert process.wait(30) == 130
    os.close(leader)


def test_usage(settings: Settings) -> None:
    assert run_si(settings, "monitor", "--json", "--watch").returncode == 2


def test_a_faulty_cluster_file_is_said(settings: Settings) -> None:
    settings.cluster_xml.write_text("<cluster><client/></cluster>")
    done = run_si(settings, "monitor")
    assert done.returncode == 16
    assert "cluster.xml:" in done.stderr
