"""si-prepareclient: facts, what it installs, and the offer by a real rsync daemon."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from si.client.record import parse_facts
from tests.integration.client_kit import (
    DEADLINE_S,
    Program,
    answers,
    free_port,
    rsync,
    wait_until,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A golden client's tree; the facts are this machine's own."""
    golden = tmp_path / "golden"
    for name in ("etc", "usr/sbin", "var/log", "run", "root"):
        (golden / name).mkdir(parents=True)
    (golden / "etc/motd").write_text("hello\n")
    (golden / "etc/shadow").write_text("root:secret\n")
    (golden / "etc/shadow").chmod(0o600)
    return golden


@pytest.fixture
def port(tree: Path) -> Iterator[int]:
    """A free port; whatever a test left offering there is ended."""
    number = free_port()
    yield number
    for process in offering(tree):
        os.kill(process, signal.SIGKILL)


def _sources(program: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(program) as archive:
        names = [name for name in archive.namelist() if name.endswith(".py")]
        return {name: archive.read(name) for name in names}


def offering(tree: Path) -> list[int]:
    """Processes of si-prepareclient and of its daemon for this tree."""
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = cmdline.read_bytes().split(b"\0")
        except OSError:
            continue
        mine = any(os.fsencode(tree) in word for word in words)
        if mine and (b"prepareclient" in words or b"--daemon" in words):
            found.append(int(cmdline.parent.name))
    return found


def prepare(program: Program, tree: Path, port: int, *words: str) -> Callable[[], None]:
    done = program(
        *("prepareclient", "--root", tree, "--server", "127.0.0.1", "--port", str(port)),
        *("--yes", *words),
    )
    assert done.code == 0, done.stderr
    assert f"si-getimage --golden-client 127.0.0.1 --image NAME --port {port}" in done.stdout
    return lambda: wait_until("nothing of the offer is left", lambda: not offering(tree))


def test_offer_is_pulled_and_ends_when_the_server_has_all(
    program: Program, tree: Path, port: int, tmp_path: Path
) -> None:
    (tree / "etc/systemimager").mkdir()
    (tree / "etc/systemimager/client.json").write_text('{"token": "of an earlier install"}')
    ended = prepare(program, tree, port)
    facts = rsync("-r", f"rsync://127.0.0.1:{port}/root/etc/systemimager/", str(tmp_path / "f"))
    assert facts.returncode == 0, facts.stderr
    assert parse_facts((tmp_path / "f/facts.json").read_text(), "f").hostname == os.uname().nodename
    pulled = tmp_path / "pulled"
    pull = rsync("-aHAXS", "--numeric-ids", f"rsync://127.0.0.1:{port}/root/", str(pulled))
    assert pull.returncode == 0, pull.stderr
    assert (pulled / "etc/shadow").read_text() == "root:secret\n"
    got = {str(path.relative_to(pulled)) for path in pulled.rglob("*") if not path.is_dir()}
    assert got == {
        "etc/motd",
        "etc/shadow",
        "etc/systemimager/facts.json",
        "etc/systemimager/updateclient.local.exclude",
        "etc/systemd/system/si-report.service",
        "etc/systemd/system/multi-user.target.wants/si-report.service",
        "usr/lib/systemimager/si-client.pyz",
        "usr/sbin/si-prepareclient",
        "usr/sbin/si-updateclient",
        "usr/sbin/si-audit",
    }
    assert len(offering(tree)) == 2, "the program and its daemon"
    assert rsync(f"rsync://127.0.0.1:{port}/done/").returncode == 0
    ended()
    assert not answers(port)
    assert [path.name for path in (tree / "run").iterdir()] == ["si-prepareclient.lock"]
    assert "complete" in (tree / "var/log/systemimager-prepareclient.log").read_text()


@pytest.mark.parametrize("tool", ["zstd", "ssh-keygen"])
def test_what_updates_will_lack_is_said(program: Program, tree: Path, tool: str) -> None:
    cover = f'mount --bind /dev/null /usr/bin/{tool}; exec "$@"'
    words = ["prepareclient", "--root", str(tree), "--server", "127.0.0.1", "--dry-run"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", cover, "-", sys.executable, "-IB", program.file, *words],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.decode().splitlines() if "not installed" in line]
    [warning] = warnings
    assert warning.startswith(f"warning: {tool} is not installed: copies cannot be updated")


def test_nobody_else_gets_anything(program: Program, tree: Path, port: int) -> None:
    ended = prepare(program, tree, port)
    for module in ("root", "done"):
        refused = rsync("--address=127.0.0.2", f"rsync://127.0.0.1:{port}/{module}/")
        assert refused.returncode == 5
        assert refused.stdout == b""
    assert offering(tree), "a stranger ended the offer"
    assert rsync(f"rsync://127.0.0.1:{port}/").stdout == b"", "modules are listed"
    write = rsync("/etc/hostname", f"rsync://127.0.0.1:{port}/root/etc/")
    assert write.returncode != 0
    assert b"read only" in write.stderr
    assert rsync(f"rsync://127.0.0.1:{port}/done/").returncode == 0
    ended()


def test_offer_times_out_but_not_below_a_running_capture(
    program: Program, tree: Path, port: int
) -> None:
    ended = prepare(program, tree, port, "--timeout", "3")
    with socket.create_connection(("127.0.0.1", port)) as capture:
        capture.recv(100)
        log = tree / "var/log/systemimager-prepareclient.log"
        with pytest.raises(AssertionError, match="not within"):
            wait_until("it ends", lambda: "time is up" in log.read_text(), deadline_s=5)
        assert offering(tree)
    ended()
    assert "time is up" in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_offer_leaves_no_daemon(
    program: Program, tree: Path, port: int, number: signal.Signals
) -> None:
    ended = prepare(program, tree, port)
    lock = (tree / "run/si-prepareclient.lock").read_text()
    process = int(lock.split("kill ")[1].split()[0])
    os.kill(process, number)
    ended()
    assert not answers(port)
    left = [path.name for path in (tree / "run").glob("si-prepareclient-*")]
    assert left == [] or number == signal.SIGKILL


def test_foreground_stays_until_the_end(program: Program, tree: Path, port: int) -> None:
    process = program.start(
        *("prepareclient", "--root", tree, "--server", "localhost", "--port", str(port)),
        *("--foreground", "--yes"),
    )
    wait_until("the daemon listens", lambda: process.poll() is not None or answers(port))
    assert process.poll() is None, process.communicate()
    assert rsync(f"rsync://127.0.0.1:{port}/done/").returncode == 0
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, stderr
    assert b"si-getimage --golden-client" in stdout
    assert offering(tree) == []


def test_a_second_offer_names_the_first(program: Program, tree: Path, port: int) -> None:
    ended = prepare(program, tree, port)
    second = program("prepareclient", "--root", tree, "--server", "127.0.0.1", "--yes")
    assert second.code == 43
    assert "offered to 127.0.0.1 already" in second.stderr
    os.kill(int(second.stderr.split("hint: kill ")[1].split()[0]), signal.SIGTERM)
    ended()
    prepare(program, tree, port)


def test_a_taken_port_names_who_has_it(program: Program, tree: Path, port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        refused = program(
            *("prepareclient", "--root", tree, "--server", "127.0.0.1", "--port", str(port)),
            "--yes",
        )
    assert refused.code == 31
    assert f"(process {os.getpid()})" in refused.stderr
    assert not (tree / "etc/systemimager").exists(), "a refusal changes nothing"


def test_dry_run_writes_nothing(program: Program, tree: Path, port: int) -> None:
    before = sorted(tree.rglob("*"))
    done = program(
        *("prepareclient", "--root", tree, "--server", "127.0.0.1", "--port", str(port)),
        "--dry-run",
    )
    assert done.code == 0, done.stderr
    facts, _, plan = done.stdout.partition("\n}\n")
    assert json.loads(facts + "}")["format"] == 1
    assert f"would write {tree}/etc/systemimager/facts.json" in plan
    assert f"would offer {tree} to 127.0.0.1 on port {port}" in plan
    assert sorted(tree.rglob("*")) == before


def test_preparing_again_touches_only_the_facts(program: Program, tree: Path, port: int) -> None:
    words = ("prepareclient", "--root", tree, "--server", "127.0.0.1", "--transport", "ssh")
    done = program(*words, "--yes")
    assert done.code == 0, done.stderr
    assert "--transport ssh" in done.stdout
    assert offering(tree) == []
    own = tree / "etc/systemimager/updateclient.local.exclude"
    own.write_text("/srv/mine\n")
    before = {path: path.lstat().st_mtime_ns for path in tree.rglob("*") if path.is_file()}
    assert program(*words, "--yes").code == 0
    after = {path: path.lstat().st_mtime_ns for path in tree.rglob("*") if path.is_file()}
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed - {"si-prepareclient.lock"} == {"facts.json"}
    assert own.read_text() == "/srv/mine\n"


def test_a_layout_left_by_hand_is_mentioned(program: Program, tree: Path) -> None:
    (tree / "etc/systemimager").mkdir()
    (tree / "etc/systemimager/autoinstallscript.conf").write_text("<config/>")
    done = program("prepareclient", "--root", tree, "--server", "127.0.0.1", "--dry-run")
    assert done.code == 0, done.stderr
    assert f"{tree}/etc/systemimager/autoinstallscript.conf is there" in done.stderr


def test_paths_of_the_exclude_file_are_not_offered(
    program: Program, tree: Path, port: int, tmp_path: Path
) -> None:
    listed = tmp_path / "list"
    listed.write_text("# not this\n/etc/shadow\n")
    ended = prepare(program, tree, port, "--exclude-file", str(listed))
    names = rsync("-r", f"rsync://127.0.0.1:{port}/root/").stdout
    assert b"etc/motd" in names
    assert b"etc/shadow" not in names
    assert rsync(f"rsync://127.0.0.1:{port}/done/").returncode == 0
    ended()


def test_an_unknown_server_is_an_error(program: Program, tree: Path) -> None:
    done = program("prepareclient", "--root", tree, "--server", "no-such.invalid", "--yes")
    assert done.code == 23
    assert "no-such.invalid" in done.stderr
    assert not (tree / "etc/systemimager").exists()


def test_what_was_installed_runs(program: Program, tree: Path, port: int) -> None:
    words = ("prepareclient", "--root", tree, "--server", "127.0.0.1", "--transport", "ssh")
    assert program(*words, "--yes").code == 0
    installed = Program(tree / "usr/lib/systemimager/si-client.pyz")
    assert _sources(installed.file) == _sources(program.file)
    assert (
        installed("updateclient", "--version").stdout == program("updateclient", "--version").stdout
    )
    wrapper = (tree / "usr/sbin/si-updateclient").read_text()
    assert 'si-client.pyz updateclient "$@"' in wrapper
    checked = subprocess.run(
        ["shellcheck", tree / "usr/sbin/si-updateclient", tree / "usr/sbin/si-prepareclient"],
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    link = tree / "etc/systemd/system/multi-user.target.wants/si-report.service"
    assert link.readlink() == Path("/etc/systemd/system/si-report.service")
    # It needs no second file to install itself from.
    assert installed(*words, "--yes").code == 0
