"""The contract that every transport passes: BOEL's own fetchers against a real si-server."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from scripts.lab.proof import count_differences
from scripts.lab.specimens import plant_specimens
from si.boot.arming import Transport
from si.config import Settings
from si.serve.rsyncd import write_rsyncd_conf
from si.version.store import PACK
from si.version.tree import ensure_tree
from tests.integration import server_kit, version_kit
from tests.integration.boel.breaking_link import BreakingLink
from tests.integration.boel.files import Run
from tests.integration.boel.library import lay_out_boel
from tests.integration.boel.swarm_kit import announce, seeder

Fetch = Callable[..., subprocess.CompletedProcess[str]]
ROOM = 2 << 20
"""Far less than web@1 takes."""
PEERS = [6881]
"""Ports of which the tracker may know from an earlier test."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A server that hands out web@1, by everything."""
    root = tmp_path_factory.mktemp("site")
    settings = version_kit.make_site(root)
    tree = version_kit.tree_of(settings)
    (tree / "home/alice").mkdir(parents=True)
    plant_specimens(tree)
    version_kit.plant_late_links(tree)
    (tree / version_kit.SOCKET[1:]).unlink()
    version_kit.publish(settings)
    ensure_tree(settings, version_kit.version(settings))
    write_rsyncd_conf(settings)
    with server_kit.running_server(settings, "--only", "http,rsync"):
        yield settings


@pytest.fixture(params=get_args(Transport))
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def link(settings: Settings, transport: str, tmp_path: Path) -> Iterator[BreakingLink]:
    """Over which the tree comes."""
    with contextlib.ExitStack() as stack:
        ports = {"http": settings.server.http_port, "rsync": settings.server.rsync_port}
        if transport == "torrent":
            ports["torrent"] = stack.enter_context(seeder(settings, tmp_path / "seeder"))
        link = BreakingLink(ports[transport])
        stack.callback(link.close)
        if transport == "torrent":
            announce(settings, link.port, gone=PEERS)
            PEERS[:] = [link.port, 6881]
        yield link


@pytest.fixture
def web(settings: Settings, transport: str, link: BreakingLink) -> Iterator[BreakingLink]:
    """Over which the rest comes; the same link for http."""
    if transport != "torrent":
        yield link
        return
    web = BreakingLink(settings.server.http_port)
    yield web
    web.close()


@pytest.fixture
def fetch(
    boel: Run,
    tmp_path: Path,
    settings: Settings,
    transport: str,
    link: BreakingLink,
    web: BreakingLink,
) -> Fetch:
    """Have BOEL fetch web@1 over the links into a folder."""
    library, state = tmp_path / "lib", tmp_path / "state"
    lay_out_boel(settings, library, state)

    def run(place: Path, **more: str) -> subprocess.CompletedProcess[str]:
        # How to wait for a turn is tried in test_boel_turns.
        quick = "sleep() { :; }\nwait_turn() { :; }\n"
        return boel(
            f'{quick}trap \'stop_sharing "{place}"\' EXIT\nfetch_image "{place}"\necho installed',
            SI_IMAGE="web", SI_VERSION="1", SI_TRANSPORT=transport, BOEL_LIB=str(library),
            SI_HTTP=f"http://127.0.0.1:{web.port}", SI_RSYNC=f"rsync://127.0.0.1:{link.port}",
            HTTP_TRIES="3", **{"TORRENT_PATIENCE_S": "60", **more},
        )  # fmt: skip

    return run


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "a"
    folder.mkdir()
    return folder


def test_the_tree_arrives_whole_and_says_so(fetch: Fetch, place: Path, settings: Settings) -> None:
    done = fetch(place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bytes" in done.stdout
    assert "checking" in done.stdout
    assert count_differences(version_kit.tree_of(settings), place) == []


def test_a_connection_that_breaks_is_taken_up_again(
    fetch: Fetch, place: Path, link: BreakingLink
) -> None:
    link.cuts = [3_000_000, 1_000_000]
    done = fetch(place)
    assert link.broken == 2, done.stdout + done.stderr
    assert (done.returncode, "installed" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize("transport", ["torrent"])
@pytest.mark.parametrize("first", [0, 3_300_000], ids=["nothing", "a half"])
def test_what_the_swarm_does_not_give_comes_by_http(
    fetch: Fetch,
    place: Path,
    link: BreakingLink,
    web: BreakingLink,
    settings: Settings,
    first: int,
) -> None:
    link.cuts = [first] + [0] * 1000
    web.cuts = [200_000, 4_000_000, 1_000_000]
    done = fetch(place, TORRENT_PATIENCE_S="5", SI_FALLBACK="http")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the swarm gives nothing; what follows byte" in done.stderr
    assert count_differences(version_kit.tree_of(settings), place) == []


@pytest.mark.parametrize("transport", ["torrent"])
def test_without_the_client_program_all_comes_by_http(
    fetch: Fetch, place: Path, tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "lib/torrent.py").unlink()
    flavor = {"SI_ARCH": "x86_64", "SI_FLAVOR": "old"}
    refused = fetch(place, **flavor)
    assert (refused.returncode, "no torrent.img of the flavor old" in refused.stderr) == (1, True)
    done = fetch(place, SI_FALLBACK="http", **flavor)
    assert (done.returncode, "what follows byte 0 of" in done.stderr) == (0, True), done.stderr
    assert count_differences(version_kit.tree_of(settings), place) == []


def test_a_server_that_is_not_there_is_named(
    fetch: Fetch, place: Path, link: BreakingLink, web: BreakingLink
) -> None:
    link.close()
    web.close()
    done = fetch(place)
    assert (done.returncode, "installed" in done.stdout) == (1, False)
    assert "Connection refused" in done.stderr
    assert "spoiled" not in done.stderr


def test_a_full_disk_is_named(fetch: Fetch, place: Path, tmp_path: Path, transport: str) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(ROOM)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, place], check=True)
    try:
        done = fetch(place)
    finally:
        subprocess.run(["umount", place], check=True)
    assert (done.returncode, "installed" in done.stdout) == (1, False)
    assert 0 < (done.stdout + done.stderr).count("No space left on device") <= 10
    assert ("exit code 11" if transport == "rsync" else "a disk is full") in done.stderr


@pytest.mark.parametrize("place_of_bit", ["first", "middle", "last"])
def test_a_spoiled_source_does_not_pass_for_the_version(
    fetch: Fetch, place: Path, settings: Settings, transport: str, place_of_bit: str
) -> None:
    version = version_kit.version(settings)
    spoiled = version.path / (PACK if transport != "rsync" else "tree/usr/large1")
    good = spoiled.read_bytes()
    bad = bytearray(good)
    bad[{"first": 0, "middle": len(bad) // 2, "last": len(bad) - 1}[place_of_bit]] ^= 1
    spoiled.write_bytes(bad)
    try:
        done = fetch(place, TORRENT_PATIENCE_S="5")
    finally:
        spoiled.write_bytes(good)
    assert (done.returncode, "installed" in done.stdout) == (1, False)
    assert "web@1" in done.stderr
    told = {"http": "cannot be unpacked", "rsync": "./usr/large1", "torrent": "does not come"}
    assert told[transport] in done.stderr


def test_a_version_that_is_gone_is_named(
    fetch: Fetch, place: Path, settings: Settings, transport: str
) -> None:
    version = version_kit.version(settings)
    hidden = version.path.with_name(".hidden")
    version.path.rename(hidden)
    try:
        done = fetch(place)
    finally:
        hidden.rename(version.path)
    assert (done.returncode, "installed" in done.stdout) == (1, False)
    assert ("404" in done.stderr) if transport != "rsync" else ("web@1" in done.stderr)
