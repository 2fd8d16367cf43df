"""Tell the server that the installed system runs, and which image it is.

Stage 9's beginning, effects; runs on clients (Python 3.9), once a boot by si-report.service.
Success of an install is this report (design decision 9), so it says what only the rebooted system
knows. The server tolerates doubled reports.
"""

from __future__ import annotations

import json
import logging
import os
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path

from si.client.files import write_atomically
from si.client.identity import Identity, load_identity
from si.client.places import Places
from si.client.server import post_event, read_refusal, unreachable
from si.errors import ConfigInvalid, ServerUnreachable, SIError
from si.system.run import run

GIVE_UP_S = 600.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_TOO_EARLY = (408, 425, 429)

_log = logging.getLogger(__name__)


def report_installed(
    places: Places,
    *,
    give_up_s: float = GIVE_UP_S,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Post phase `installed`, again and again with growing pauses for `give_up_s`.

    Raises ConfigInvalid (no client.json), ServerUnreachable (no answer in that time, or a
    refusal, which no second try would change).
    """
    identity = load_identity(places.identity)
    if identity is None:
        raise ConfigInvalid(
            f"no {places.identity}: no server installed this machine, so there is nothing to report"
        )
    detail = json.dumps(describe_system(identity, places.root)).encode()
    deadline = time.monotonic() + give_up_s
    wait_s = _FIRST_PAUSE_S
    while True:
        fault = _try_once(identity, detail)
        if fault is None:
            break
        if time.monotonic() + wait_s > deadline:
            raise fault
        _log.info("%s; again in %g s", fault.message, wait_s)
        pause(wait_s)
        wait_s = min(wait_s * 2, _LONGEST_PAUSE_S)
    write_atomically(places.reported, detail + b"\n", mode=0o644)
    _log.info("%s told %s that it runs %s", identity.client, identity.server, identity.image)


def describe_system(identity: Identity, root: Path) -> dict[str, object]:
    """The detail of the report: what this system says of itself; None where it cannot tell."""
    uname = os.uname()
    source, uuid = _root_device()
    return {
        "client": identity.client,
        "image": identity.image,
        "version": identity.version,
        "captured": identity.captured,
        "hostname": uname.nodename,
        "kernel": uname.release,
        "machine_id": _read(root / "etc/machine-id"),
        "boot_id": _read(root / "proc/sys/kernel/random/boot_id"),
        "root": {"source": source, "uuid": uuid},
        "uptime_s": _uptime_s(),
    }


def _try_once(identity: Identity, detail: bytes) -> ServerUnreachable | None:
    """None when it was taken, the fault when a later try may do better; raises a refusal."""
    server = identity.server
    try:
        post_event(server, identity.client, identity.token, "installed", _uptime_s() or 0.0, detail)
    except urllib.error.HTTPError as error:
        said = read_refusal(error)
        refused = ServerUnreachable(f"{server} refuses the report: {error.code}: {said}")
        if error.code < 500 and error.code not in _TOO_EARLY:
            raise refused from error
        return refused
    except OSError as error:
        return unreachable(server, error)
    return None


def _root_device() -> tuple[str | None, str | None]:
    """(device, UUID) of what is mounted at `/`."""
    try:
        said = run(["findmnt", "--json", "--output", "SOURCE,UUID", "--mountpoint", "/"]).stdout
        found = json.loads(said)["filesystems"][0]
        return found.get("source"), found.get("uuid")
    except (SIError, ValueError, LookupError):
        return None, None


def _uptime_s() -> float | None:
    try:
        return float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, LookupError):
        return None


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
