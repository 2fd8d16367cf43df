"""A server with two versions, and a machine that has the first of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.installed_kit import install, make_two_versions
from tests.integration.server_kit import Server, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with web@1, and web@2 that differs in every way."""
    settings = make_two_versions(tmp_path_factory.mktemp("site"))
    with running_server(settings, "--only", "http,rsync") as running:
        yield running


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Path:
    """A machine with web@1."""
    return install(server.settings, tmp_path / "tree", 1)
