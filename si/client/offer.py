"""Offer a golden client's tree to one server, by an rsync daemon of our own.

Stage 1, effects; runs on clients (Python 3.9). The tree holds /etc/shadow, so the daemon answers
the server's addresses only, lists nothing, reads only, and never outlives this process: it ends
when the server says that its capture is complete (it asks for the module `done`), when the time is
up and nobody is connected, or when this process is told to end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import subprocess  # noqa: TID251 - for the type of what si.system.run started
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from si.client.excludes import join_rules, literal
from si.client.ports import find_listeners, is_in_use, is_taken
from si.errors import CommandFailed, PortTaken, ToolMissing
from si.system.run import STDOUT, find_tool, start

DEFAULT_PORT = 873
DEFAULT_TIMEOUT_S = 3600

_START_S = 10.0
_END_S = 2.0
_POLL_S = 0.2
_DONE = "complete"

_CONFIG = """\
port = {port}
use chroot = yes
uid = 0
gid = 0
numeric ids = yes
read only = yes
list = no
munge symlinks = no
reverse lookup = no
socket options = TCP_NODELAY
hosts allow = {allowed}
timeout = 600
max verbosity = 1
dont compress = *
log file = {private}/rsyncd.log
lock file = {private}/rsyncd.lock

[root]
path = {root}
exclude from = {private}/exclude

[done]
path = {private}/empty
pre-xfer exec = : > {marker}
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Offer:
    """What is offered: the tree, to which addresses, on which port, for how many seconds; hidden
    are rsync exclude rules for what nobody gets."""

    root: Path
    run: Path
    addresses: tuple[str, ...]
    port: int
    timeout_s: float
    hidden: tuple[str, ...]


class Stopped(Exception):
    """SIGTERM or SIGINT came: no fault, somebody told this process to end."""


def check_port(port: int) -> None:
    """Raises PortTaken, with the process where it can be seen."""
    if not is_taken(port):
        return
    holders = ", ".join(f"{held.name} (process {held.pid})" for held in find_listeners(port))
    raise PortTaken(
        f"port {port} is taken by {holders or 'another process'}",
        hint="stop it for the capture, or take another port with --port here and at si-getimage",
    )


@contextlib.contextmanager
def serving(offer: Offer) -> Iterator[Path]:
    """The daemon runs and listens inside this context; gives the marker that `done` makes.

    Raises PortTaken, CommandFailed (the daemon ended), ToolMissing. Afterwards no process of the
    daemon is left, and none of its files.
    """
    check_port(offer.port)
    offer.run.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="si-prepareclient-", dir=offer.run) as name:
        private = Path(name)
        marker = private / _DONE
        config = _write_config(offer, private, marker)
        argv = [*_tied_to_this_process(), find_tool("rsync"), "--daemon", "--no-detach"]
        with (private / "output").open("wb") as output:
            daemon = start(
                [*argv, f"--config={config}"], stdout=output, stderr=STDOUT, new_session=True
            )
            try:
                _await_listening(daemon, offer.port, private)
                yield marker
            finally:
                _end(daemon)


def await_end(offer: Offer, marker: Path) -> bool:
    """Wait; True when the server says that it has all, False when the time is up.

    While somebody is connected the time does not run out: a capture is never cut off.
    """
    deadline = time.monotonic() + offer.timeout_s
    while not marker.exists():
        if time.monotonic() > deadline and not is_in_use(offer.port):
            return False
        time.sleep(_POLL_S)
    return True


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """SIGTERM and SIGINT raise Stopped inside this context, so that everything is tidied up."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_config(offer: Offer, private: Path, marker: Path) -> Path:
    (private / "empty").mkdir()
    # Without --from0, rsyncd reads a line a rule; a name with a newline cannot be hidden.
    own = f"- {literal('/' + str(private.relative_to(offer.root)))}"
    rules = join_rules((own, *offer.hidden))
    (private / "exclude").write_bytes(rules.replace(b"\0", b"\n"))
    config = private / "rsyncd.conf"
    config.write_text(
        _CONFIG.format(
            port=offer.port,
            root=offer.root,
            private=private,
            marker=shlex.quote(str(marker)),
            allowed=" ".join(offer.addresses),
        )
    )
    return config


def _tied_to_this_process() -> Sequence[str]:
    """setpriv(1) makes the kernel end the daemon should this process be killed with SIGKILL."""
    try:
        return [find_tool("setpriv"), "--pdeathsig", "TERM"]
    except ToolMissing:
        return []


def _await_listening(daemon: subprocess.Popen[bytes], port: int, private: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if daemon.poll() is not None:
            check_port(port)
            break
        if any(found.pid == daemon.pid for found in find_listeners(port)):
            return
        time.sleep(0.02)
    said = ""
    for name in ("output", "rsyncd.log"):
        with contextlib.suppress(OSError):
            said += (private / name).read_text(errors="replace")
    last = " | ".join(said.strip().splitlines()[-3:])
    raise CommandFailed(f"the rsync daemon did not start to listen: {last}")


def _end(daemon: subprocess.Popen[bytes]) -> None:
    """End the daemon; what it forked for connections may finish its answer, then goes too."""
    group = daemon.pid
    daemon.terminate()
    daemon.wait()
    deadline = time.monotonic() + _END_S
    while _group_lives(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
