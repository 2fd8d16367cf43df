"""SystemImager's range rules by its own test vectors, and ClusterShell's on top."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.cluster.ranges import (
    MAX_NAMES,
    expand_addresses,
    expand_hostrange,
    expand_range,
    fold_names,
)
from si.errors import NameInvalid, RangeInvalid, SIError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("10.0.0.254-10.0.1.1", ["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"]),
        ("0.0.0.0-0.0.0.2", ["0.0.0.0-0.0.0.2"]),
        ("node1-3", ["node1-3"]),
        ("node3-node1", ["node3-node1"]),
        ("n1-n3.dom", ["n1-n3.dom"]),
        ("n1.dom-n3.dom", ["n1.dom", "n2.dom", "n3.dom"]),
        ("rack1-node2", ["rack1-node2"]),
        ("n1b-n3b", ["n1b-n3b"]),
        ("a1-a2-a3", ["a1-a2-a3"]),
        ("r1n1-r1n3", ["r1n1", "r1n2", "r1n3"]),
        ("node08-node11", ["node08", "node09", "node10", "node11"]),
        ("node9-node11", ["node10", "node11", "node9"]),
        ("node998-node1000", ["node1000", "node998", "node999"]),
        (r"a\-1-a\-3", ["a-1", "a-2", "a-3"]),
        (r"web\-1", ["web-1"]),
        ("b,a\n b", ["a", "b"]),
        ("", []),
    ],
)
def test_systemimager_ranges_mean_what_they_meant(text: str, names: list[str]) -> None:
    assert list(expand_hostrange(text)) == names


def test_padding_is_that_of_the_start_and_grows() -> None:
    names = expand_hostrange("node001-node1000")
    assert len(names) == 1000
    assert {"node001", "node099", "node999", "node1000"} <= set(names)


GROUPS = {"web": ("web1", "web2", "web3"), "db": ("db1",), "none": ()}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("web[001-003]", "web001 web002 web003"),
        ("web[1,3-4],db1", "db1 web1 web3 web4"),
        ("rack[1-2]n[1-2]", "rack1n1 rack1n2 rack2n1 rack2n2"),
        ("web[1-9/4]", "web1 web5 web9"),
        ("web1-web3,x[1-2]", "web1 web2 web3 x1 x2"),
        ("@web", "web1 web2 web3"),
        ("web", "web1 web2 web3"),
        ("@web!web2", "web1 web3"),
        ("@web&web[2-9]", "web2 web3"),
        ("web1-web3^web[3-4]", "web1 web2 web4"),
        ("x1,@web&@web!web1", "web2 web3"),
        ("@db web9\n\tx", "db1 web9 x"),
        ("@none,db1", "db1"),
        ("web1-3", "web1-3"),
    ],
)
def test_clustershell_ranges_and_groups(text: str, names: str) -> None:
    assert expand_range(text, group=GROUPS.get) == tuple(names.split())


def test_a_client_named_like_a_group_is_the_client() -> None:
    assert expand_range("db", group=GROUPS.get, is_client={"db"}.__contains__) == ("db",)


@pytest.mark.parametrize(
    "text",
    [
        *("", " , ", "web1!web1", "@none", "@nowhere", "web[1-", "web[1-3]]", "web[]", "web[3-1]"),
        *("web1!", "web1!&web2", "[", "web[1-99999999999]", "web[1-70000]", "a[1-300]b[1-300]"),
        *("a1-a99999999999999999999999999", "a1-a99999999", "1.0.0.1-9.0.0.1", "web[a]"),
    ],
)
def test_what_cannot_be_read_or_names_nothing_is_an_error_with_a_hint(text: str) -> None:
    with pytest.raises(RangeInvalid) as caught:
        expand_range(text, group=GROUPS.get)
    assert caught.value.hint


def test_an_open_bracket_is_named_with_the_range_that_it_stands_in() -> None:
    with pytest.raises(RangeInvalid, match=re.escape("'web[1-': '[' is not closed")):
        expand_range("web[1-")


@pytest.mark.parametrize("text", ["../x", "-a", "web*", "a/b", "a;b", "web%s", "x" * 129])
def test_names_that_no_client_can_have_are_refused(text: str) -> None:
    with pytest.raises(NameInvalid):
        expand_range(text)


def test_many_small_ranges_are_bounded_too() -> None:
    text = ",".join(f"a{i}n1-a{i}n60000" for i in range(3))
    with pytest.raises(RangeInvalid, match=str(MAX_NAMES)):
        expand_range(text)


@given(st.text(alphabet="ab19.-[],!&^@ \\\n", max_size=30))
def test_any_text_gives_names_or_a_clear_error(text: str) -> None:
    try:
        names = expand_range(text, group=GROUPS.get)
    except SIError:
        return
    assert names == tuple(sorted(set(names)))
    assert names


@given(st.integers(0, 2000), st.integers(0, 200), st.integers(1, 6))
def test_both_syntaxes_agree(start: int, more: int, width: int) -> None:
    first, last = f"{start:0{width}d}", f"{start + more:0{width}d}"
    if len(first) == len(last):
        assert expand_range(f"n{first}-n{last}") == expand_range(f"n[{first}-{last}]")


def test_addresses_come_in_numeric_order() -> None:
    found = expand_addresses("10.0.0.9-10.0.0.11")
    assert found == tuple(IPv4Address(f"10.0.0.{n}") for n in (9, 10, 11))
    with pytest.raises(RangeInvalid):
        expand_addresses("web1-web3")


@given(
    st.sets(
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,7}", fullmatch=True).filter(
            lambda name: ".." not in name
        )
        | st.sampled_from(["web1", "web2", "web10", "web02", "a1-a3", "web-1", "r1n1", "r1n2"]),
        min_size=1,
    )
)
def test_folded_names_expand_to_themselves(names: set[str]) -> None:
    assert set(expand_range(fold_names(names))) == names


def test_folded_names_are_short() -> None:
    assert fold_names(["web1", "web2", "web10", "db"]) == "db,web[1-2,10]"
