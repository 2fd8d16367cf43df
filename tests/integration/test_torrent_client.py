"""BOEL's client program of the transport torrent, on the stock Python that the initrd has."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest

from si.config import Settings
from si.data import data_path
from si.version.store import PACK, TORRENT, version_path
from si.version.torrent import read_info_hash
from tests.integration import version_kit
from tests.integration.boel.breaking_link import BreakingLink
from tests.integration.boel.lying_peer import lie_about_pieces, speak_noise
from tests.integration.boel.swarm_kit import announce, seeder
from tests.integration.server_kit import Server, free_port, running_server, wait_until

Fetch = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def site(tmp_path: Path) -> Settings:
    settings = version_kit.make_site(tmp_path / "site")
    version_kit.publish(settings)
    return settings


@pytest.fixture
def fetch(site: Settings, tmp_path: Path) -> Iterator[Fetch]:
    """Run it with a folder of its own, and end what shares afterwards."""
    folders: list[Path] = []

    def run(name: str, patience_s: float = 30) -> subprocess.CompletedProcess[bytes]:
        folder = tmp_path / name
        folder.mkdir()
        folders.append(folder)
        torrent = version_path(site, "web", 1) / TORRENT
        tracker = f"http://127.0.0.1:{site.server.http_port}/announce"
        return subprocess.run(
            ["/usr/bin/python3", str(data_path("boel-initrd") / "torrent.py"), str(torrent),
             str(folder), tracker, str(free_port()), str(patience_s)],
            capture_output=True, timeout=180, check=False,
        )  # fmt: skip

    yield run
    for folder in folders:
        with contextlib.suppress(ProcessLookupError):  # it ends by itself when nothing came
            os.kill(sharing(folder), signal.SIGKILL)


def sharing(folder: Path) -> int:
    """The process that shares what was fetched into `folder`."""
    return int((folder / "pid").read_text())


def pack(settings: Settings) -> bytes:
    return (version_path(settings, "web", 1) / PACK).read_bytes()


def test_the_pack_comes_whole_and_in_order(site: Settings, fetch: Fetch, tmp_path: Path) -> None:
    with running_server(site, "--only", "http,torrent"):
        done = fetch("one")
    assert (done.returncode, done.stdout == pack(site)) == (0, True), done.stderr
    # One that has ended, and that nobody has asked about, still has its number but no program.
    assert Path(f"/proc/{sharing(tmp_path / 'one')}/exe").readlink().name.startswith("python")


def test_who_has_it_gives_it_on_when_the_server_has_no_seeder_any_more(
    site: Settings, fetch: Fetch
) -> None:
    with running_server(site, "--only", "http,torrent"):
        assert fetch("one").returncode == 0
        # It has told the tracker that it is there, and will not for a while.
    with running_server(site, "--only", "http"):
        second = fetch("two", patience_s=60)
    assert (second.returncode, second.stdout == pack(site)) == (0, True), second.stderr


def test_who_came_first_hears_of_the_others_soon(
    site: Settings, fetch: Fetch, tmp_path: Path
) -> None:
    """Nobody had the pack when it asked the tracker: libtorrent alone would ask again after five
    minutes. The seeder answers nobody who finds it without the tracker."""
    with (
        running_server(site, "--only", "http") as server,
        seeder(site, tmp_path / "far") as port,
        contextlib.closing(BreakingLink(port)) as link,
        ThreadPoolExecutor() as pool,
    ):
        coming = pool.submit(fetch, "one", patience_s=60)
        wait_until(lambda: announced(server) == 1, "it has asked the tracker")
        announce(site, link.port)
        done = coming.result()
    assert (done.returncode, done.stdout == pack(site)) == (0, True), done.stderr


def announced(server: Server) -> int:
    """How many the tracker knows of that want the pack; nobody is told of who asks."""
    info_hash = read_info_hash((version_path(server.settings, "web", 1) / TORRENT).read_bytes())
    _, answer = server.ask(
        f"/announce?info_hash={quote_from_bytes(info_hash, safe='')}&peer_id={'y' * 20}&port=9"
        "&event=stopped"
    )
    found = re.search(rb"10:incompletei(\d+)e", answer)
    assert found is not None, answer
    return int(found[1])


def test_nobody_has_it(site: Settings, fetch: Fetch) -> None:
    with running_server(site, "--only", "http"):
        done = fetch("one", patience_s=1)
    assert done.returncode == 3
    assert b"no peer sent anything for 1 s" in done.stderr
    assert done.stdout == b""


def test_a_spoiled_pack_brings_no_wrong_bytes(site: Settings, fetch: Fetch) -> None:
    data = bytearray(pack(site))
    data[len(data) // 2] ^= 1
    whole = pack(site)
    (version_path(site, "web", 1) / PACK).write_bytes(data)
    with running_server(site, "--only", "http,torrent"):
        done = fetch("one", patience_s=3)
    assert done.returncode == 3
    assert whole.startswith(done.stdout)
    assert len(done.stdout) < len(whole)


@pytest.mark.parametrize("speak", [speak_noise, lie_about_pieces])
def test_a_peer_that_sends_garbage_spoils_nothing(
    site: Settings, fetch: Fetch, speak: Callable[[socket.socket], bool]
) -> None:
    """One that says anything but what a peer says; one that has all, and sends other bytes."""
    with (
        running_server(site, "--only", "http,torrent"),
        socket.create_server(("127.0.0.1", 0)) as door,
        ThreadPoolExecutor() as pool,
    ):
        spoke = pool.submit(speak, door)
        announce(site, door.getsockname()[1])
        done = fetch("one", patience_s=60)
        assert spoke.result(30), "nobody asked the peer for anything"
    assert (done.returncode, done.stdout == pack(site)) == (0, True), done.stderr


def test_who_unpacks_is_gone(site: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    torrent = version_path(site, "web", 1) / TORRENT
    tracker = f"http://127.0.0.1:{site.server.http_port}/announce"
    program = data_path("boel-initrd") / "torrent.py"
    line = (
        f"{{ /usr/bin/python3 {program} {torrent} {folder} {tracker} {free_port()} 30;"
        " echo $? >code; } | head -c 10 >/dev/null"
    )
    with running_server(site, "--only", "http,torrent"):
        subprocess.run(["sh", "-c", line], cwd=tmp_path, timeout=60, check=True)
    assert (tmp_path / "code").read_text() == "1\n"
