"""What `auto` means, by how many clients are armed with the same version."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from si.boot.arming import load_arming
from si.config import Settings
from si.monitor.events import append_event
from si.monitor.state import Event, Phase
from si.serve.transport import Way, choose_way
from tests.integration import version_kit
from tests.integration.server_kit import run_si

HTTP, SWARM = Way("http"), Way("torrent", fallback="http")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = version_kit.make_site(tmp_path)
    version_kit.publish(settings)
    return settings


def arm(settings: Settings, clients: str, transport: str = "auto") -> None:
    done = run_si(settings, "mkclientnetboot", "--netboot", "--clients", clients, "--flavor",
                  "virtio", "--arch", "x86_64", "--transport", transport, "--yes")  # fmt: skip
    assert done.returncode == 0, done.stderr


def way(settings: Settings, client: str = "web1") -> Way:
    arming = load_arming(settings, client)
    assert arming is not None
    return choose_way(settings, arming)


def tell(settings: Settings, client: str, phase: Phase) -> None:
    append_event(settings, client, Event(datetime.now(UTC), phase, 10.0))


def test_one_client_gets_a_stream_and_two_are_a_swarm(settings: Settings) -> None:
    arm(settings, "web1")
    assert way(settings) == HTTP
    arm(settings, "web2")
    assert (way(settings), way(settings, "web2")) == (SWARM, SWARM)
    tell(settings, "web2", Phase.STARTED)
    assert way(settings) == SWARM
    tell(settings, "web2", Phase.WRITTEN)
    assert way(settings) == HTTP


def test_who_installs_something_else_or_otherwise_shares_nothing(settings: Settings) -> None:
    arm(settings, "web1")
    arm(settings, "web2", "http")
    assert (way(settings), way(settings, "web2")) == (HTTP, HTTP)
    arm(settings, "web2", "torrent")
    assert (way(settings), way(settings, "web2")) == (SWARM, Way("torrent"))
    (version_kit.tree_of(settings) / "etc/new").write_text("new\n")
    version_kit.publish(settings)
    arm(settings, "web2")
    assert (way(settings), way(settings, "web2")) == (HTTP, HTTP)


def test_a_flavor_that_knows_no_torrent_is_no_obstacle(settings: Settings) -> None:
    (settings.flavors / "x86_64/virtio/torrent.img").unlink()
    arm(settings, "web1,web2")
    assert way(settings) == HTTP
    refused = run_si(settings, "mkclientnetboot", "--netboot", "--clients", "web1", "--flavor",
                     "virtio", "--arch", "x86_64", "--transport", "torrent", "--yes")  # fmt: skip
    assert (refused.returncode, "that can install by torrent" in refused.stderr) == (29, True)
