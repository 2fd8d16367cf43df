"""What peers may ask the tracker, and the bytes of its answers."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any
from urllib.parse import quote_from_bytes

import libtorrent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.serve.announce import (
    MOST_WANTED,
    AnnounceInvalid,
    Bencoded,
    bencode,
    parse_announce,
    render_answer,
    render_refusal,
)
from si.serve.swarm import Member

GOOD = f"info_hash={'%ff' * 20}&peer_id=-XX0000-abcdefghijkl&port=6881&left=10"
MEMBERS = (
    Member(IPv4Address("10.0.0.1"), 6881, b"a" * 20),
    Member(IPv4Address("10.0.0.255"), 255, b"b" * 20),
)


def decoded(data: bytes) -> Any:
    """What libtorrent reads."""
    return libtorrent.bdecode(data)


@given(st.binary(min_size=20, max_size=20), st.binary(min_size=20, max_size=20))
def test_any_twenty_bytes_survive_the_query(info_hash: bytes, peer_id: bytes) -> None:
    hashed, named = quote_from_bytes(info_hash, safe=""), quote_from_bytes(peer_id, safe="")
    announce = parse_announce(f"info_hash={hashed}&peer_id={named}&port=1")
    assert (announce.info_hash, announce.peer_id) == (info_hash, peer_id)


def test_what_a_peer_says() -> None:
    announce = parse_announce(f"{GOOD}&event=stopped&numwant=7&compact=0&uploaded=1&key=zz")
    assert (announce.port, announce.stopped, announce.wanted) == (6881, True, 7)
    assert (announce.compact, announce.complete) == (False, False)
    assert parse_announce(GOOD.replace("left=10", "left=0")).complete


def test_numwant_is_bounded() -> None:
    assert parse_announce(f"{GOOD}&numwant=1000000").wanted == MOST_WANTED
    assert parse_announce(f"{GOOD}&numwant=0").wanted == 0


@pytest.mark.parametrize(
    "query",
    [
        "",
        "port=6881",
        GOOD.replace("6881", "0"),
        GOOD.replace("6881", "65536"),
        GOOD.replace("6881", "-1"),
        GOOD.replace("6881", "%D9%A1"),
        GOOD.replace("%ff", "%f", 1),
        GOOD.replace("abcdefghijkl", ""),
        f"{GOOD}&port=22",
        f"{GOOD}&numwant={'9' * 400}",
        f"{GOOD}&numwant=",
        f"{GOOD}&key={'x' * 2000}",
    ],
)
def test_what_is_no_announce_is_refused(query: str) -> None:
    with pytest.raises(AnnounceInvalid):
        parse_announce(query)


@given(st.text())
def test_no_query_does_anything_else(query: str) -> None:
    try:
        parse_announce(query)
    except AnnounceInvalid as error:
        assert b"failure reason" in decoded(render_refusal(str(error)))


def test_peers_are_six_bytes_each() -> None:
    answer = decoded(
        render_answer(MEMBERS, interval_s=30, least_s=5, complete=1, incomplete=2, compact=True)
    )
    assert answer[b"peers"] == b"\x0a\x00\x00\x01\x1a\xe1\x0a\x00\x00\xff\x00\xff"
    assert (answer[b"interval"], answer[b"min interval"]) == (30, 5)
    assert (answer[b"complete"], answer[b"incomplete"]) == (1, 2)


def test_peers_in_words() -> None:
    answer = decoded(
        render_answer(MEMBERS, interval_s=30, least_s=5, complete=0, incomplete=0, compact=False)
    )
    assert answer[b"peers"][1] == {b"ip": b"10.0.0.255", b"peer id": b"b" * 20, b"port": 255}


# libtorrent, the other reader, takes the lowest of 64 bits for 0.
whole = st.integers(-(1 << 63) + 1, (1 << 63) - 1)


@given(
    st.recursive(
        whole | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.binary(), inner),
        max_leaves=8,
    )
)
def test_another_reader_understands_our_encoding(value: Bencoded) -> None:
    assert decoded(bencode({b"v": value})) == {b"v": value}
