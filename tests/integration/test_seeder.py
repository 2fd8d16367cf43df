"""The seeder of a running si-server, with stock BitTorrent clients as its peers."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from si.config import Settings
from si.serve.published import read_torrent
from si.version.store import PACK, TORRENT, version_path
from si.version.torrent import read_info_hash
from tests.integration import version_kit
from tests.integration.server_kit import Server, free_port, run_si, running_server, wait_until

HELLO = b"\x13BitTorrent protocol"


@pytest.fixture
def site(tmp_path: Path) -> Settings:
    settings = version_kit.make_site(tmp_path)
    version_kit.publish(settings)
    return settings


@pytest.fixture
def server(site: Settings) -> Iterator[Server]:
    with running_server(site, "--only", "http,torrent") as running:
        yield running


def aria2c(server: Server, folder: Path, *, number: int = 1, tries_s: int = 60) -> int:
    """Download a version with aria2c, which is told of the tracker alone; its exit code."""
    tracker = f"http://127.0.0.1:{server.settings.server.http_port}/announce"
    torrent = version_path(server.settings, "web", number) / TORRENT
    return subprocess.run(
        ["aria2c", "--no-conf", f"--dir={folder}", "--seed-time=0", "--enable-dht=false",
         "--disable-ipv6", "--bt-enable-lpd=false", f"--bt-tracker={tracker}",
         f"--listen-port={free_port()}", f"--bt-stop-timeout={tries_s}", "--bt-tracker-interval=1",
         "--file-allocation=none", "--summary-interval=0", "--console-log-level=error",
         "--check-integrity=true", str(torrent)],
        stdout=subprocess.DEVNULL, timeout=120, check=False,
    ).returncode  # fmt: skip


def pack(settings: Settings, number: int = 1) -> Path:
    return version_path(settings, "web", number) / PACK


def seeds(server: Server, number: int = 1) -> bool:
    """Whether the seeder shakes hands over this version's torrent."""
    return shakes_hands(server, torrent_hash(server, number))


def torrent_hash(server: Server, number: int = 1) -> bytes:
    return read_info_hash(read_torrent(version_kit.version(server.settings, number)))


def shakes_hands(server: Server, info_hash: bytes, *, source: str = "127.0.0.1") -> bool:
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection(
            ("127.0.0.1", server.settings.server.torrent_port), 5, (source, 0)
        ) as link,
    ):
        link.sendall(HELLO + bytes(8) + info_hash + b"-XX0000-abcdefghijkl")
        return link.recv(20) == HELLO
    return False


def test_a_stock_client_gets_the_same_bytes_and_nothing_is_written(
    server: Server, tmp_path: Path
) -> None:
    folder = version_path(server.settings, "web", 1)
    before = {path.name: path.stat() for path in folder.iterdir()}
    assert aria2c(server, tmp_path / "got") == 0
    assert (tmp_path / "got" / PACK).read_bytes() == pack(server.settings).read_bytes()
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == {
        name: stat.st_mtime_ns for name, stat in before.items()
    }


def test_garbage_harms_nobody(server: Server, tmp_path: Path) -> None:
    port = server.settings.server.torrent_port
    info_hash = torrent_hash(server)
    greeting = HELLO + bytes(8) + info_hash + b"-XX0000-abcdefghijkl"
    for words in (
        os.urandom(4096),
        b"GET / HTTP/1.1\r\n\r\n",
        HELLO + bytes(48),
        greeting + b"\xff\xff\xff\xff" + os.urandom(512),
        greeting + b"\x00\x00\x00\x0d\x06" + b"\xff" * 12,
        greeting + b"\x00\x00\x00\x0d\x06" + bytes(8) + b"\x7f\xff\xff\xff",
        greeting + b"\x00\x00\x40\x09\x07" + bytes(8) + os.urandom(16384),
    ):
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection(("127.0.0.1", port), 10) as link,
        ):
            link.sendall(words)
            link.shutdown(socket.SHUT_WR)
            while link.recv(65536):
                pass
    assert server.process.poll() is None
    assert aria2c(server, tmp_path / "got") == 0
    assert (tmp_path / "got" / PACK).read_bytes() == pack(server.settings).read_bytes()


def test_it_follows_what_is_published_and_what_is_removed(server: Server) -> None:
    settings = server.settings
    (version_kit.tree_of(settings) / "etc/new").write_text("new\n")
    version_kit.publish(settings)
    gone = torrent_hash(server)
    wait_until(lambda: seeds(server, 2), "the new version is seeded")
    shutil.rmtree(version_path(settings, "web", 1))
    wait_until(lambda: not shakes_hands(server, gone), "the removed version is not seeded")
    assert seeds(server, 2)


def test_a_pack_that_was_cut_off_is_not_seeded(site: Settings) -> None:
    with pack(site).open("r+b") as file:
        file.truncate(100_000)
    with running_server(site, "--only", "torrent") as server:
        assert not seeds(server)
        assert "web@1 is not shared" in server.words()
    assert pack(site).stat().st_size == 100_000


def test_a_spoiled_pack_gives_no_wrong_bytes_and_is_not_touched(
    site: Settings, tmp_path: Path
) -> None:
    data = bytearray(pack(site).read_bytes())
    data[len(data) // 2] ^= 1
    pack(site).write_bytes(data)
    with running_server(site, "--only", "http,torrent") as server:
        assert seeds(server)
        assert aria2c(server, tmp_path / "got", tries_s=3) != 0
        wait_until(lambda: "web@1 is not shared" in server.words(), "it says so")
        assert not seeds(server)
    assert pack(site).read_bytes() == data


def test_who_is_outside_of_the_networks_gets_no_handshake(tmp_path: Path) -> None:
    settings = version_kit.make_site(tmp_path, networks=("127.0.0.1/32",))
    version_kit.publish(settings)
    with running_server(settings, "--only", "torrent") as closed:
        assert shakes_hands(closed, torrent_hash(closed))
        assert not shakes_hands(closed, torrent_hash(closed), source="127.0.0.2")


def test_check_names_what_is_spoiled(site: Settings) -> None:
    (version_kit.tree_of(site) / "etc/new").write_text("new\n")
    version_kit.publish(site)
    whole = run_si(site, "server", "--check")
    assert (whole.returncode, whole.stdout.count("as it was published")) == (0, 2)
    with pack(site, 2).open("r+b") as file:
        file.truncate(100_000)
    data = bytearray(pack(site).read_bytes())
    data[-1] ^= 1
    pack(site).write_bytes(data)
    spoiled = run_si(site, "server", "--check")
    assert spoiled.returncode == 61
    first, second = spoiled.stdout.splitlines()
    assert "web@1" in first
    assert "spoiled between bytes" in first
    assert "web@2" in second
    assert "cut off at byte 100000" in second
