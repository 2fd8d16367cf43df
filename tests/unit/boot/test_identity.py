"""What makes an installed copy one client, for each network backend."""

from __future__ import annotations

import configparser
import json
from ipaddress import IPv4Address, IPv4Interface

import pytest

from si.boot.identity import (
    INTERFACES,
    NETWORK_MANAGER,
    NETWORKD,
    Backend,
    File,
    render_hosts,
    render_identity,
)
from si.cluster import Client, Network

MAC = "52:54:00:77:00:01"
DHCP = Client(name="web1", mac=MAC)
STATIC = Client(
    name="db1",
    mac=MAC,
    network=Network(
        address=IPv4Interface("10.77.0.21/24"),
        gateway=IPv4Address("10.77.0.1"),
        dns=(IPv4Address("10.77.0.1"), IPv4Address("9.9.9.9")),
        domain="example.org",
    ),
)


SITE_KEY = "ssh-ed25519 AAAA si site key\n"


def identity(client: Client, backend: str, hosts: str | None = None) -> dict[str, File]:
    files = render_identity(
        client,
        server_url="http://10.77.0.1:8080",
        token="secret",
        image="web",
        captured="2026-11-21T12:00:00Z",
        arch="x86_64",
        backend=backend,
        hosts=hosts,
        site_key=SITE_KEY,
    )
    return {file.path: file for file in files}


def test_the_key_that_versions_are_signed_with_comes_along() -> None:
    key = identity(DHCP, "unknown")["etc/systemimager/site-key.pub"]
    assert (key.mode, key.text) == (0o644, SITE_KEY)


def test_name_and_what_the_client_reports_with() -> None:
    files = identity(DHCP, "unknown")
    assert sorted(files) == [
        "etc/hostname",
        "etc/hosts",
        "etc/systemimager/client.json",
        "etc/systemimager/site-key.pub",
    ]
    assert files["etc/hostname"].text == "web1\n"
    assert "127.0.1.1\tweb1\n" in files["etc/hosts"].text
    report = files["etc/systemimager/client.json"]
    assert report.mode == 0o600
    assert json.loads(report.text) == {
        "format": 1,
        "server": "http://10.77.0.1:8080",
        "client": "web1",
        "token": "secret",
        "image": "web",
        "version": None,
        "arch": "x86_64",
        "captured": "2026-11-21T12:00:00Z",
    }


def test_other_lines_of_the_hosts_file_stay() -> None:
    old = "# ours\n127.0.0.1 localhost\n127.0.1.1 golden.x golden # me\n10.0.0.5 nas\n"
    assert render_hosts(STATIC, old) == (
        "# ours\n127.0.0.1 localhost\n127.0.1.1\tdb1.example.org db1\n10.0.0.5 nas\n"
    )
    assert render_hosts(DHCP, "10.0.0.5 nas") == "127.0.1.1\tweb1\n10.0.0.5 nas\n"
    assert "localhost" in render_hosts(DHCP, "")


def test_ifupdown_dhcp_matches_the_card_by_its_mac() -> None:
    file = identity(DHCP, Backend.IFUPDOWN)[INTERFACES]
    assert file.mode == 0o644
    assert file.text.splitlines()[1:] == [
        "auto lo",
        "iface lo inet loopback",
        "",
        "auto mac/52:54:00:77:00:01=si",
        "iface si inet dhcp",
    ]


def test_ifupdown_static() -> None:
    files = identity(STATIC, Backend.IFUPDOWN)
    assert files[INTERFACES].text.splitlines()[4:] == [
        "auto mac/52:54:00:77:00:01=si",
        "iface si inet static",
        "    address 10.77.0.21/24",
        "    gateway 10.77.0.1",
        "    dns-nameservers 10.77.0.1 9.9.9.9",
        "    dns-search example.org",
    ]
    assert files["etc/resolv.conf"].text.splitlines()[1:] == [
        "search example.org",
        "nameserver 10.77.0.1",
        "nameserver 9.9.9.9",
    ]


def ini(file: File) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(file.text)
    return {name: dict(parser[name]) for name in parser.sections()}


def test_networkd() -> None:
    dhcp = ini(identity(DHCP, Backend.NETWORKD)[NETWORKD])
    assert dhcp["Match"] == {"MACAddress": MAC}
    assert dhcp["Network"] == {"DHCP": "yes"}
    assert dhcp["DHCPv4"] == {"ClientIdentifier": "mac"}
    static = identity(STATIC, Backend.NETWORKD)[NETWORKD].text
    for line in ("Address=10.77.0.21/24", "Gateway=10.77.0.1", "DNS=9.9.9.9"):
        assert line in static.splitlines()
    assert "DHCP" not in static


def test_network_manager() -> None:
    file = identity(DHCP, Backend.NETWORK_MANAGER)[NETWORK_MANAGER]
    assert file.mode == 0o600, "NetworkManager refuses others"
    dhcp = ini(file)
    assert dhcp["ethernet"] == {"mac-address": MAC.upper()}
    assert dhcp["ipv4"] == {"method": "auto"}
    static = ini(identity(STATIC, Backend.NETWORK_MANAGER)[NETWORK_MANAGER])
    assert static["ipv4"] == {
        "method": "manual",
        "address1": "10.77.0.21/24,10.77.0.1",
        "dns": "10.77.0.1;9.9.9.9;",
        "dns-search": "example.org;",
    }


@pytest.mark.parametrize("backend", [Backend.IFUPDOWN, Backend.NETWORKD, Backend.NETWORK_MANAGER])
def test_a_client_without_a_mac_takes_the_first_wired_card(backend: Backend) -> None:
    text = "".join(file.text for file in identity(Client(name="web1"), backend).values())
    assert "None" not in text
    wanted = {"ifupdown": "auto /e[nt]*/1=si", "networkd": "Name=en* eth*"}
    assert wanted.get(backend, "type=ethernet") in text


@pytest.mark.parametrize("backend", list(Backend))
def test_a_network_that_is_left_alone_gets_no_file(backend: Backend) -> None:
    files = identity(Client(name="web1", mac=MAC, network=Network(managed=False)), backend)
    assert not any("network" in path.lower() for path in files)
