"""The queue of installs that the server itself serves: BOEL asks, a real si-server answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from si.config import Settings, load_settings
from tests.integration.boel.files import Run
from tests.integration.server_kit import Server, make_store, run_si, running_server, wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """It serves one client at a time; web1 and web2 are armed."""
    settings = make_store(tmp_path / "site")
    with (settings.etc / "si.toml").open("a") as file:
        file.write("[install]\nat_once = 1\n")
    settings = load_settings(root=settings.root, config=None)
    armed = run_si(settings, "mkclientnetboot", "--netboot", "--clients", "web1,web2", "--flavor",
                   "virtio", "--yes")  # fmt: skip
    assert armed.returncode == 0, armed.stderr
    with running_server(settings, "--only", "http") as running:
        yield running


def variables(settings: Settings, client: str) -> dict[str, str]:
    arming: dict[str, Any] = json.loads((settings.clients / client / "arming.json").read_text())
    http = f"http://127.0.0.1:{settings.server.http_port}"
    return {"SI_HTTP": http, "SI_CLIENT": client, "SI_TOKEN": arming["token"]}


def ask(server: Server, client: str, doing: str) -> tuple[int, str]:
    known = variables(server.settings, client)
    status, answer = server.ask(f"/install/{client}/{known['SI_TOKEN']}/turn?doing={doing}", b"")
    return status, answer.decode()


def shown(server: Server) -> str:
    """What si-monitor has to say about web2."""
    rows = json.loads(run_si(server.settings, "monitor", "--json").stdout)["clients"]
    return str(next(row["detail"] for row in rows if row["client"] == "web2"))


def test_who_waits_sees_its_place_and_so_does_the_administrator(server: Server, boel: Run) -> None:
    assert ask(server, "web1", "wait") == (200, "go\n")
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(
            boel, "phase image; wait_turn; echo fetching; ask_turn fetch; end_turn",
            **variables(server.settings, "web2"),
        )  # fmt: skip
        wait_until(lambda: shown(server).startswith("queued: place 1 of 1"), "it is shown")
        assert ask(server, "web1", "leave")[0] == 204
        done: subprocess.CompletedProcess[str] = waiting.result()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "queued: place 1 of 1, waiting since 0 s" in done.stdout
    assert done.stdout.index("its turn has come") < done.stdout.index("fetching")
    assert shown(server) == "its turn has come"
    assert ask(server, "web1", "wait") == (200, "go\n")


def test_an_event_that_ends_an_install_frees_its_turn(server: Server) -> None:
    token = variables(server.settings, "web1")["SI_TOKEN"]
    assert ask(server, "web1", "wait") == (200, "go\n")
    assert ask(server, "web2", "wait") == (200, "wait 1 1 0\n")
    assert server.ask(f"/install/web1/{token}/events?phase=failed", b"")[0] == 204
    assert ask(server, "web2", "wait") == (200, "go\n")


@pytest.mark.parametrize("doing", ["", "dance", "%ff"])
def test_nobody_gets_a_turn_for_anything_else(server: Server, doing: str) -> None:
    assert ask(server, "web1", doing)[0] == 400
    assert server.ask("/install/web1/wrong/turn?doing=wait", b"")[0] == 403
