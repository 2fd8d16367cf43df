"""The line that fetches the client commands, run as it is printed: only what is signed runs."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from si.client.install import COMMANDS
from si.serve.client_line import APP, KEY, SIGNATURE, key_fingerprint, render_client_line
from si.version.signature import CLIENT, public_key_path, sign
from tests.integration.http_kit import QuietHandler, served_by
from tests.integration.server_kit import Server, free_port, make_store, run_si, running_server

TOOLS = ("cat", "mktemp", "rm", "sh", "sha256sum", "ssh-keygen")


@dataclass(frozen=True)
class Machine:
    """A tree that the client commands go to, and what programs there are."""

    root: Path
    programs: Path

    def paste(self, line: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.programs), "SI_ROOT": str(self.root)}
        return subprocess.run(
            ["/bin/sh", "-c", line], env=environment, capture_output=True, text=True, timeout=60
        )

    @property
    def ran(self) -> bool:
        """Whether the program that was fetched, or any other, was given to Python."""
        return (self.programs.parent / "ran").exists()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = make_store(tmp_path_factory.mktemp("site"))
    with running_server(settings, "--only", "http") as running:
        yield running


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return make_machine(tmp_path, "curl")


def make_machine(folder: Path, fetcher: str) -> Machine:
    made = Machine(folder / "root", folder / "programs")
    made.root.mkdir()
    made.programs.mkdir()
    for tool in (*TOOLS, fetcher):
        found = shutil.which(tool)
        assert found is not None
        (made.programs / tool).symlink_to(found)
    python = made.programs / "python3"
    mark = shlex.quote(str(folder / "ran"))
    python.write_text(f'#!/bin/sh\n: >{mark}\nexec /usr/bin/python3 "$@"\n')
    python.chmod(0o755)
    return made


@contextlib.contextmanager
def serving(files: dict[str, bytes]) -> Iterator[str]:
    """A web server that has these under /client; gives its base URL."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            body = files.get(self.path.removeprefix("/client/"))
            self.send_response(200 if body is not None else 404)
            self.end_headers()
            self.wfile.write(body or b"")

    with served_by(Handler) as port:
        yield f"http://127.0.0.1:{port}"


def true_files(server: Server) -> dict[str, bytes]:
    return {name: server.ask(f"/client/{name}")[1] for name in (KEY, APP, SIGNATURE)}


def line_for(server: Server, base: str) -> str:
    return render_client_line(base, key_fingerprint(public_key_path(server.settings).read_text()))


@pytest.mark.parametrize("fetcher", ["curl", "wget"])
def test_it_installs_commands_that_run_and_the_key(
    server: Server, tmp_path: Path, fetcher: str
) -> None:
    machine = make_machine(tmp_path, fetcher)
    printed = run_si(server.settings, "server", "--client-line")
    assert printed.returncode == 0, printed.stderr
    assert len(printed.stdout.splitlines()) == 1
    done = machine.paste(printed.stdout)
    assert done.returncode == 0, done.stderr
    for word in COMMANDS:
        assert os.access(machine.root / f"usr/sbin/si-{word}", os.X_OK)
    program = machine.root / "usr/lib/systemimager/si-client.pyz"
    asked = subprocess.run(["python3", program, "--version"], capture_output=True, check=True)
    assert asked.stdout.startswith(b"si-client ")
    key = machine.root / "etc/systemimager/site-key.pub"
    assert key.read_bytes() == public_key_path(server.settings).read_bytes()
    again = machine.paste(printed.stdout)
    assert again.returncode == 0, again.stderr


def test_a_machine_of_another_site_keeps_its_key(server: Server, machine: Machine) -> None:
    key = machine.root / "etc/systemimager/site-key.pub"
    key.parent.mkdir(parents=True)
    key.write_text("ssh-ed25519 AAAA another\n")
    done = machine.paste(run_si(server.settings, "server", "--client-line").stdout)
    assert (done.returncode, "trusts another key" in done.stderr) == (34, True), done.stderr
    assert key.read_text() == "ssh-ed25519 AAAA another\n"
    assert not (machine.root / "usr").exists()


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("name", [APP, KEY])
@pytest.mark.parametrize("where", [0, 0.5, -1])
def test_a_flipped_bit_is_refused_before_anything_runs(
    server: Server, machine: Machine, name: str, where: float
) -> None:
    files = true_files(server)
    at = int(where * len(files[name])) if where > 0 else int(where)
    files[name] = flipped(files[name], at)
    check_refused(server, machine, files)


def test_a_swapped_key_with_all_signed_by_it_is_refused(
    server: Server, machine: Machine, tmp_path: Path
) -> None:
    other = make_store(tmp_path / "other")
    files = true_files(server)
    files[SIGNATURE] = sign(other, files[APP], CLIENT)
    files[KEY] = public_key_path(other).read_bytes()
    check_refused(server, machine, files)
    files[KEY] = true_files(server)[KEY] + files[KEY]
    check_refused(server, machine, files)


def test_a_signature_of_something_else_is_refused(server: Server, machine: Machine) -> None:
    files = true_files(server)
    for data, namespace in ((b"other", CLIENT), (files[APP], "si-version")):
        check_refused(server, machine, {**files, SIGNATURE: sign(server.settings, data, namespace)})
    check_refused(server, machine, {**files, SIGNATURE: b""})


def check_refused(server: Server, machine: Machine, files: dict[str, bytes]) -> None:
    with serving(files) as base:
        done = machine.paste(line_for(server, base))
    assert done.returncode == 61, done.stderr
    assert "nothing was run" in done.stderr
    assert not machine.ran
    assert list(machine.root.iterdir()) == []


@pytest.mark.parametrize("missing", [KEY, APP, SIGNATURE])
@pytest.mark.parametrize("fetcher", ["curl", "wget"])
def test_a_file_that_is_missing_ends_it(
    server: Server, tmp_path: Path, missing: str, fetcher: str
) -> None:
    machine, files = make_machine(tmp_path, fetcher), true_files(server)
    del files[missing]
    with serving(files) as base:
        done = machine.paste(line_for(server, base))
    assert done.returncode != 0
    assert not machine.ran


def test_no_server_and_a_missing_tool_end_it(server: Server, machine: Machine) -> None:
    line = line_for(server, f"http://127.0.0.1:{free_port()}")
    done = machine.paste(line)
    assert done.returncode != 0 and "connect" in done.stderr
    (machine.programs / "ssh-keygen").unlink()
    done = machine.paste(line)
    assert (done.returncode, "no ssh-keygen" in done.stderr) == (19, True)
    assert not machine.ran
