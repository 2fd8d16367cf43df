"""What tests of the commands for many clients share: clients, each a real sshd on its own address.

Every client has its own host key, and all let the same key in. The programs of a client are in a
folder of its own that stands first in its PATH; $CLIENT is its name there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from si.config import Settings, load_settings
from tests.integration.server_kit import free_port, wait_until

_SSHD = """\
ListenAddress {address}:{port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {authorized}
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 200
LogLevel ERROR
SetEnv CLIENT={name} PATH={folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin {more}
"""
_SSH = """\
Port {port}
IdentityFile {folder}/key
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile {folder}/known_hosts
GlobalKnownHostsFile none
StrictHostKeyChecking yes
"""


@dataclass
class Machine:
    """One client."""

    name: str
    address: str
    folder: Path
    sshd: subprocess.Popen[bytes] | None = None

    def program(self, name: str, text: str) -> None:
        """Give it a program, a shell script."""
        file = self.folder / "bin" / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)


@dataclass
class Farm:
    """A server's root, and clients web1 to webN of its cluster.xml on 127.0.0.11 and up."""

    root: Path
    port: int
    machines: dict[str, Machine] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return load_settings(root=self.root, config=None)

    @property
    def _ssh_folder(self) -> Path:
        return self.root / "ssh"

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def argv(self, *words: str) -> list[str]:
        return [str(Path(sys.executable).with_name(f"si-{words[0]}")), *words[1:]]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "SI_ROOT": str(self.root)}

    def si(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the server, e.g. `farm.si("psh", "--clients", "web1", "true")`."""
        done = subprocess.run(
            self.argv(*words), env=self.environment(), stdin=subprocess.DEVNULL,
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        return subprocess.CompletedProcess(
            words, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """The same, without waiting for its end; in a process group of its own."""
        return subprocess.Popen(
            self.argv(*words), env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def ssh_processes(self) -> list[str]:
        """Process ids of this server's ssh."""
        wanted = os.fsencode(self.root / "etc/systemimager/ssh_config")
        return [
            folder.name
            for folder in Path("/proc").glob("[0-9]*")
            if (words := _words_of(folder))[:1] == [b"ssh"] and wanted in words
        ]

    def add(self, count: int, *, more: str = "") -> None:
        """Make `count` clients and start their sshds. more: `NAME=VALUE`, with {name} in it."""
        for number in range(1, count + 1):
            name = f"web{number}"
            machine = Machine(name, f"127.0.0.{10 + number}", self.root / "machines" / name)
            (machine.folder / "bin").mkdir(parents=True)
            self.machines[name] = machine
            make_key(machine.folder / "host_key")
            text = _SSHD.format(
                address=machine.address, port=self.port, folder=machine.folder, name=name,
                authorized=self._ssh_folder / "key.pub", more=more.format(name=name),
            )  # fmt: skip
            (machine.folder / "sshd_config").write_text(text)
            self.switch_on(name)
        for machine in self.machines.values():
            self._wait_for(machine)
        self.write_cluster()
        self.know_keys()

    def write_cluster(self, *more: str) -> None:
        clients = "".join(
            f'  <client name="{m.name}" ip="{m.address}" group="web"/>\n'
            for m in self.machines.values()
        )
        etc = self.root / "etc/systemimager"
        etc.mkdir(parents=True, exist_ok=True)
        (etc / "cluster.xml").write_text(
            f'<cluster>\n  <group name="web" image="web"/>\n{clients}{"".join(more)}</cluster>\n'
        )

    def know_keys(self) -> None:
        """Write known_hosts as the keys are now."""
        lines = [
            f"{m.name} {(m.folder / 'host_key.pub').read_text()}" for m in self.machines.values()
        ]
        (self._ssh_folder / "known_hosts").write_text("".join(lines))

    def switch_on(self, name: str) -> None:
        """Start its sshd."""
        machine = self.machines[name]
        machine.sshd = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-f", machine.folder / "sshd_config", "-E", "/dev/null"]
        )

    def switch_off(self, name: str) -> None:
        """No sshd answers there any more."""
        machine = self.machines[name]
        assert machine.sshd is not None
        machine.sshd.terminate()
        machine.sshd.wait()

    def change_key(self, name: str) -> None:
        """As after an install: another host key than the known one."""
        machine = self.machines[name]
        self.switch_off(name)
        for file in machine.folder.glob("host_key*"):
            file.unlink()
        make_key(machine.folder / "host_key")
        self.switch_on(name)
        self._wait_for(machine)

    def _wait_for(self, machine: Machine) -> None:
        wait_until(lambda: answers(machine.address, self.port), f"{machine.name} is on")


@contextlib.contextmanager
def farm(root: Path, count: int, *, more: str = "") -> Iterator[Farm]:
    """A farm whose clients are switched off at the end."""
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    made = Farm(root, free_port())
    folder = root / "ssh"
    folder.mkdir()
    make_key(folder / "key")
    etc = root / "etc/systemimager"
    etc.mkdir(parents=True, exist_ok=True)
    (etc / "ssh_config").write_text(_SSH.format(port=made.port, folder=folder))
    try:
        made.add(count, more=more)
        yield made
    finally:
        for machine in made.machines.values():
            if machine.sshd is not None and machine.sshd.poll() is None:
                machine.sshd.send_signal(signal.SIGTERM)
                machine.sshd.wait()


def make_key(file: Path) -> None:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(file)]
    subprocess.run(words, check=True)


def answers(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def _words_of(process: Path) -> list[bytes]:
    try:
        return (process / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it has just ended
        return []
