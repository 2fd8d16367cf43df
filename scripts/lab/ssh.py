"""A shell on a running machine, over ssh with the lab's key, from inside the lab's network."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.lab.errors import LabTimeout
from scripts.lab.network import Network
from si.errors import CommandFailed
from si.system.run import Arg, Completed

OPTIONS = ("-F", "/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
           "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
           "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5",
           "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=6")  # fmt: skip
SSH_FAILED = 255
NOT_KNOWN = ("", "offline", "unknown", "initializing", "starting")
"""What systemctl answers, without waiting, while a machine that lets us in has no message bus."""


@dataclass(frozen=True, slots=True)
class Login:
    """root on the machine at `address`."""

    network: Network
    address: str
    key: Path

    def run(
        self,
        command: str | Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout_s: float = 60,
        check: bool = True,
    ) -> Completed:
        """Run a command line (a string, for the machine's shell) or words (quoted for it).

        Raises CommandFailed for a bad exit while `check`, and when it takes too long.
        """
        line = command if isinstance(command, str) else shlex.join(command)
        return self.network.run(
            ["ssh", *OPTIONS, "-i", self.key, f"root@{self.address}", line],
            stdin=stdin, timeout_s=timeout_s, check=check,
        )  # fmt: skip

    def copy_to(self, local: Path, remote: str, *, timeout_s: float = 120) -> None:
        """Copy a file to the machine, mode kept."""
        self._copy([local, f"root@{self.address}:{remote}"], timeout_s)

    def copy_from(self, remote: str, local: Path, *, timeout_s: float = 120) -> None:
        """Copy a file from the machine."""
        self._copy([f"root@{self.address}:{remote}", local], timeout_s)

    def shell_command(self) -> list[Arg]:
        """The command line of a shell for a person, to be run inside the network."""
        return ["ssh", *OPTIONS, "-i", self.key, f"root@{self.address}"]

    def wait(self, timeout_s: float) -> None:
        """Return as soon as a login succeeds. Raises LabTimeout with ssh's last words."""
        deadline = time.monotonic() + timeout_s
        last = "no answer"
        while time.monotonic() < deadline:
            try:
                done = self.run("true", timeout_s=30, check=False)
            except CommandFailed as error:
                last = error.message
                continue
            if done.exit_code == 0:
                return
            last = done.stderr.decode("utf-8", "replace").strip()
            time.sleep(0.2)
        raise LabTimeout(f"no login on {self.address} within {timeout_s:g} s: {last}")

    def wait_running(self, timeout_s: float) -> str:
        """Wait until systemd has finished starting; its state: running, degraded, ..."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            state = self.run(
                ["systemctl", "is-system-running", "--wait"], timeout_s=left, check=False
            ).text.strip()
            if state not in NOT_KNOWN or left < 1:
                return state
            time.sleep(0.2)

    def _copy(self, paths: Sequence[Arg], timeout_s: float) -> None:
        argv: list[Arg] = ["scp", *OPTIONS, "-p", "-q", "-i", self.key, *paths]
        self.network.run(argv, timeout_s=timeout_s)
