"""What makes one client itself: name, network, and what it reports with.

Stage: 6, getting BOEL onto a machine. Pure: a client in, files out; the bundle carries them and
BOEL lays them over the installed system. Nothing names a network interface, since the golden
client's names need not be those of its copies: the MAC of cluster.xml says which card is meant,
else the first wired one is taken. All files are written whole, so that no line of the golden
client's network configuration stays in force beside ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from si.cluster import Client

INTERFACES = "etc/network/interfaces"
NETWORKD = "etc/systemd/network/00-si.network"
"""The first file that matches wins in systemd-networkd, hence a name before all others."""
NETWORK_MANAGER = "etc/NetworkManager/system-connections/si.nmconnection"

_HEADING = "# Written at install from cluster.xml of the image server.\n"
_OWN_ADDRESS = "127.0.1.1"
_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


class Backend(StrEnum):
    """What configures the network of an image, as its facts say."""

    IFUPDOWN = "ifupdown"
    NETWORKD = "networkd"
    NETWORK_MANAGER = "networkmanager"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class File:
    """A file of the installed system."""

    path: str
    """Relative to its root."""
    mode: int
    text: str


def render_identity(
    client: Client,
    *,
    server_url: str,
    token: str,
    image: str,
    version: int | None = None,
    captured: str,
    arch: str,
    backend: str,
    site_key: str,
    hosts: str | None = None,
) -> tuple[File, ...]:
    """Files that make an installed copy of `image` this client, in the order of their paths.

    `version` is None for a copy of the image as it stood in the store.
    `server_url` is http://ADDRESS:PORT; `captured` the ISO time of the capture; `backend` one of
    Backend (for "unknown", and for a network that cluster.xml leaves alone, no network file is
    made); `hosts` the text of the image's etc/hosts, whose other lines are kept; `site_key` the
    public key that versions are signed with.
    """
    report = {
        "format": 1,
        "server": server_url,
        "client": client.name,
        "token": token,
        "image": image,
        "version": version,
        "arch": arch,
        "captured": captured,
    }
    files = [
        File("etc/hostname", 0o644, f"{client.name}\n"),
        File("etc/hosts", 0o644, render_hosts(client, hosts)),
        File("etc/systemimager/client.json", 0o600, json.dumps(report, indent=2) + "\n"),
        File("etc/systemimager/site-key.pub", 0o644, site_key),
    ]
    render = _RENDER.get(backend)
    if render is not None and client.network.managed:
        files.extend(render(client))
    return tuple(sorted(files, key=lambda file: file.path))


def render_hosts(client: Client, hosts: str | None) -> str:
    """The hosts file of an image with this client's own name in the place of the golden's."""
    domain = client.network.domain
    full = f"{client.name}.{domain} {client.name}" if domain else client.name
    lines = [
        line
        for line in (hosts if hosts and hosts.strip() else _HOSTS).splitlines()
        if line.split("#")[0].split()[:1] != [_OWN_ADDRESS]
    ]
    loopback = (i for i, line in enumerate(lines) if line.split()[:1] == ["127.0.0.1"])
    lines.insert(next(loopback, -1) + 1, f"{_OWN_ADDRESS}\t{full}")
    return "\n".join(lines) + "\n"


def _render_ifupdown(client: Client) -> list[File]:
    """interfaces(5), "pattern matching interfaces": a card by its MAC, or the first e[nt]*."""
    card = f"mac/{client.mac}" if client.mac else "/e[nt]*/1"
    lines = [
        *("auto lo", "iface lo inet loopback", ""),
        f"auto {card}=si",
        f"iface si inet {'static' if client.network.address else 'dhcp'}",
    ]
    network = client.network
    if network.address:
        lines.append(f"    address {network.address}")
        if network.gateway:
            lines.append(f"    gateway {network.gateway}")
        if network.dns:
            lines.append(f"    dns-nameservers {_words(network.dns)}")
        if network.domain:
            lines.append(f"    dns-search {network.domain}")
    files = [File(INTERFACES, 0o644, _HEADING + "\n".join(lines) + "\n")]
    if network.address and network.dns:
        # dns-nameservers does nothing without the resolvconf package.
        search = f"search {network.domain}\n" if network.domain else ""
        servers = "".join(f"nameserver {server}\n" for server in network.dns)
        files.append(File("etc/resolv.conf", 0o644, _HEADING + search + servers))
    return files


def _render_networkd(client: Client) -> list[File]:
    """systemd.network(5)."""
    match = f"MACAddress={client.mac}" if client.mac else "Type=ether\nName=en* eth*"
    network = client.network
    lines = ["[Match]", match, "", "[Network]"]
    if network.address:
        lines.append(f"Address={network.address}")
        if network.gateway:
            lines.append(f"Gateway={network.gateway}")
    else:
        lines.append("DHCP=yes")
    lines.extend(f"DNS={server}" for server in network.dns)
    if network.domain:
        lines.append(f"Domains={network.domain}")
    if not network.address:
        # The same identifier as BOEL's, so that both get one address.
        lines.extend(["", "[DHCPv4]", "ClientIdentifier=mac"])
    return [File(NETWORKD, 0o644, _HEADING + "\n".join(lines) + "\n")]


def _render_network_manager(client: Client) -> list[File]:
    """nm-settings-keyfile(5); the priority beats every profile of the golden client."""
    network = client.network
    lines = [
        *("[connection]", "id=si", "type=ethernet", "autoconnect=true"),
        *("autoconnect-priority=999", "", "[ethernet]"),
    ]
    if client.mac:
        lines.append(f"mac-address={client.mac.upper()}")
    lines.extend(["", "[ipv4]"])
    if network.address:
        gateway = f",{network.gateway}" if network.gateway else ""
        lines.extend(["method=manual", f"address1={network.address}{gateway}"])
    else:
        lines.append("method=auto")
    if network.dns:
        lines.append(f"dns={''.join(f'{server};' for server in network.dns)}")
    if network.domain:
        lines.append(f"dns-search={network.domain};")
    lines.extend(["", "[ipv6]", "method=auto"])
    return [File(NETWORK_MANAGER, 0o600, _HEADING + "\n".join(lines) + "\n")]


def _words(items: tuple[object, ...]) -> str:
    return " ".join(map(str, items))


_RENDER: Mapping[str, Callable[[Client], list[File]]] = {
    Backend.IFUPDOWN: _render_ifupdown,
    Backend.NETWORKD: _render_networkd,
    Backend.NETWORK_MANAGER: _render_network_manager,
}
