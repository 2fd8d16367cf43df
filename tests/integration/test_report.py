"""The report of an installed system against a real HTTP server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.client_kit import ImageServer, Program, image_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ImageServer]:
    with image_server(tmp_path, {}) as running:
        yield running


@pytest.fixture
def tree(tmp_path: Path, server: ImageServer) -> Path:
    root = tmp_path / "client"
    (root / "etc/systemimager").mkdir(parents=True)
    (root / "run").mkdir()
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    identity = {
        "format": 1,
        "server": f"http://{server.address}",
        "client": "web1",
        "token": "t0ken",
        "image": "web",
        "arch": "x86_64",
        "captured": "2026-11-21T12:00:00Z",
    }
    (root / "etc/systemimager/client.json").write_text(json.dumps(identity))
    return root


def test_an_installed_system_says_what_it_is(
    program: Program, server: ImageServer, tree: Path
) -> None:
    done = program("report", "--root", tree)
    assert done.code == 0, done.stderr
    (event,) = server.events
    assert event.path == "/install/web1/t0ken/events"
    assert event.query["phase"] == ["installed"]
    assert float(event.query["uptime"][0]) > 0
    detail = json.loads(event.body)
    assert detail["image"] == "web"
    assert detail["captured"] == "2026-11-21T12:00:00Z"
    assert detail["hostname"] == os.uname().nodename
    assert detail["kernel"] == os.uname().release
    assert detail["machine_id"] == "0123456789abcdef0123456789abcdef"
    assert detail["root"]["source"]
    assert (tree / "run/systemimager-reported").exists()


def test_a_server_that_is_busy_is_asked_again(
    program: Program, server: ImageServer, tree: Path
) -> None:
    server.refusals += [503]
    done = program("report", "--root", tree)
    assert done.code == 0, done.stderr
    assert "again in 1 s" in done.stderr
    assert len(server.events) == 1


def test_a_refusal_ends_it_at_once(program: Program, server: ImageServer, tree: Path) -> None:
    server.refusals += [403, 403]
    done = program("report", "--root", tree)
    assert done.code == 33
    assert "403: not now" in done.stderr
    assert server.refusals == [403], "it asked again"
    assert not (tree / "run/systemimager-reported").exists()


def test_a_machine_that_no_server_installed_has_nothing_to_report(
    program: Program, tree: Path
) -> None:
    (tree / "etc/systemimager/client.json").unlink()
    assert program("report", "--root", tree).code == 10
