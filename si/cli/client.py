"""si-client: the clients of cluster.xml."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Any

import click

from si.cli.command import confirm, si_command
from si.cluster import Client, Cluster, Loader, load_cluster, normal_mac, parse_cluster
from si.cluster.edit import EMPTY, add_client, remove_client
from si.config import Settings
from si.errors import FileRefused
from si.names_check import check_name
from si.system.files import locked, replace_file

COLUMNS = ("name", "mac", "ip", "groups", "image", "layout", "flavor", "loader")


@dataclass(frozen=True, slots=True)
class Values:
    """What the options say about one client."""

    mac: str | None
    ip: str | None
    group: str | None
    image: str | None
    layout: str | None
    flavor: str | None
    loader: str | None


@si_command("si-client")
@click.argument("action", type=click.Choice(["add", "list", "remove"]))
@click.argument("name", required=False)
@click.option("--mac", help="add: MAC address of the network card it boots from.")
@click.option("--ip", metavar="ADDRESS", help="add: IPv4 address that DHCP gives it.")
@click.option("--group", metavar="NAME", help="add: a group of cluster.xml, or several: a,b.")
@click.option("--image", metavar="NAME", help="add: image it gets.")
@click.option("--layout", metavar="NAME", help="add: layout, when not that of the image.")
@click.option("--flavor", metavar="NAME", help="add: flavor it boots with.")
@click.option(
    "--loader",
    type=click.Choice([loader.value for loader in Loader]),
    help="add: boot program for BIOS firmware [ipxe].",
)
@click.option("--json", "as_json", is_flag=True, help="list: print JSON.")
@click.option("--yes", is_flag=True, help="remove: do not ask.")
def command(
    settings: Settings, action: str, name: str | None, as_json: bool, yes: bool, **options: Any
) -> None:
    """Add, list or remove clients of cluster.xml, which may be edited by hand as well.

    Comments and formatting of the file stay as they are.

    \b
    si-client add NAME --mac MAC [--ip ADDRESS] [--group NAME] ...
    si-client list [NAME] [--json]
    si-client remove NAME [--yes]
    """
    values = Values(**options)
    _check_options(action, name, values, as_json=as_json, yes=yes)
    if action == "list":
        _list(load_cluster(settings), name, as_json=as_json)
    elif action == "add":
        _add(settings, check_name("client", name or ""), values)
    else:
        _remove(settings, name or "", yes=yes)


main = command.run


def _check_options(
    action: str, name: str | None, values: Values, *, as_json: bool, yes: bool
) -> None:
    given = [f"--{option}" for option in Values.__slots__ if getattr(values, option) is not None]
    foreign = {
        "add": [*(["--json"] if as_json else []), *(["--yes"] if yes else [])],
        "list": [*given, *(["--yes"] if yes else [])],
        "remove": [*given, *(["--json"] if as_json else [])],
    }[action]
    if foreign:
        raise click.UsageError(f"{action} takes no {', '.join(foreign)}")
    if action != "list" and not name:
        raise click.UsageError(f"{action} needs the name of a client")
    if action == "add" and values.mac is None:
        raise click.UsageError("add needs --mac")


def _list(cluster: Cluster, name: str | None, *, as_json: bool) -> None:
    clients = (
        cluster.clients
        if name is None
        else tuple(cluster.client(one) for one in cluster.expand(name))
    )
    rows = [_row(client) for client in clients]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = [[column.upper() for column in COLUMNS]]
    table += [[_cell(row[column]) for column in COLUMNS] for row in rows]
    widths = [max(len(line[place]) for line in table) for place in range(len(COLUMNS))]
    for line in table if rows else []:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _row(client: Client) -> dict[str, Any]:
    return {
        "name": client.name,
        "mac": client.mac,
        "ip": str(client.ip) if client.ip else None,
        "groups": list(client.groups),
        "image": client.image,
        "layout": client.layout,
        "flavor": client.flavor,
        "loader": client.loader.value,
        "overrides": list(client.overrides),
    }


def _cell(value: Any) -> str:
    return (",".join(value) if isinstance(value, list) else value) or "-"


def _add(settings: Settings, name: str, values: Values) -> None:
    attributes = {"name": name, "mac": _mac(values.mac or "")}
    if values.ip is not None:
        attributes["ip"] = _ip(values.ip)
    path = settings.cluster_xml
    with locked(path.parent):
        data = _read(path)
        if values.group is not None:
            attributes["group"] = _groups(values.group, parse_cluster(data, str(path)))
        for kind in ("image", "layout", "flavor"):
            text = getattr(values, kind)
            if text is not None:
                attributes[kind] = check_name(kind, text)
        if values.loader is not None:
            attributes["loader"] = values.loader
        replace_file(path, add_client(data, str(path), attributes))
    click.echo(f"client {name} added to {path}")


def _remove(settings: Settings, name: str, *, yes: bool) -> None:
    path = settings.cluster_xml
    client = load_cluster(settings).client(name)
    confirm(f"Remove client {client.name} (MAC {client.mac or '-'}) from {path}?", yes=yes)
    with locked(path.parent):
        data = remove_client(_read(path), str(path), client.name)
        replace_file(path, data)
    click.echo(f"client {client.name} removed from {path}")
    if any(left.name == client.name for left in parse_cluster(data, str(path)).clients):
        click.echo("the range of a group still names it", err=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return EMPTY
    except OSError as error:
        raise FileRefused(f"cannot read {path}: {error.strerror}") from error


def _mac(text: str) -> str:
    mac = normal_mac(text)
    if mac is None:
        raise click.BadParameter(f"{text!r} is no MAC address (52:54:00:12:34:56)")
    return mac


def _ip(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except AddressValueError as error:
        raise click.BadParameter(f"{text!r} is no IPv4 address") from error


def _groups(text: str, cluster: Cluster) -> str:
    known = {group.name for group in cluster.groups}
    for name in text.replace(",", " ").split():
        if name not in known:
            there = f"it has: {', '.join(sorted(known))}" if known else "it has none"
            raise click.BadParameter(f"no group {name!r} in {cluster.file} ({there})")
    return ",".join(text.replace(",", " ").split())
