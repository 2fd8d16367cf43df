"""What BOEL tells the server, and what it does when the server does not want to hear it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.boel.files import Run
from tests.integration.boel.server import TOKEN, Server, serving

NO_PAUSES = 'sleep() { echo "pause $1"; }\n'


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server(b"")) as running:
        yield running


def identity(server: Server, **more: str) -> dict[str, str]:
    base = f"http://127.0.0.1:{server.port}"
    return {"SI_HTTP": base, "SI_CLIENT": "web1", "SI_TOKEN": TOKEN, **more}


def test_events_carry_phase_uptime_and_details(boel: Run, server: Server, tmp_path: Path) -> None:
    detail = tmp_path / "detail"
    detail.write_bytes("two lines\nwith = & % \xe4\n".encode())
    done = boel(f"phase partition\nevent failed '{detail}'\n", **identity(server))
    assert done.returncode == 0, done.stderr
    assert server.phases == ["partition", "failed"]
    assert server.events[0][1] > 0
    assert server.events[1][2] == "two lines\nwith = & % \xe4\n"
    assert (tmp_path / "state/phase").read_text() == "partition\n"


def test_an_install_outlives_a_server_that_is_away(boel: Run, server: Server) -> None:
    lost = identity(server, SI_HTTP="http://127.0.0.1:9")
    done = boel(NO_PAUSES + "phase partition\necho went on\n", **lost)
    assert done.returncode == 0
    assert done.stdout.count("pause") == 4
    assert "the server did not take the event partition: " in done.stdout
    assert "went on" in done.stdout


def test_a_machine_that_was_disarmed_stops(boel: Run, server: Server, tmp_path: Path) -> None:
    server.armed = False
    done = boel(NO_PAUSES + "phase partition\necho went on\n", **identity(server))
    assert done.returncode == 1
    assert "pause" not in done.stdout
    assert "went on" not in done.stdout
    assert "This machine is not armed" in done.stderr
    assert (tmp_path / "state/refused").exists()


def test_finish_waits_until_written_is_acknowledged(
    boel: Run, server: Server, tmp_path: Path
) -> None:
    server.lost_events = 3
    done = boel(NO_PAUSES + "finish reboot\necho went on\n", **identity(server))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pause 5") == 3
    assert "went on" not in done.stdout
    assert server.phases == ["written"]
    assert (tmp_path / "state/finish").read_text() == "reboot\n"


def test_no_reboot_when_written_is_never_acknowledged(
    boel: Run, server: Server, tmp_path: Path
) -> None:
    """/proc/uptime is read by the shell itself; a clock that jumps stands in for ten minutes."""
    server.lost_events = 1_000_000
    jump = 'read() { eval "$2=$((${clock:=0}))"; clock=$((clock + 200)); }\n'
    done = boel(NO_PAUSES + jump.replace("$2", "$2") + "finish reboot\n", **identity(server))
    assert done.returncode == 1
    assert "the server never heard of it" in done.stderr
    assert not (tmp_path / "state/finish").exists()


def test_log_is_sent_on_from_where_the_server_is(boel: Run, server: Server, tmp_path: Path) -> None:
    log = tmp_path / "state/console.log"
    text = b"".join(b"line %d \xff\x00 end\n" % number for number in range(40_000))
    log.write_bytes(text[:300_000])
    sent = boel("upload_log piece", **identity(server))
    assert sent.returncode == 0, sent.stderr
    assert bytes(server.log) == text[:300_000].replace(b"\x00", b" ")
    log.write_bytes(text)
    server.log.clear()
    again = boel("upload_log piece", **identity(server))
    assert again.returncode == 0, again.stderr
    assert bytes(server.log) == text.replace(b"\x00", b" ")
    assert sum("offset=0" in line for line in server.asked) == 2
    count = len(server.asked)
    assert boel("upload_log piece", **identity(server)).returncode == 0
    assert len(server.asked) == count, "there was nothing to send"


def test_log_that_the_server_does_not_take_is_given_up(
    boel: Run, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "state/console.log").write_text("text\n")
    server.armed = False
    done = boel(NO_PAUSES + "flush_log", **identity(server))
    assert done.returncode == 1
    assert done.stdout.count("pause") == 3


def test_a_server_that_forgets_the_log_is_given_up(
    boel: Run, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "state/console.log").write_text("text\n" * 100_000)
    server.forgets_log = True
    done = boel(NO_PAUSES + "flush_log", **identity(server))
    assert done.returncode == 1
    assert done.stdout.count("pause") == 3
