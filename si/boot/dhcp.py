"""A dnsmasq configuration that boots clients from the network.

Stage 6, getting BOEL onto a machine. Pure: a `DhcpPlan` in, text out; `si-mkdhcpserver` has the
text checked by dnsmasq itself. dnsmasq does DHCP only: names are the site's matter (`port=0`), boot
programs and all else come from si-server. The kind of machine decides what it is told to load:
one that runs iPXE already (DHCP option 175) gets the script by HTTP, others get iPXE for their
firmware by TFTP, and a client that cluster.xml gives `loader="pxelinux"` gets PXELINUX.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from si.cluster import Loader
from si.errors import DhcpInvalid

BIOS_PROGRAM = "undionly.kpxe"
EFI_PROGRAM = "snponly.efi"
PXELINUX_PROGRAM = "pxelinux.0"
LEASE = "1h"

_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")
_HOST_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_WORDS = ("ignore", "infinite")
"""Names that dnsmasq would take for something else in a dhcp-host line."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What DHCP knows of one client."""

    name: str
    mac: str
    """aa:bb:cc:dd:ee:ff"""
    ip: IPv4Address | None
    loader: Loader = Loader.IPXE


@dataclass(frozen=True, slots=True)
class DhcpPlan:
    """All that a configuration depends on."""

    interface: str
    """The only one that gets answers."""
    subnet: IPv4Network
    server: IPv4Address
    """Address of si-server."""
    http_port: int
    addresses: tuple[IPv4Address, IPv4Address] | None = None
    """First and last one for machines without an address of their own; None: they get none."""
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    proxy: bool = False
    """Another DHCP server gives the addresses; this one only says what to boot."""
    advertise: bool = False
    """Answer IPv6 router solicitations; the interface must have an IPv6 address."""


def parse_addresses(text: str) -> tuple[IPv4Address, IPv4Address]:
    """Read `FIRST-LAST`. Raises DhcpInvalid."""
    first, dash, last = text.partition("-")
    try:
        addresses = (IPv4Address(first.strip()), IPv4Address(last.strip()))
    except ValueError as error:
        raise DhcpInvalid(
            f"{text!r} is no range of addresses", hint="write it like 10.77.0.100-10.77.0.199"
        ) from error
    if not dash or addresses[0] > addresses[1]:
        raise DhcpInvalid(f"the range {text} ends before it begins")
    return addresses


def check_plan(plan: DhcpPlan) -> None:
    """Raise DhcpInvalid for a plan that dnsmasq would take and that cannot work."""
    if _INTERFACE.fullmatch(plan.interface) is None:
        raise DhcpInvalid(f"{plan.interface!r} is no name of a network interface")
    for what, address in (
        *(("range", address) for address in plan.addresses or ()),
        *([("router", plan.router)] if plan.router else []),
    ):
        if address not in plan.subnet:
            raise DhcpInvalid(f"the {what} address {address} is outside the subnet {plan.subnet}")
    edges = (plan.subnet.network_address, plan.subnet.broadcast_address)
    for edge in edges if plan.subnet.prefixlen < 31 else ():
        if plan.addresses and plan.addresses[0] <= edge <= plan.addresses[1]:
            raise DhcpInvalid(f"the range holds {edge}, the first or last address of {plan.subnet}")
    owners: dict[IPv4Address, str] = {plan.server: "this server"}
    for client in _with_address(plan):
        assert client.ip is not None
        if client.ip in owners:
            raise DhcpInvalid(
                f"client {client.name!r} has the address {client.ip} of {owners[client.ip]}"
            )
        owners[client.ip] = f"client {client.name!r}"


def outside(plan: DhcpPlan) -> tuple[Reservation, ...]:
    """Clients whose address lies in another subnet: dnsmasq would not give it to them."""
    return tuple(c for c in plan.reservations if c.ip is not None and c.ip not in plan.subnet)


def render_dnsmasq(plan: DhcpPlan) -> str:
    """The configuration file. Raises DhcpInvalid, see `check_plan`."""
    check_plan(plan)
    lines = [
        "# Written by si-mkdhcpserver, which writes it again from cluster.xml.",
        "",
        "# DHCP only, and only here; no names, no TFTP.",
        *("port=0", "no-resolv", "no-hosts"),
        *(f"interface={plan.interface}", "except-interface=lo", "bind-interfaces"),
        "",
        *_address_lines(plan),
        *_advertisement_lines(plan),
        "",
        "# What a machine boots: iPXE sends option 175, EFI firmware its architecture.",
        "dhcp-match=set:ipxe,175",
        "dhcp-match=set:efi,option:client-arch,7",
        "dhcp-match=set:efi,option:client-arch,9",
        *_boot_lines(plan),
        *_client_lines(plan),
    ]
    return "\n".join(lines) + "\n"


def _address_lines(plan: DhcpPlan) -> Iterator[str]:
    network, mask = plan.subnet.network_address, plan.subnet.netmask
    if plan.proxy:
        yield "# Addresses come from another DHCP server."
        yield f"dhcp-range={network},proxy,{mask}"
        return
    if plan.addresses:
        first, last = plan.addresses
        yield f"dhcp-range={first},{last},{mask},{LEASE}"
    else:
        yield "# Only clients listed below get an address."
        yield f"dhcp-range={network},static,{mask},{LEASE}"
    yield "dhcp-authoritative"
    yield "# An offer without waiting seconds for a ping that nobody answers."
    yield "no-ping"
    yield "# One address for firmware, iPXE, BOEL and the installed system, whose ids differ."
    yield "dhcp-ignore-clid"
    yield "dhcp-ignore-names"
    yield "# Some firmware does not find a file name outside its own field."
    yield "dhcp-no-override"
    # Without a value the option is not sent; dnsmasq would name itself as the router.
    yield "dhcp-option=option:router" + (f",{plan.router}" if plan.router else "")
    if plan.dns:
        yield f"dhcp-option=option:dns-server,{','.join(map(str, plan.dns))}"


def _advertisement_lines(plan: DhcpPlan) -> Iterator[str]:
    if not plan.advertise:
        return
    yield ""
    yield "# iPXE waits 13 s for an IPv6 router when none answers. Lifetime 0: this is no router."
    yield "enable-ra"
    yield f"dhcp-range=::,constructor:{plan.interface},ra-only"
    yield f"ra-param={plan.interface},0,0"


def _boot_lines(plan: DhcpPlan) -> Iterator[str]:
    script = f"http://{plan.server}:{plan.http_port}/boot.ipxe"
    yield f"dhcp-boot=tag:ipxe,tag:!pxelinux,{script}"
    yield f"dhcp-boot=tag:ipxe,tag:efi,{script}"
    if plan.proxy:
        # Firmware looks for a proxy's file in the PXE options only.
        yield f'pxe-service=tag:!ipxe,x86-64_EFI,"si",{EFI_PROGRAM},{plan.server}'
        yield f'pxe-service=tag:!ipxe,BC_EFI,"si",{EFI_PROGRAM},{plan.server}'
        yield f'pxe-service=tag:!ipxe,tag:!pxelinux,x86PC,"si",{BIOS_PROGRAM},{plan.server}'
        yield f'pxe-service=tag:pxelinux,x86PC,"si",{PXELINUX_PROGRAM},{plan.server}'
        return
    by_tftp = f",,{plan.server}"
    yield f"dhcp-boot=tag:pxelinux,tag:!efi,{PXELINUX_PROGRAM}{by_tftp}"
    yield f"dhcp-boot=tag:!ipxe,tag:efi,{EFI_PROGRAM}{by_tftp}"
    yield f"dhcp-boot=tag:!ipxe,tag:!efi,tag:!pxelinux,{BIOS_PROGRAM}{by_tftp}"


def _client_lines(plan: DhcpPlan) -> Iterator[str]:
    if not plan.reservations:
        return
    yield ""
    yield "# Clients of cluster.xml."
    elsewhere = set(outside(plan))
    for client in plan.reservations:
        tag = [f"set:{client.loader}"] if client.loader is Loader.PXELINUX else []
        ip = [str(client.ip)] if client.ip and client not in elsewhere and not plan.proxy else []
        name = [client.name] if _is_plain(client.name) and not plan.proxy else []
        if client in elsewhere:
            yield f"# {client.name}: {client.ip} is outside {plan.subnet}"
        yield "dhcp-host=" + ",".join([client.mac, *tag, *ip, *(name or ["set:si"])])


def _with_address(plan: DhcpPlan) -> Iterator[Reservation]:
    return (client for client in plan.reservations if client.ip is not None)


def _is_plain(name: str) -> bool:
    """Whether dnsmasq takes the word for a host name: `1h` would be a lease time."""
    return _HOST_NAME.fullmatch(name) is not None and name.lower() not in _WORDS
