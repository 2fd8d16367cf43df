"""Which services still run what an update has replaced.

Stage 8, effects: reads /proc, and restarts services when asked to; runs on clients (Python 3.9).
A process keeps the files that it has mapped; the kernel says of those that their name is deleted.
What a service has read and closed again, such as its configuration, nobody can know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from si.client.itemize import Item
from si.system.run import run

_SERVICE = re.compile(rb"/system\.slice/(?:[^/\n]+\.slice/)*([^/\n]+\.service)(?:/|$)", re.M)
_UNIT = re.compile(rb"(?:etc|lib|usr/lib)/systemd/system/([^/]+\.service)(?:\.d/[^/]+)?")
_DELETED = b" (deleted)"
_NEEDS_REBOOT = frozenset(("dbus.service", "dbus-broker.service", "systemd-logind.service"))
"""Restarted, they would take sessions and other services with them."""


class Services(NamedTuple):
    """stale: run what is no longer there; to_reboot: those of them that only a reboot renews;
    has_new_units: what says how services are started has changed."""

    stale: tuple[str, ...] = ()
    to_reboot: tuple[str, ...] = ()
    has_new_units: bool = False


def find_services(proc: Path, items: Iterable[Item]) -> Services:
    """The services among the processes of `proc` that the changes `items` concern."""
    changed = {b"/" + item.path for item in items}
    units = {found[1] for path in changed if (found := _UNIT.fullmatch(path[1:]))}
    stale = set()
    for service, folder in _running(proc):
        if service in units or any(path in changed for path in _replaced(folder)):
            stale.add(service.decode("utf-8", "replace"))
    names = tuple(sorted(stale - _NEEDS_REBOOT))
    return Services(names, tuple(sorted(stale & _NEEDS_REBOOT)), bool(units))


def restart_services(services: Services) -> None:
    """Restart those that can be. Raises CommandFailed, ToolMissing."""
    if services.has_new_units:
        run(["systemctl", "daemon-reload"])
    if services.stale:
        run(["systemctl", "try-restart", *services.stale])


def _running(proc: Path) -> Iterator[tuple[bytes, Path]]:
    for folder in proc.glob("[0-9]*"):
        found = _SERVICE.search(_read(folder / "cgroup"))
        if found is not None:
            yield found[1], folder


def _replaced(folder: Path) -> Iterator[bytes]:
    """Paths that a process has mapped and that are no longer those files."""
    for line in _read(folder / "maps").splitlines():
        words = line.split(None, 5)
        if len(words) == 6 and words[5].endswith(_DELETED):
            yield words[5][: -len(_DELETED)]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""  # the process has ended
