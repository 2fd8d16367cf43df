"""Network interfaces of this machine, as `ip -json` tells them.

Stage: none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from si.system.run import find_tool, run


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface with its addresses."""

    name: str
    addresses: tuple[IPv4Interface, ...]
    has_ipv6: bool
    """Whether it has an IPv6 address beyond the link-local one."""


def read_interfaces() -> tuple[Interface, ...]:
    """All interfaces but loopback, in the kernel's order."""
    found = []
    for raw in _ask("addr"):
        if not raw or "LOOPBACK" in raw.get("flags", ()):
            continue
        inner = raw.get("addr_info", ())
        found.append(
            Interface(
                name=str(raw["ifname"]),
                addresses=tuple(
                    IPv4Interface(f"{each['local']}/{each['prefixlen']}")
                    for each in inner
                    if each.get("family") == "inet" and "local" in each
                ),
                has_ipv6=any(
                    each.get("family") == "inet6" and each.get("scope") == "global"
                    for each in inner
                ),
            )
        )
    return tuple(found)


def default_gateway() -> tuple[str, IPv4Address] | None:
    """Interface and address of the IPv4 default route; None without one."""
    for route in _ask("-4", "route", "show", "default"):
        if route.get("dev") and route.get("gateway"):
            return str(route["dev"]), IPv4Address(route["gateway"])
    return None


def _ask(*words: str) -> list[dict[str, Any]]:
    done = run([find_tool("ip", package="iproute2"), "-json", *words])
    answer: list[dict[str, Any]] = json.loads(done.stdout or b"[]")
    return answer
