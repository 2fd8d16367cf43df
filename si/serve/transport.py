"""How an image travels to one client: what `auto` means at the moment its install begins.

Stage 7, one server process. In goes an arming, out come a transport and what to fall back to. By
http, clients share the server's link, so two of them take twice as long as one; a swarm of any size
takes little longer than one client. It costs each of them room on the disk, for the staged pack.
"""

from __future__ import annotations

from dataclasses import dataclass

from si.boot.arming import Arming, Transport, load_arming
from si.boot.flavor import require_flavor
from si.config import Settings
from si.errors import FlavorNotFound
from si.monitor.events import client_state, clients_with_folder
from si.monitor.state import State


@dataclass(frozen=True, slots=True)
class Way:
    """fallback: what brings the rest when the transport brings nothing more; None: nothing does."""

    transport: Transport
    fallback: Transport | None = None


def choose_way(settings: Settings, arming: Arming) -> Way:
    """The transport that was asked for; for `auto`, the one that fits how many are to install."""
    if arming.transport != "auto":
        return Way(arming.transport)
    many = count_installs(settings, arming) >= settings.install.torrent_from
    if many and _can_swarm(settings, arming):
        return Way("torrent", fallback="http")
    return Way("http")


def count_installs(settings: Settings, arming: Arming) -> int:
    """How many clients, this one among them, are armed with its version and not written yet, and
    may share it."""
    return sum(
        other.what == arming.what
        and other.transport in ("auto", "torrent")
        and client_state(settings, name).state in (State.ARMED, State.INSTALLING)
        for name in clients_with_folder(settings)
        if (other := load_arming(settings, name)) is not None
    )


def _can_swarm(settings: Settings, arming: Arming) -> bool:
    try:
        require_flavor(settings, flavor=arming.flavor, arch=arming.arch, torrent=True)
    except FlavorNotFound:
        return False
    return True
