"""cluster.xml: what it gives each client, and every fault of it at once."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from si.cluster import Loader, load_cluster, parse_cluster
from si.config import default_settings
from si.errors import ClientUnknown, DocumentInvalid

GOOD = """<?xml version="1.0"?>
<!-- our machines -->
<cluster>
  <defaults image="base" flavor="virtio"/>
  <override>all-1</override>
  <override>all-2</override>
  <group name="late" priority="20" image="late-image" layout="late-layout">
    <override>late-1</override>
    <clients>web1-web3, <!-- and --> db[1-2]</clients>
  </group>
  <group name="early" priority="10" loader="pxelinux">
    <override>early-1</override>
    <override>early-2</override>
  </group>
  <client name="web1" mac="52-54-00-AA-00-01" ip="10.77.0.101" group="early" image="web"/>
  <client name="solo" mac="5254.00aa.0002">
    <network address="10.77.0.102/24" gateway="10.77.0.1" dns="10.77.0.1, 9.9.9.9"
             domain="example.org"/>
  </client>
</cluster>
"""


def test_a_client_gets_its_own_then_its_groups_then_the_defaults() -> None:
    cluster = parse_cluster(GOOD, "cluster.xml")
    web1 = cluster.client("web1")
    assert web1.mac == "52:54:00:aa:00:01"
    assert web1.ip == IPv4Address("10.77.0.101")
    assert (web1.image, web1.layout, web1.flavor) == ("web", "late-layout", "virtio")
    assert web1.groups == ("early", "late")
    assert web1.loader is Loader.PXELINUX
    assert cluster.client("web2").image == "late-image"
    assert cluster.client("web2").loader is Loader.IPXE
    assert cluster.client("web2").mac is None
    solo = cluster.client("solo")
    assert (solo.image, solo.layout) == ("base", None)


def test_a_static_network_is_the_address_too() -> None:
    solo = parse_cluster(GOOD, "cluster.xml").client("SOLO")
    assert solo.network.address == IPv4Interface("10.77.0.102/24")
    assert solo.network.dns == (IPv4Address("10.77.0.1"), IPv4Address("9.9.9.9"))
    assert solo.ip == IPv4Address("10.77.0.102")
    assert parse_cluster(GOOD, "cluster.xml").by_ip("10.77.0.102") == solo


def test_overrides_are_in_the_order_of_the_reference() -> None:
    web1 = parse_cluster(GOOD, "cluster.xml").client("web1")
    groups = ("late-1", "early-2", "early-1")
    assert web1.overrides == ("web", "all-2", "all-1", *groups, "web1")
    assert web1.overrides_for("other")[0] == "other"
    assert web1.overrides_for(None)[0] == "all-2"
    assert web1.overrides_for("early-1") == ("all-2", "all-1", *groups, "web1")


def test_groups_sort_by_priority_then_name_zero_last() -> None:
    groups = ("<group name='b'/>", "<group name='A' priority='0'/>")
    more = ("<group name='x' priority='20'/>", "<group name='y' priority='10'/>")
    cluster = parse_cluster(f"<cluster>{''.join(groups + more)}</cluster>", "c")
    assert [group.name for group in cluster.groups] == ["y", "x", "A", "b"]


@pytest.mark.parametrize("spelling", ["52:54:00:aa:00:01", "52-54-00-AA-00-01", "5254.00aa.0001"])
def test_a_mac_is_found_in_any_spelling(spelling: str) -> None:
    found = parse_cluster(GOOD, "cluster.xml").by_mac(spelling)
    assert found is not None
    assert found.name == "web1"


@pytest.mark.parametrize("text", ["", "52:54:00:aa:00:99", "../../etc", "52:54:00-aa:00:01"])
def test_other_macs_are_nobody(text: str) -> None:
    assert parse_cluster(GOOD, "cluster.xml").by_mac(text) is None


def test_ranges_see_the_groups_of_the_document() -> None:
    cluster = parse_cluster(GOOD, "cluster.xml")
    assert cluster.expand("@late!db[1-2]") == ("web1", "web2", "web3")
    assert cluster.expand("@early,new9") == ("new9", "web1")
    assert cluster.expand("@all") == ("db1", "db2", "solo", "web1", "web2", "web3")


def test_an_unknown_client_is_named() -> None:
    with pytest.raises(ClientUnknown, match="'web9'") as caught:
        parse_cluster(GOOD, "cluster.xml").client("web9")
    assert caught.value.hint is not None
    assert "si-client add web9" in caught.value.hint


BAD = """<cluster>
  <client name="web1" mac="52:54:00:00:00:01" ip="10.0.0.1"/>
  <client name="WEB1" mac="52-54-00-00-00-01" ip="10.0.0.1"/>
  <client name="a/b"/>
  <client mac="zz"/>
  <client name="m" mac="01:00:5e:00:00:01" colour="red"/>
  <client name="i" ip="10.0.0.300" group="ghost"/>
  <client name="n" ip="10.0.0.9"><network address="10.0.0.8/24" gateway="10.9.9.9"/></client>
  <client name="p"><network address="10.0.0.8"/></client>
  <client name="g"><network gateway="10.0.0.1"/><network/></client>
  <group name="all"/>
  <group name="x" priority="-1" loader="grub"><clients>web[1-</clients></group>
  <group name="x"><clients/><node>a</node></group>
  <client name="z"><network address="10.0.0.255/24" dns="nope"/>words</client>
</cluster>
"""
FAULTS = {
    3: ["client 'web1' stands already in line 2", "MAC", "address '10.0.0.1'"],
    4: ["'a/b' cannot be the name"],
    5: ["lacks its name", "'zz' is no MAC"],
    6: ["multicast", "no attribute 'colour'"],
    7: ["'10.0.0.300' is no IPv4", "group 'ghost', which no <group>"],
    8: ["two addresses", "gateway 10.9.9.9 cannot be reached"],
    9: ["lacks its prefix"],
    10: ["second <network>", "gateway but no address"],
    11: ["stands for all clients"],
    12: ["priority '-1'", "loader 'grub'", "cannot read the range"],
    13: ["group 'x' stands already in line 12", "<clients> is empty", "<node> cannot stand"],
    14: ["broadcast address", "'nope' is no address", "text in <client>"],
}


def test_every_fault_is_told_at_once_with_its_line() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        parse_cluster(BAD, "cluster.xml")
    told = [(problem.line, problem.message) for problem in caught.value.problems]
    for line, words in FAULTS.items():
        for word in words:
            assert any(at == line and word in message for at, message in told), (line, word)
    lines = [line for line, _ in told]
    assert lines == sorted(lines)
    extra = [m for at, m in told if not any(w in m for w in FAULTS.get(at, []))]
    assert extra == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not well-formed"),
        ("<cluster><client name='a'></cluster>", "not well-formed"),
        ("<clusters/>", "begins no cluster document"),
        ("<!DOCTYPE cluster [<!ENTITY a 'b'>]><cluster>&a;</cluster>", "not allowed"),
        ("<!DOCTYPE c SYSTEM 'http://127.0.0.1:9/x.dtd' ><cluster/>", "not allowed"),
        ("<cluster>" + " " * (4 * 1024 * 1024) + "</cluster>", "larger than 4 MiB"),
        ("<cluster xmlns='urn:x'/>", "begins no cluster document"),
    ],
)
def test_hostile_or_broken_text_is_a_problem(text: str, word: str) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        parse_cluster(text, "cluster.xml")
    assert word in caught.value.problems[0].message


def test_other_encodings_are_read() -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><!-- é --><cluster/>'
    assert parse_cluster(text.encode("latin-1"), "c").clients == ()
    assert parse_cluster(text, "c").clients == ()


def test_a_missing_file_is_an_empty_cluster(tmp_path: Path) -> None:
    settings = default_settings(tmp_path)
    assert load_cluster(settings).clients == ()
    settings.etc.mkdir(parents=True)
    settings.cluster_xml.write_text(GOOD)
    assert load_cluster(settings).client("web1").image == "web"
    settings.cluster_xml.write_text("<cluster")
    with pytest.raises(DocumentInvalid, match=str(settings.cluster_xml)):
        load_cluster(settings)


def test_the_examples_are_good() -> None:
    folder = Path(__file__).parents[3] / "schemas/examples-cluster"
    examples = sorted(folder.glob("*.xml"))
    assert examples
    for example in examples:
        assert parse_cluster(example.read_bytes(), str(example)).clients
