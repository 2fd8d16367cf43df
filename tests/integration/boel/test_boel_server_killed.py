"""A server that is killed while an image travels, and comes back: a pause, not a failure."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.lab.proof import count_differences
from si.config import Settings
from si.version.store import PACK
from tests.integration import server_kit, version_kit
from tests.integration.boel.files import Run
from tests.integration.boel.library import lay_out_boel
from tests.integration.golden_source import write

Install = Callable[[], subprocess.CompletedProcess[str]]
LARGE = 64 << 20
"""More than what the kernel keeps of a connection whose other end is away."""


@pytest.fixture
def site(tmp_path: Path) -> Settings:
    site = version_kit.make_site(tmp_path / "site")
    write(version_kit.tree_of(site) / "usr/very-large", random.Random(3).randbytes(LARGE))
    version_kit.age(version_kit.tree_of(site))
    version_kit.publish(site)
    return site


@pytest.fixture
def install(site: Settings, tmp_path: Path, boel: Run, transport: str) -> Install:
    """Have BOEL install web@1 into the folder `new`."""
    library, state, place = tmp_path / "lib", tmp_path / "state", tmp_path / "new"
    lay_out_boel(site, library, state)
    place.mkdir()
    text = f'wait_turn() {{ :; }}\ntrap \'stop_sharing "{place}"\' EXIT\nfetch_image "{place}"'

    def run() -> subprocess.CompletedProcess[str]:
        return boel(
            text, SI_IMAGE="web", SI_VERSION="1", SI_TRANSPORT=transport, BOEL_LIB=str(library),
            SI_HTTP=f"http://127.0.0.1:{site.server.http_port}",
        )  # fmt: skip

    return run


@pytest.mark.parametrize("transport", ["http", "torrent"])
def test_a_server_that_is_killed_and_comes_back_costs_a_pause(
    install: Install, site: Settings, tmp_path: Path
) -> None:
    place = tmp_path / "new"
    with ThreadPoolExecutor() as pool:
        with server_kit.running_server(site, "--only", "http,torrent") as server:
            coming = pool.submit(install)
            server_kit.wait_until(lambda: arrived(place) > 1 << 20, "a part has arrived")
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
        assert not coming.done()
        assert not whole(site, place)
        with server_kit.running_server(site, "--only", "http,torrent"):
            done = coming.result()
    assert done.returncode == 0, done.stdout + done.stderr
    assert count_differences(version_kit.tree_of(site), place) == []


def arrived(place: Path) -> int:
    """Bytes on the disk below `place`, staged or unpacked."""
    return sum(512 * path.lstat().st_blocks for path in place.rglob("*"))


def whole(site: Settings, place: Path) -> bool:
    """Whether all of the pack has come."""
    largest, staged = place / "usr/very-large", place / ".boel" / PACK
    pack = version_kit.version(site).path / PACK
    if staged.exists():
        return 512 * staged.stat().st_blocks >= pack.stat().st_size
    return largest.exists() and largest.stat().st_size == LARGE
