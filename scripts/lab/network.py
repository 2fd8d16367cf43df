"""The lab's network: a bridge with taps in a network namespace of its own.

Everything hangs on the namespace - bridge, taps, servers, machines - so removing it removes all.
Its name holds the number and the start time of the process that made it; what a killed process left
behind is found by that and removed by the next one (`sweep`).

Commands run inside through nsenter, which changes the network only. `ip netns exec` would give each
command a mount namespace too, and a mount that a command leaks could then not be seen.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from scripts.lab.errors import LabError, LabTimeout
from si.system.run import STDOUT, Arg, Completed, find_tool, run, start

ADDRESS = "10.77.0.1"
NETWORK = "10.77.0.0/24"
PREFIX_LENGTH = 24
ADDRESS_6 = "fd77::1/64"
BRIDGE = "br0"
NAME = re.compile(r"silab-(\d+)-(\d+)-\d+")
_numbers = itertools.count()


class Network:
    """One namespace; use it in a `with` statement."""

    def __init__(self) -> None:
        self.name = f"silab-{os.getpid()}-{_start_time(os.getpid())}-{next(_numbers)}"
        self.folder = Path()
        """Short path for sockets and small logs of this network, removed with it."""
        self._taps = itertools.count()
        self._started: list[subprocess.Popen[bytes]] = []
        self._closed = False
        self._closing = threading.Lock()

    def __enter__(self) -> Self:
        find_tool("ip", package="iproute2")
        sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process of this network and remove it. May be called twice, and by another
        thread: what waits for an answer from inside ends with LabError."""
        self._closed = True
        with self._closing:
            for process in self._started:
                stop_process(process)
            self._started.clear()
            _remove(self.name)
            if self.folder != Path():
                shutil.rmtree(self.folder, ignore_errors=True)

    def inside(self, argv: Sequence[Arg]) -> list[Arg]:
        """The command line that runs `argv` in this network. Raises LabError once it is closed."""
        if self._closed:
            raise LabError(f"the network {self.name} has been taken down")
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *argv]

    def run(
        self,
        argv: Sequence[Arg],
        *,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout_s: float | None = None,
        check: bool = True,
    ) -> Completed:
        """`si.system.run.run` inside. Raises CommandFailed, ToolMissing."""
        return run(
            self.inside(argv), stdin=stdin, env=env, cwd=cwd, timeout_s=timeout_s, check=check
        )

    def start(
        self,
        argv: Sequence[Arg],
        *,
        env: Mapping[str, str] | None = None,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> subprocess.Popen[bytes]:
        """`si.system.run.start` inside; the process is ended with the network at the latest."""
        process = start(self.inside(argv), env=env, stdout=stdout, stderr=stderr)
        self._started.append(process)
        return process

    def add_tap(self) -> str:
        """A new tap device on the bridge; its name."""
        name = f"tap{next(self._taps)}"
        self.run(["ip", "tuntap", "add", name, "mode", "tap"])
        self.run(["ip", "link", "set", name, "master", BRIDGE, "up"])
        return name

    def remove_tap(self, name: str) -> None:
        """Take a tap away; no error when it has gone."""
        if self._closed:
            return
        self.run(["ip", "link", "delete", name], check=False)

    def start_dns(self, records: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """A name server on 10.77.0.1:53 that knows `records` (name -> IPv4 address) only.

        Every question and answer is a line of `log` (dnsmasq's --log-queries).
        """
        known = [f"--host-record={name},{address}" for name, address in records.items()]
        options = ["--no-resolv", "--no-hosts", f"--listen-address={ADDRESS}", "--bind-interfaces",
                   "--log-queries", *known]  # fmt: skip
        return self._start_dnsmasq(Path("/dev/null"), options, log)

    def start_dnsmasq(self, conf_path: Path, log: Path) -> subprocess.Popen[bytes]:
        """dnsmasq with the configuration the product generated; leases lie in this network's
        folder, whatever that configuration says."""
        options = [f"--dhcp-leasefile={self.folder}/leases", "--log-dhcp"]
        return self._start_dnsmasq(conf_path, options, log)

    def _start_dnsmasq(
        self, conf_path: Path, options: Sequence[str], log: Path
    ) -> subprocess.Popen[bytes]:
        find_tool("dnsmasq", package="dnsmasq-base")
        log.unlink(missing_ok=True)
        process = self.start(
            ["dnsmasq", "--keep-in-foreground", f"--conf-file={conf_path}", "--pid-file",
             "--user=root", "--group=root", "--log-facility=-", *options],
            stdout=log.open("wb"), stderr=STDOUT,
        )  # fmt: skip
        wait_for_line(log, r"started, version|DHCP, IP range", process, timeout_s=10)
        return process

    def _make(self) -> None:
        run(["ip", "netns", "add", self.name])
        for line in (
            "link set lo up",
            f"link add {BRIDGE} type bridge stp_state 0 forward_delay 0",
            f"address add {ADDRESS}/{PREFIX_LENGTH} dev {BRIDGE}",
            f"-6 address add {ADDRESS_6} dev {BRIDGE} nodad",
            f"link set {BRIDGE} up",
        ):
            self.run(["ip", *line.split()])


def wait_for_line(
    log: Path, pattern: str, process: subprocess.Popen[bytes], *, timeout_s: float
) -> None:
    """Return when a line of `log` matches. Raises LabError when `process` ends, LabTimeout."""
    deadline = time.monotonic() + timeout_s
    while True:
        ended = process.poll() is not None
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        if re.search(pattern, text):
            return
        last = " | ".join(text.splitlines()[-5:])
        if ended:
            raise LabError(f"{log.name}: the program ended with {process.returncode}: {last}")
        if time.monotonic() > deadline:
            raise LabTimeout(f"{log.name} has no line like {pattern!r} in {timeout_s:g} s: {last}")
        time.sleep(0.05)


def stop_process(process: subprocess.Popen[bytes], *, grace_s: float = 5) -> int:
    """Ask a process to end, then kill it; its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def sweep() -> list[str]:
    """Remove the networks, and end what runs in them, of processes that have gone. Their names."""
    names = [line.split()[0] for line in run(["ip", "netns", "list"]).text.splitlines() if line]
    dead = [name for name in names if (match := NAME.fullmatch(name)) and _is_dead(match)]
    for name in dead:
        _remove(name)
        for folder in Path(tempfile.gettempdir()).glob(f"{name}-*"):
            shutil.rmtree(folder, ignore_errors=True)
    return dead


def _remove(name: str) -> None:
    if not Path("/run/netns", name).exists():
        return
    for number in run(["ip", "netns", "pids", name], check=False).text.split():
        try:
            os.kill(int(number), signal.SIGKILL)
        except ProcessLookupError:
            continue
    run(["ip", "netns", "delete", name])


def _is_dead(match: re.Match[str]) -> bool:
    try:
        return _start_time(int(match.group(1))) != match.group(2)
    except FileNotFoundError:
        return True


def _start_time(pid: int) -> str:
    """Start of a process in clock ticks since boot, field 22 of proc(5)'s stat."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def limit_sending(network: Network, mbit_s: int) -> None:
    """Give the server's link this rate; what is sent between machines does not pass it."""
    network.run(["tc", "qdisc", "replace", "dev", BRIDGE, "root", "tbf",
                 "rate", f"{mbit_s}mbit", "burst", "64kb", "latency", "100ms"])  # fmt: skip


def stop_limit(network: Network) -> None:
    """Let the server send as fast as it can again."""
    network.run(["tc", "qdisc", "delete", "dev", BRIDGE, "root"])


def sent_bytes(network: Network) -> int:
    """What the server's side of the bridge has sent so far."""
    shown = network.run(["ip", "-json", "-stats", "link", "show", BRIDGE]).stdout
    return int(json.loads(shown)[0]["stats64"]["tx"]["bytes"])
