"""SystemImager's own cluster.xml."""

from __future__ import annotations

import pytest

from si.cluster import parse_cluster
from si.errors import DocumentInvalid

GOOD = """<?xml version="1.0"?>
<xml>
  <master>imageserver</master>
  <name>all</name>
  <override>all</override>
  <override>site</override>
  <group>
    <name>Web</name>
    <priority>20</priority>
    <image>webimage</image>
    <override>web-a</override>
    <override>web-b</override>
    <node>web9-web11,</node>
    <node>
\t\tfront1
    </node>
    <ip-range>10.0.0.9-10.0.0.12</ip-range>
    <domain>Example.ORG</domain>
  </group>
  <group>
    <name>first</name>
    <priority>10</priority>
    <image>other</image>
    <node>web9</node>
  </group>
</xml>
"""


def test_groups_images_overrides_and_addresses_are_taken_over() -> None:
    cluster = parse_cluster(GOOD, "cluster.xml")
    web9 = cluster.client("web9")
    assert web9.groups == ("first", "Web")
    assert web9.image == "other"
    assert web9.overrides == ("other", "site", "all", "web-b", "web-a", "web9")
    pairs = [(name, str(cluster.client(name).ip)) for name in cluster.expand("@Web")]
    assert pairs == [
        ("front1", "10.0.0.9"),
        ("web10", "10.0.0.10"),
        ("web11", "10.0.0.11"),
        ("web9", "10.0.0.12"),
    ]
    assert web9.network.domain == "example.org"
    assert cluster.client("front1").image == "webimage"
    assert cluster.all_name == "all"


BAD = """<xml>
  <group>
    <name>a</name>
    <dynamic_node>rm -rf /</dynamic_node>
    <base_image>x</base_image>
    <priority>high</priority>
    <node>web1</node>
    <ip-range>10.0.0.1-10.0.0.2</ip-range>
  </group>
  <group><node>b/c</node><color/></group>
  <group>
    <name>c</name><name>d</name>
    <ip-range>web1-web2</ip-range>
  </group>
</xml>
"""
FAULTS = [
    (1, "<xml> lacks its name"),
    (1, "<xml> lacks its override"),
    (4, "<dynamic_node> is refused"),
    (5, "<base_image> is obsolete"),
    (6, "priority 'high'"),
    (8, "2 addresses for the 1 clients"),
    (10, "<group> lacks its name"),
    (10, "'b/c' cannot be the name"),
    (10, "<color> cannot stand"),
    (12, "a second <name>"),
    (13, "not a range of IPv4 addresses"),
]


def test_its_faults_come_all_at_once() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        parse_cluster(BAD, "cluster.xml")
    told = [(problem.line, problem.message) for problem in caught.value.problems]
    assert len(told) == len(FAULTS), told
    for line, word in FAULTS:
        assert any(at == line and word in message for at, message in told), (line, word, told)
