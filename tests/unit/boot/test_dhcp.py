"""dnsmasq configurations as text, and plans that cannot work."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from si.boot.dhcp import (
    DhcpPlan,
    Reservation,
    check_plan,
    outside,
    parse_addresses,
    render_dnsmasq,
)
from si.cluster import Loader
from si.errors import DhcpInvalid

IP = IPv4Address
MAC = "52:54:00:77:00:01"
PLAN = DhcpPlan(
    interface="br0",
    subnet=IPv4Network("10.77.0.0/24"),
    server=IP("10.77.0.1"),
    http_port=8080,
)


def lines(plan: DhcpPlan) -> list[str]:
    return render_dnsmasq(plan).splitlines()


def test_it_serves_one_interface_and_dhcp_only() -> None:
    found = lines(PLAN)
    for line in ("port=0", "interface=br0", "except-interface=lo", "bind-interfaces", "no-ping"):
        assert line in found
    assert "enable-ra" not in found
    assert not any(line.startswith("enable-tftp") for line in found)


def test_without_a_range_only_known_clients_get_an_address() -> None:
    assert "dhcp-range=10.77.0.0,static,255.255.255.0,1h" in lines(PLAN)
    ranged = replace(PLAN, addresses=(IP("10.77.0.100"), IP("10.77.0.199")))
    assert "dhcp-range=10.77.0.100,10.77.0.199,255.255.255.0,1h" in lines(ranged)


def test_what_each_kind_of_machine_boots() -> None:
    script = "http://10.77.0.1:8080/boot.ipxe"
    assert [line for line in lines(PLAN) if line.startswith("dhcp-boot")] == [
        f"dhcp-boot=tag:ipxe,tag:!pxelinux,{script}",
        f"dhcp-boot=tag:ipxe,tag:efi,{script}",
        "dhcp-boot=tag:pxelinux,tag:!efi,pxelinux.0,,10.77.0.1",
        "dhcp-boot=tag:!ipxe,tag:efi,snponly.efi,,10.77.0.1",
        "dhcp-boot=tag:!ipxe,tag:!efi,tag:!pxelinux,undionly.kpxe,,10.77.0.1",
    ]


def test_clients_and_names_that_dnsmasq_would_misread() -> None:
    clients = (
        Reservation("web1", MAC, IP("10.77.0.21")),
        Reservation("old1", MAC[:-1] + "2", IP("10.77.0.22"), Loader.PXELINUX),
        Reservation("1h", MAC[:-1] + "3", IP("10.77.0.23")),
        Reservation("ignore", MAC[:-1] + "4", None),
        Reservation("a.b", MAC[:-1] + "5", None),
        Reservation("far", MAC[:-1] + "6", IP("10.0.0.1")),
    )
    plan = replace(PLAN, reservations=clients)
    assert [line for line in lines(plan) if line.startswith("dhcp-host")] == [
        "dhcp-host=52:54:00:77:00:01,10.77.0.21,web1",
        "dhcp-host=52:54:00:77:00:02,set:pxelinux,10.77.0.22,old1",
        "dhcp-host=52:54:00:77:00:03,10.77.0.23,set:si",
        "dhcp-host=52:54:00:77:00:04,set:si",
        "dhcp-host=52:54:00:77:00:05,set:si",
        "dhcp-host=52:54:00:77:00:06,far",
    ]
    assert [client.name for client in outside(plan)] == ["far"]


def test_router_names_and_advertisements() -> None:
    plan = replace(PLAN, router=IP("10.77.0.254"), dns=(IP("10.77.0.1"),), advertise=True)
    found = lines(plan)
    assert "dhcp-option=option:router,10.77.0.254" in found
    assert "dhcp-option=option:dns-server,10.77.0.1" in found
    assert "dhcp-range=::,constructor:br0,ra-only" in found
    assert "ra-param=br0,0,0" in found, "never the default router"
    assert "dhcp-option=option:router" in lines(PLAN), "dnsmasq must not name itself"


def test_a_proxy_gives_no_addresses() -> None:
    plan = replace(PLAN, proxy=True, reservations=(Reservation("w", MAC, IP("10.77.0.21")),))
    found = lines(plan)
    assert "dhcp-range=10.77.0.0,proxy,255.255.255.0" in found
    assert "dhcp-authoritative" not in found
    assert f"dhcp-host={MAC},set:si" in found
    assert sum(line.startswith("pxe-service=") for line in found) == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"addresses": (IP("10.77.1.1"), IP("10.77.1.9"))}, "outside the subnet"),
        ({"addresses": (IP("10.77.0.250"), IP("10.77.0.255"))}, "first or last address"),
        ({"addresses": (IP("10.77.0.0"), IP("10.77.0.9"))}, "first or last address"),
        ({"router": IP("10.1.0.1")}, "router address 10.1.0.1 is outside"),
        ({"interface": "br0\nport=53"}, "no name of a network interface"),
        ({"reservations": (Reservation("w", MAC, IP("10.77.0.1")),)}, "of this server"),
        (
            {
                "reservations": (
                    Reservation("w", MAC, IP("10.77.0.9")),
                    Reservation("v", MAC[:-1] + "2", IP("10.77.0.9")),
                )
            },
            "client 'v' has the address 10.77.0.9 of client 'w'",
        ),
    ],
)
def test_plans_that_cannot_work(changes: dict[str, object], words: str) -> None:
    with pytest.raises(DhcpInvalid, match=words):
        check_plan(replace(PLAN, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["10.0.0.9-10.0.0.1", "10.0.0.9", "a-b", "10.0.0.1-10.0.0.300"])
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(DhcpInvalid):
        parse_addresses(text)


def test_a_range_is_read() -> None:
    assert parse_addresses("10.0.0.1 - 10.0.1.9") == (IP("10.0.0.1"), IP("10.0.1.9"))
