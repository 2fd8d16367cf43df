"""Clients, groups and what each client gets.

Stage: none; every stage may ask. Pure: `si.cluster.document` makes a `Cluster` from cluster.xml,
nothing here reads a file. A client's image, layout, flavor, loader and overrides are worked out
once, when the document is read, so that no caller has to know the rules of precedence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface

from si.cluster.ranges import expand_range
from si.errors import ClientUnknown

DEFAULT_FLAVOR = "standard"
_MAC = re.compile(r"[0-9a-f]{2}([:-])[0-9a-f]{2}(\1[0-9a-f]{2}){4}|([0-9a-f]{4}\.){2}[0-9a-f]{4}")


class Loader(StrEnum):
    """The boot program a client gets from DHCP and TFTP."""

    IPXE = "ipxe"
    PXELINUX = "pxelinux"


@dataclass(frozen=True, slots=True)
class Network:
    """What a client's installed system is told about its network; no address means DHCP."""

    address: IPv4Interface | None = None
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    domain: str | None = None
    managed: bool = True
    """False: the image's or an override's own network configuration stays as it is."""


@dataclass(frozen=True, slots=True)
class Group:
    """Clients that share an image or overrides."""

    name: str
    priority: int | None = None
    """Lower is more important; None (also a written 0) comes after all others."""
    image: str | None = None
    layout: str | None = None
    flavor: str | None = None
    loader: Loader | None = None
    overrides: tuple[str, ...] = ()
    """Most important first, as the document lists them."""
    clients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Client:
    """One machine, with everything that its groups and the defaults give it."""

    name: str
    mac: str | None = None
    """Lower case, with colons; None when only a group's range names the client."""
    ip: IPv4Address | None = None
    groups: tuple[str, ...] = ()
    """Most important first."""
    image: str | None = None
    layout: str | None = None
    flavor: str = DEFAULT_FLAVOR
    loader: Loader = Loader.IPXE
    network: Network = Network()
    shared_overrides: tuple[str, ...] = ()
    """Of the cluster and of the groups, least important first."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """Overrides of this client with its own image, least important first."""
        return self.overrides_for(self.image)

    def overrides_for(self, image: str | None) -> tuple[str, ...]:
        """Overrides, least important first: image's < global < groups' < client's own.

        Later ones win. A name that stands twice keeps its last place, which gives the same files.
        Which of them exist on disk is the caller's matter.
        """
        names = (*([image] if image else []), *self.shared_overrides, self.name)
        return tuple(dict.fromkeys(reversed(names)))[::-1]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The whole of cluster.xml."""

    clients: tuple[Client, ...] = ()
    """Those with an element of their own in document order, then those that ranges name."""
    groups: tuple[Group, ...] = ()
    """Most important first."""
    overrides: tuple[str, ...] = ()
    """Global ones, most important first."""
    all_name: str = "all"
    """The group of every client."""
    file: str = "cluster.xml"
    _named: dict[str, Client] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = {client.name.lower(): client for client in self.clients}
        object.__setattr__(self, "_named", named)

    def client(self, name: str) -> Client:
        """The client of that name (case does not matter). Raises ClientUnknown."""
        found = self._named.get(name.lower())
        if found is not None:
            return found
        raise ClientUnknown(
            f"no client {name!r} in {self.file}",
            hint=f"add it: si-client add {name} --mac MAC (si-client list shows the known ones)",
        )

    def by_mac(self, mac: str) -> Client | None:
        """The client with this MAC in any of the usual spellings; None for any other text."""
        normal = normal_mac(mac)
        found = (client for client in self.clients if client.mac == normal)
        return next(found, None) if normal else None

    def by_ip(self, ip: str) -> Client | None:
        """The client whose address stands in cluster.xml; None for any other text."""
        found = (client for client in self.clients if client.ip and str(client.ip) == ip)
        return next(found, None)

    def group(self, name: str) -> tuple[str, ...] | None:
        """Clients of a group, or of all groups for the name of all; None: no such group."""
        if name == self.all_name:
            return tuple(client.name for client in self.clients)
        for group in self.groups:
            if group.name == name:
                return group.clients
        return None

    def expand(self, text: str) -> tuple[str, ...]:
        """Names that a RANGE stands for, sorted as strings, without doubles.

        The names need not be clients of this cluster. Raises RangeInvalid for a range that cannot
        be read or names nothing, NameInvalid for a name that no client can have.
        """
        return expand_range(
            text, group=self.group, is_client=lambda name: name.lower() in self._named
        )


def normal_mac(text: str) -> str | None:
    """A MAC as aa:bb:cc:dd:ee:ff; also reads hyphens and Cisco's dots. None for no MAC."""
    lower = text.strip().lower()
    if _MAC.fullmatch(lower) is None:
        return None
    digits = re.sub(r"[^0-9a-f]", "", lower)
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))
