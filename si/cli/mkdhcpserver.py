"""si-mkdhcpserver: a DHCP configuration that boots clients, checked by the DHCP server itself."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

import click

from si.boot.dhcp import (
    DhcpPlan,
    Reservation,
    check_plan,
    outside,
    parse_addresses,
    render_dnsmasq,
)
from si.cli.command import confirm, si_command
from si.cluster import Client, load_cluster
from si.config import Settings
from si.errors import ConfigInvalid, DhcpInvalid, NameNotResolved
from si.system.files import replace_file
from si.system.interfaces import Interface, default_gateway, read_interfaces
from si.system.names import resolve
from si.system.run import find_tool, run

log = logging.getLogger(__name__)
MAX_ASKING_S = 20
"""A name server that is down would cost 5 s for each client."""


@si_command("si-mkdhcpserver")
@click.option(
    "--software", type=click.Choice(["dnsmasq"]), required=True, help="DHCP server to write for."
)
@click.option("--interface", help="The only interface that gets answers [that of the server].")
@click.option("--subnet", metavar="CIDR", help="Network of the clients [that of the interface].")
@click.option(
    "--range",
    "addresses",
    metavar="FIRST-LAST",
    help="Addresses for machines that have none of their own [such machines get none].",
)
@click.option("--router", metavar="ADDRESS", help="Router of the clients [this server's own].")
@click.option("--proxy", is_flag=True, help="Another DHCP server gives the addresses.")
@click.option(
    "--output", metavar="FILE", help="File to write, - for standard output [in /etc/dnsmasq.d]."
)
@click.option("--yes", is_flag=True, help="Overwrite a different file without asking.")
def command(settings: Settings, output: str | None, yes: bool, **options: Any) -> None:
    """Write a DHCP configuration that boots clients from this server.

    Clients of cluster.xml get their fixed addresses, those of others are asked of DNS and the
    hosts file. Nothing is written unless `dnsmasq --test` accepts it.
    """
    plan = _plan(settings, **options)
    text = render_dnsmasq(plan)
    _test(text)
    if settings.server.tftp_port != 69:
        log.warning("firmware asks TFTP on port 69, not on %s", settings.server.tftp_port)
    if output == "-":
        click.echo(text, nl=False)
        return
    path = Path(output) if output else settings.dnsmasq_conf
    _write(path, text, yes=yes)
    fixed = sum(client.ip is not None for client in plan.reservations)
    click.echo(
        f"{path}: {plan.subnet} on {plan.interface}, {fixed} of {len(plan.reservations)} clients "
        "with an address of their own"
    )
    click.echo("dnsmasq reads it when it is started anew")


main = command.run


def _plan(
    settings: Settings,
    *,
    software: str,
    interface: str | None,
    subnet: str | None,
    addresses: str | None,
    router: str | None,
    proxy: bool,
) -> DhcpPlan:
    assert software == "dnsmasq"
    if proxy and addresses:
        raise click.UsageError("--proxy gives no addresses: leave out --range")
    wanted = _network(subnet) if subnet else None
    card = _find_interface(settings, interface, wanted)
    own = _own_address(settings, card, wanted)
    network = wanted or own.network
    plan = DhcpPlan(
        interface=card.name,
        subnet=network,
        server=_address("server.address", settings.server.address) or own.ip,
        http_port=settings.server.http_port,
        addresses=parse_addresses(addresses) if addresses else None,
        router=_router(router, card, network),
        dns=_name_servers(settings),
        proxy=proxy,
        advertise=card.has_ipv6 and not proxy,
    )
    check_plan(plan)
    if not plan.advertise and not proxy:
        log.info("%s has no IPv6 address: iPXE waits 13 s longer for a router", card.name)
    return _with_clients(settings, plan)


def _with_clients(settings: Settings, plan: DhcpPlan) -> DhcpPlan:
    known = [client for client in load_cluster(settings).clients if client.mac]
    plan = replace(plan, reservations=tuple(_reserve(settings, known)))
    for client in outside(plan):
        log.warning("%s: its address %s is outside %s", client.name, client.ip, plan.subnet)
    if plan.addresses is None and not plan.proxy:
        for client in plan.reservations:
            if client.ip is None:
                log.warning("%s gets no address: give it one, or use --range", client.name)
    return plan


def _reserve(settings: Settings, clients: list[Client]) -> Iterator[Reservation]:
    """What is known of each client, asking DNS where cluster.xml has no address."""
    begun, silent = time.monotonic(), False
    for client in clients:
        ip = client.ip
        if ip is None and not silent:
            try:
                ip = IPv4Address(resolve(settings, client.name)[0])
            except NameNotResolved as error:
                log.info("%s: %s", client.name, error.message)
            silent = time.monotonic() - begun > MAX_ASKING_S
            if silent:
                log.warning("names took more than %d s: no more are asked", MAX_ASKING_S)
        yield Reservation(client.name, client.mac or "", ip, client.loader)


def _find_interface(settings: Settings, name: str | None, subnet: IPv4Network | None) -> Interface:
    """The interface asked for, else the one that has the server's address, else the one with the
    subnet, else the one with the default route, else the only one."""
    cards = read_interfaces()
    there = ", ".join(card.name for card in cards) or "none"
    if name is not None:
        for card in cards:
            if card.name == name:
                return card
        raise DhcpInvalid(f"no interface {name!r} on this machine", hint=f"there are: {there}")
    address = settings.server.address
    gateway = default_gateway()
    for found in (
        [c for c in cards if address and address in [str(inner.ip) for inner in c.addresses]],
        [c for c in cards if subnet and any(inner.ip in subnet for inner in c.addresses)],
        [c for c in cards if gateway and not (address or subnet) and c.name == gateway[0]],
        [c for c in cards if c.addresses and not (address or subnet)],
    ):
        if len(found) == 1:
            return found[0]
    raise DhcpInvalid("cannot tell which interface is meant", hint=f"--interface, of: {there}")


def _own_address(settings: Settings, card: Interface, subnet: IPv4Network | None) -> IPv4Interface:
    """The interface's address in the subnet; that of the settings is preferred."""
    fit = [inner for inner in card.addresses if subnet is None or inner.ip in subnet]
    fit.sort(key=lambda inner: str(inner.ip) != settings.server.address)
    if fit:
        return fit[0]
    there = ", ".join(map(str, card.addresses)) or "no IPv4 address"
    what = f"the subnet {subnet} is outside {card.name}" if subnet else f"{card.name} has no subnet"
    raise DhcpInvalid(f"{what}, which has {there}", hint="give the interface an address in it")


def _router(text: str | None, card: Interface, network: IPv4Network) -> IPv4Address | None:
    if text is not None:
        try:
            return IPv4Address(text)
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is no IPv4 address") from error
    gateway = default_gateway()
    fits = gateway and gateway[0] == card.name and gateway[1] in network
    return gateway[1] if gateway and fits else None


def _name_servers(settings: Settings) -> tuple[IPv4Address, ...]:
    """DNS servers of the settings that clients can ask as well."""
    if settings.dns.port != 53:
        return ()
    servers = [_address("dns.servers", text) for text in settings.dns.servers if ":" not in text]
    return tuple(server for server in servers if server and not server.is_loopback)


def _address(key: str, text: str | None) -> IPv4Address | None:
    try:
        return IPv4Address(text) if text is not None else None
    except ValueError as error:
        raise ConfigInvalid(f"{key}: {text!r} is no IPv4 address") from error


def _network(text: str) -> IPv4Network:
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no network like 10.77.0.0/24: {error}") from error
    if not 8 <= network.prefixlen <= 30:
        raise click.BadParameter(f"{text} cannot be a network of clients: use /8 to /30")
    return network


def _test(text: str) -> None:
    """Have dnsmasq check the text. Raises DhcpInvalid with its words, ToolMissing."""
    dnsmasq = find_tool("dnsmasq", package="dnsmasq-base")
    with tempfile.NamedTemporaryFile(prefix="si-dnsmasq-", suffix=".conf") as file:
        file.write(text.encode())
        file.flush()
        done = run([dnsmasq, "--test", f"--conf-file={file.name}"], check=False)
        said = done.stderr.decode("utf-8", "replace").replace(file.name, "the configuration")
    if done.exit_code != 0:
        raise DhcpInvalid(f"dnsmasq refuses: {' '.join(said.split())}")


def _write(path: Path, text: str, *, yes: bool) -> None:
    try:
        old = path.read_bytes()
    except OSError:
        old = None
    if old is not None and old != text.encode():
        confirm(f"{path} exists and is different. Overwrite it?", yes=yes)
    replace_file(path, text.encode())
