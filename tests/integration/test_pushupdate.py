"""si-pushupdate against real sshds; behind them a program that notes what it was told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.server_kit import wait_until
from tests.integration.ssh_kit import Farm, farm


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Farm]:
    with farm(tmp_path, 4) as made:
        for machine in made.machines.values():
            machine.program("si-updateclient", updating(made))
        yield made


def updating(site: Farm, then: str = "echo web@2: 3 changed") -> str:
    return f'echo "update $CLIENT $*" >>{site.root}/log\n{then}'


def log(site: Farm) -> list[str]:
    """What was done, in its order."""
    file = site.root / "log"
    return file.read_text().splitlines() if file.exists() else []


def push(site: Farm, *words: str) -> subprocess.CompletedProcess[str]:
    return site.si("pushupdate", "--yes", *words)


def events(site: Farm, number: int) -> list[tuple[str, str]]:
    file = site.settings.fleet / f"pushes/{number}/events.jsonl"
    return [(e["client"], e["what"]) for e in map(json.loads, file.read_text().splitlines())]


def test_every_client_gets_one_line(site: Farm) -> None:
    done = push(site, "--clients", "web1-web3", "--image", "web@2", "--exclude", "/a b",
                "--no-bootloader", "--server", "10.0.0.1:8080")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        f"web{n}: done: web@2: 3 changed" for n in (1, 2, 3)
    ]
    words = "--yes --image=web@2 --server=10.0.0.1:8080 --exclude=/a b --no-bootloader"
    assert sorted(log(site)) == [f"update web{n} {words}" for n in (1, 2, 3)]


def test_nothing_is_done_without_a_yes(site: Farm) -> None:
    done = site.si("pushupdate", "--clients", "@web", "--batch", "2")
    assert done.returncode == 36
    assert "Run `si-updateclient --yes` on 4 clients (web[1-4]), in 2 batches of 2?" in done.stderr
    assert log(site) == []
    assert not site.settings.fleet.exists()


def test_a_dry_run_tells_what_would_change(site: Farm) -> None:
    site["web1"].program("si-updateclient", "echo would add 1; exit 4")
    site["web2"].program("si-updateclient", "exit 0")
    words = ("pushupdate", "--dry-run", "--clients")
    assert site.si(*words, "web2").returncode == 0
    done = site.si(*words, "web1-web2")
    assert done.returncode == 4, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        "web1: would change: would add 1",
        "web2: nothing would change",
    ]
    site["web3"].program("si-updateclient", "echo si-updateclient: error: no >&2; exit 33")
    failed = site.si(*words, "web1-web3")
    assert failed.returncode == 3
    assert "web3: failed: exit code 33: si-updateclient: error: no" in failed.stdout


def test_batches_checks_and_hooks_in_their_order(site: Farm) -> None:
    note = f"echo {{}} $SI_CLIENT >>{site.root}/log"
    done = push(site, "--clients", "web1-web3", "--batch", "1",
                "--check", f"echo check $CLIENT >>{site.root}/log",
                "--drain", note.format("drain"), "--undrain", note.format("undrain"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert log(site) == [
        line
        for name in ("web1", "web2", "web3")
        for line in (f"drain {name}", f"update {name} --yes", f"check {name}", f"undrain {name}")
    ]


def test_a_failed_check_stops_it_and_it_goes_on_when_mended(site: Farm) -> None:
    mended = site.root / "mended"
    done = push(site, "--clients", "@web", "--batch", "25%",
                "--check", f"test $CLIENT != web2 || test -e {mended}",
                "--drain", "true",
                "--undrain", f"echo undrain $SI_CLIENT >>{site.root}/log")  # fmt: skip
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        "web1: done: web@2: 3 changed",
        "web2: failed at check: exit code 1",
    ]
    assert "not through: web[3-4]; si-pushupdate --resume 1 goes on" in done.stderr
    assert "1 of 4 clients failed: web2 (left drained)" in done.stderr
    assert "undrain web2" not in log(site)
    mended.touch()
    (site.root / "log").unlink()
    again = push(site, "--resume")
    assert again.returncode == 0, again.stderr
    assert [line for line in log(site) if line.startswith("update")] == [
        f"update web{number} --yes" for number in (2, 3, 4)
    ]
    assert push(site, "--resume").returncode == 71
    assert push(site, "--resume", "1").returncode == 0


def test_failures_within_bounds_do_not_stop_it(site: Farm) -> None:
    site["web2"].program("si-updateclient", updating(site, "exit 34"))
    done = push(site, "--clients", "@web", "--batch", "1", "--max-failures", "1")
    assert done.returncode == 3
    assert len(log(site)) == 4
    site["web2"].program("si-updateclient", updating(site))
    (site.root / "log").unlink()
    assert push(site, "--retry-failed").returncode == 0
    assert log(site) == ["update web2 --yes"]


def blocked(site: Farm, name: str) -> Path:
    """Let a client's update wait until somebody writes to the FIFO that this gives."""
    gate = site.root / f"gate-{name}"
    os.mkfifo(gate)
    site[name].program("si-updateclient", updating(site, f"cat {gate} >/dev/null; echo ended"))
    return gate


def release(gate: Path) -> None:
    gate.write_text("go\n")


def test_killed_it_goes_on_where_it_was(site: Farm) -> None:
    blocked(site, "web2")
    process = site.start("pushupdate", "--yes", "--clients", "@web", "--batch", "1")
    wait_until(lambda: "update web2 --yes" in log(site), "web2 is at work")
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: site.ssh_processes() == [], "its ssh has ended, too")
    assert events(site, 1) == [("web1", "begun"), ("web1", "done"), ("web2", "begun")]
    file = site.settings.fleet / "pushes/1/events.jsonl"
    with file.open("a") as torn:
        torn.write('{"time":"2026-11-21T12:00')
    site["web2"].program("si-updateclient", updating(site))
    (site.root / "log").unlink()
    again = push(site, "--resume")
    assert again.returncode == 0, again.stderr
    assert log(site) == [f"update web{number} --yes" for number in (2, 3, 4)]


def test_interrupted_it_lets_those_at_work_finish(site: Farm) -> None:
    gate = blocked(site, "web1")
    process = site.start("pushupdate", "--yes", "--clients", "@web", "--batch", "1")
    wait_until(lambda: "update web1 --yes" in log(site), "web1 is at work")
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr is not None
    told = [process.stderr.readline(), process.stderr.readline()]
    assert b"1 client is still at work" in told[1], told
    release(gate)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, b"web1: done: ended\n")
    assert b"not through: web[2-4]; si-pushupdate --resume 1 goes on" in stderr
    assert len(log(site)) == 1
    assert push(site, "--resume", "1").returncode == 0
    assert len(log(site)) == 4


def test_interrupted_twice_it_leaves_them(site: Farm) -> None:
    blocked(site, "web1")
    process = site.start("pushupdate", "--yes", "--clients", "web1-web2", "--batch", "1")
    wait_until(lambda: "update web1 --yes" in log(site), "web1 is at work")
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr is not None
    assert b"push 1" in process.stderr.readline()
    assert b"still at work" in process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"not through: web[1-2]" in stderr


def test_two_pushes_do_not_share_a_client(site: Farm) -> None:
    gate = blocked(site, "web2")
    process = site.start("pushupdate", "--yes", "--clients", "web1-web2")
    wait_until(lambda: "update web2 --yes" in log(site), "web2 is at work")
    refused = push(site, "--clients", "web2-web3")
    assert refused.returncode == 70
    assert "push 1 is at work on web2" in refused.stderr
    assert push(site, "--resume", "1").returncode == 70
    assert push(site, "--clients", "web3-web4").returncode == 0
    release(gate)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_an_update_that_is_still_at_work_is_waited_for(site: Farm) -> None:
    busy = site.root / "busy"
    busy.touch()
    site["web1"].program(
        "si-updateclient", updating(site, f"test -e {busy} || exit 0; rm {busy}; exit 43")
    )
    assert push(site, "--clients", "web1").returncode == 0
    assert log(site) == ["update web1 --yes"] * 2


def test_a_client_that_hangs_or_cannot_be_reached(site: Farm) -> None:
    site["web1"].program("si-updateclient", "sleep 1000")
    site.switch_off("web2")
    done = push(site, "--clients", "web1-web3", "--timeout", "6s")
    assert done.returncode == 3
    assert sorted(done.stdout.splitlines()) == [
        "web1: failed at update: it did not end in time",
        "web2: failed at update: it refuses connections",
        "web3: done: web@2: 3 changed",
    ]


def test_a_failed_drain_leaves_the_client_alone(site: Farm) -> None:
    done = push(site, "--clients", "web1", "--drain", "echo no pool >&2; exit 5")
    assert done.returncode == 3
    assert "web1: failed at drain: exit code 5: no pool" in done.stdout
    assert log(site) == []


def test_starts_are_spread(site: Farm) -> None:
    for machine in site.machines.values():
        machine.program("si-updateclient", f"date +%s%N >>{site.root}/log")
    assert push(site, "--clients", "@web", "--spread", "8s", "--batch", "2").returncode == 0
    times = sorted(int(line) / 1e9 for line in log(site))
    assert times[-1] - times[0] > 4.5


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--clients", "web1,stranger"), 20),
        (("--clients", "web1", "--image", "../x"), 14),
        (("--clients", "web1", "--batch", "0%"), 2),
        (("--clients", "web1", "--spread", "soon"), 2),
        (("--clients", "web1", "--resume"), 2),
        (("--resume",), 71),
        (("--resume", "9"), 71),
        ((), 2),
    ],
)
def test_what_is_refused(site: Farm, words: tuple[str, ...], code: int) -> None:
    done = push(site, *words)
    assert done.returncode == code, done.stderr
    assert log(site) == []
