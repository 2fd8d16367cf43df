"""The tracker of a running si-server: peers find each other, and nobody else learns anything."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any
from urllib.parse import quote_from_bytes

import libtorrent
import pytest

from si.serve.published import read_torrent
from si.version.torrent import read_info_hash
from tests.integration import server_kit, version_kit
from tests.integration.server_kit import Server, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("site")
    settings = version_kit.make_site(root)
    version_kit.publish(settings)
    with running_server(settings, "--only", "http,torrent") as running:
        yield running


def info_hash(server: Server, number: int = 1) -> bytes:
    return read_info_hash(read_torrent(version_kit.version(server.settings, number)))


def announce(
    server: Server, *, source: str, port: int = 5000, more: str = "", wanted: bytes | None = None
) -> Any:
    hashed = quote_from_bytes(wanted or info_hash(server), safe="")
    query = f"info_hash={hashed}&peer_id={'x' * 20}&port={port}&left=1{more}"
    status, body = server.ask(f"/announce?{query}", source=source)
    assert status == 200
    return decoded(body)


def decoded(body: bytes) -> Any:
    """What libtorrent reads."""
    return libtorrent.bdecode(body)


def peers(answer: Any) -> set[tuple[str, int]]:
    text = answer[b"peers"]
    return {
        (str(IPv4Address(text[at : at + 4])), int.from_bytes(text[at + 4 : at + 6], "big"))
        for at in range(0, len(text), 6)
    }


def test_peers_hear_of_each_other_and_of_the_server(server: Server) -> None:
    own = ("127.0.0.1", server.settings.server.torrent_port)
    assert peers(announce(server, source="127.0.0.21")) == {own}
    assert peers(announce(server, source="127.0.0.22", port=5001)) == {own, ("127.0.0.21", 5000)}
    announce(server, source="127.0.0.21", more="&event=stopped")
    assert peers(announce(server, source="127.0.0.23")) == {own, ("127.0.0.22", 5001)}


def test_an_address_in_the_query_counts_for_nothing(server: Server) -> None:
    announce(server, source="127.0.0.31", more="&ip=127.0.0.99&ipv4=127.0.0.98")
    told = {address for address, _ in peers(announce(server, source="127.0.0.32"))}
    assert "127.0.0.31" in told
    assert not told & {"127.0.0.98", "127.0.0.99"}


def test_a_hash_that_nobody_published(server: Server) -> None:
    for _ in range(2):
        answer = announce(server, source="127.0.0.41", wanted=b"\xff" * 20)
        assert set(answer) == {b"failure reason"}


def test_a_version_is_known_soon_after_it_was_published(server: Server) -> None:
    version_kit.publish(server.settings, full=True)
    (version_kit.tree_of(server.settings) / "etc/new").write_text("new\n")
    published = version_kit.publish(server.settings)
    fresh = info_hash(server, published.version.name.number or 0)
    server_kit.wait_until(
        lambda: b"peers" in announce(server, source="127.0.0.51", wanted=fresh),
        "the tracker knows the new version",
    )


@pytest.mark.parametrize(
    "query", ["", "info_hash=x&peer_id=y&port=1", f"key={'z' * 5000}", "info_hash=%zz&port=0"]
)
def test_what_is_no_announce_gets_a_reason(server: Server, query: str) -> None:
    status, body = server.ask(f"/announce?{query}")
    assert (status, set(decoded(body))) == (200, {b"failure reason"})


def test_an_endless_query(server: Server) -> None:
    assert server.ask(f"/announce?{'a' * 100_000}")[0] == 400


def test_who_is_outside_of_the_networks_learns_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("closed")
    settings = server_kit.make_store(root, networks=("127.0.0.1/32",))
    with running_server(settings, "--only", "http") as closed:
        status, body = closed.ask("/announce?info_hash=x", source="127.0.0.2")
    assert (status, b"failure" in body) == (403, False)
