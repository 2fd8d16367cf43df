"""si-psh against real sshds."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from si.system.fanout import KEPT_BYTES
from tests.integration.server_kit import wait_until
from tests.integration.ssh_kit import Farm, farm


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with farm(tmp_path_factory.mktemp("farm"), 4) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Farm]:
    """A farm to do harm to."""
    with farm(tmp_path, 3) as made:
        yield made


def test_equal_lines_are_merged(site: Farm) -> None:
    done = site.si(
        "psh", "--clients", "web1-web4", "echo same; [ $CLIENT = web3 ] && echo mine; echo end"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "web[1-4]: same",
        "web[1-2,4]: end",
        "web3: mine",
        "web3: end",
    ]
    assert done.stderr == ""


def test_who_failed_is_told_and_tried_again(own: Farm) -> None:
    gate = own.root / "gate"
    command = f"test $CLIENT = web1 || cat {gate}"
    done = own.si("psh", "--clients", "@web", command)
    assert done.returncode == 3
    assert "failed: web[2-3]: exit code 1" in done.stderr
    assert "si-psh: error: 2 of 3 clients failed: web[2-3]" in done.stderr
    gate.write_text("open\n")
    again = own.si("psh", "--retry-failed", command)
    assert (again.returncode, again.stdout) == (0, "web[2-3]: open\n"), again.stderr
    assert own.si("psh", "--retry-failed", command).returncode == 21


def test_each_way_a_client_can_fail(own: Farm, tmp_path: Path) -> None:
    own.change_key("web2")
    own.switch_off("web3")
    with socket.create_server(("127.0.0.99", own.port), backlog=5):  # takes calls, never speaks
        silent = '  <client name="silent" ip="127.0.0.99"/>\n'
        nameless = '  <client name="nameless.invalid"/>\n'
        own.write_cluster(silent, nameless)
        done = own.si("psh", "--connect-timeout", "2", "--timeout", "9", "--clients",
                      "@all", "sleep 1000")  # fmt: skip
    reasons = dict(
        line.removeprefix("failed: ").split(": ", 1)
        for line in done.stderr.splitlines()
        if line.startswith("failed: ")
    )
    assert reasons == {
        "nameless.invalid": "its name has no address",
        "silent": "it does not answer",
        "web1": "it did not end in time",
        "web2": "its host key is another than the known one",
        "web3": "it refuses connections",
    }
    assert done.returncode == 3
    assert "hint: compare the key" in done.stderr


def test_a_client_that_does_not_let_us_in(own: Farm) -> None:
    (own.root / "ssh/key.pub").write_text("")
    done = own.si("psh", "--clients", "web1", "true")
    assert done.returncode == 3
    assert "failed: web1: it does not let us in" in done.stderr


def test_output_cannot_drive_the_terminal_nor_fill_the_memory(site: Farm) -> None:
    done = site.si("psh", "--clients", "web1", r"printf '\033[2J\302\233x\r\nok\n'")
    assert done.stdout == "web1: \\x1b[2J\\x9bx\nweb1: ok\n"
    big = 3 * KEPT_BYTES
    done = site.si("psh", "--clients", "web1", f"head -c {big} /dev/zero | tr '\\0' x")
    assert done.returncode == 0
    kept, told = done.stdout.splitlines()
    assert len(kept) == len("web1: ") + KEPT_BYTES
    assert told == f"web1: [{big - KEPT_BYTES} bytes more were dropped]"


def test_nothing_is_done_for_a_range_with_a_stranger(site: Farm, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for text, code in (("web1,web7", 20), ("web1,-oProxyCommand=true", 14), ("@none", 21)):
        done = site.si("psh", f"--clients={text}", f"touch {mark}")
        assert done.returncode == code, done.stderr
    assert not mark.exists()


def test_a_command_is_the_client_s_alone(site: Farm) -> None:
    done = site.si("psh", "--clients", "web1", "echo", "%hosts", "-v", "'a  b'")
    assert done.stdout == "web1: %hosts -v a  b\n"
    done = site.si("psh", "--clients", "web1", "--", "-V")
    assert done.returncode == 3
    assert "OpenSSH" not in done.stderr + done.stdout


def test_interrupted_it_shows_what_there_is(own: Farm) -> None:
    pids = own.root / "pids"
    process = own.start(
        "psh", "--clients", "@web", f"echo hello; test $CLIENT = web1 || echo >>{pids}; "
        "test $CLIENT = web1 || sleep 1000"
    )  # fmt: skip
    wait_until(lambda: pids.exists() and len(pids.read_text()) == 2, "two are at work")
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"si-psh: interrupted" in stderr
    assert stdout in (b"", b"web1: hello\n")
    assert own.ssh_processes() == []
