"""What armed clients wait for, and what must therefore not go away.

Stage 6, getting BOEL onto a machine. In goes the name of an image, out come the versions of it that
clients are armed with, or a refusal that names them.
"""

from __future__ import annotations

from si.boot.arming import Arming, load_arming, shown
from si.config import Settings
from si.errors import ImageInUse
from si.monitor.events import client_state, clients_with_folder
from si.names_check import VersionName


def refuse_armed(settings: Settings, wanted: VersionName) -> None:
    """Raise ImageInUse when a client is armed with that image, or that version of it: its install
    would find nothing."""
    number = wanted.number
    armed = [one.client for one in _armed(settings, wanted.image) if number in (None, one.version)]
    if armed:
        raise ImageInUse(
            f"armed with image {wanted}: {shown(armed)}",
            hint=f"si-mkclientnetboot --localboot --clients {armed[0]} disarms a client",
        )


def armed_numbers(settings: Settings, image: str) -> frozenset[int]:
    """The versions of an image that clients are armed with."""
    return frozenset(one.version for one in _armed(settings, image) if one.version is not None)


def _armed(settings: Settings, image: str) -> tuple[Arming, ...]:
    """Armings with an image, of clients that are not written yet, in the order of their names."""
    return tuple(
        arming
        for name in sorted(clients_with_folder(settings))
        if (arming := load_arming(settings, name)) is not None
        and arming.image == image
        and client_state(settings, name).armed
    )
