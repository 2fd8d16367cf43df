"""Who gets answers, and under which address the server is known.

Stage 7, one server process. Images hold /etc/shadow, so HTTP, TFTP and rsync answer only the
networks of the settings: by default the subnets of this machine's own interfaces, read anew when
an unknown address asks, for interfaces come and go.
"""

from __future__ import annotations

import json
import threading
import time
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any

from si.config import Settings
from si.errors import ConfigInvalid, ServerUnreachable
from si.system.run import find_tool, run

_REREAD_AFTER_S = 10.0


class Access:
    """The networks that are answered."""

    def __init__(self, settings: Settings) -> None:
        self._fixed = settings.server.networks is not None
        self._networks = allowed_networks(settings)
        self._settings = settings
        self._read_at = time.monotonic()
        self._lock = threading.Lock()

    @property
    def networks(self) -> tuple[IPv4Network, ...]:
        """Those that were read last."""
        return self._networks

    def allows(self, address: str) -> bool:
        """Whether `address` gets answers. May be called from any thread."""
        try:
            asking = IPv4Address(address)
        except AddressValueError:
            return False
        if any(asking in network for network in self._networks):
            return True
        self._reread()
        return any(asking in network for network in self._networks)

    def _reread(self) -> None:
        with self._lock:
            if self._fixed or time.monotonic() - self._read_at < _REREAD_AFTER_S:
                return
            self._networks = allowed_networks(self._settings)
            self._read_at = time.monotonic()


def allowed_networks(settings: Settings) -> tuple[IPv4Network, ...]:
    """IPv4 networks of the settings, else those of this machine's interfaces with loopback.

    Raises ConfigInvalid for a network that cannot be read.
    """
    if settings.server.networks is None:
        found = {
            IPv4Network(f"{inner['local']}/{inner['prefixlen']}", strict=False)
            for interface in _interfaces()
            for inner in interface.get("addr_info", ())
            if inner.get("family") == "inet"
        }
        return tuple(sorted(found))
    try:
        return tuple(IPv4Network(text) for text in settings.server.networks)
    except ValueError as error:
        raise ConfigInvalid(
            f"server.networks: {error}", hint='write networks like "10.0.0.0/24"'
        ) from error


def server_address(settings: Settings) -> str:
    """IPv4 address that clients reach this server at, see `ServerSettings.address`.

    Raises ServerUnreachable when this machine has none but loopback.
    """
    if settings.server.address is not None:
        return settings.server.address
    interfaces = _interfaces()
    routes: list[dict[str, Any]] = json.loads(
        run([find_tool("ip", package="iproute2"), "-json", "-4", "route", "show", "default"]).stdout
        or b"[]"
    )
    first = [route.get("dev") for route in routes]
    ordered = sorted(interfaces, key=lambda each: each.get("ifname") not in first)
    for interface in ordered:
        for inner in interface.get("addr_info", ()):
            if inner.get("family") == "inet" and inner.get("scope") == "global":
                return str(inner["local"])
    raise ServerUnreachable(
        "this machine has no address that clients could reach",
        hint="set server.address in si.toml",
    )


def _interfaces() -> list[dict[str, Any]]:
    answer = run([find_tool("ip", package="iproute2"), "-json", "addr"]).stdout
    interfaces: list[dict[str, Any]] = json.loads(answer or b"[]")
    return [interface for interface in interfaces if interface]
