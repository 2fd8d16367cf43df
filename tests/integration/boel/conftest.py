"""BOEL's shell on this machine: dash, the real programs, and busybox's applets."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from si.boot.closure import parse_programs
from si.boot.flavor import boel_source
from tests.integration.boel.files import Run


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH like BOEL's: its programs first, then busybox's applets, nothing else."""
    folder = tmp_path_factory.mktemp("tools")
    programs, applets = folder / "programs", folder / "applets"
    programs.mkdir()
    applets.mkdir()
    for programs_list in ("programs", "programs.torrent"):
        for item in parse_programs((boel_source() / programs_list).read_text()):
            found = shutil.which(item.name, path="/usr/sbin:/usr/bin:/sbin:/bin")
            if found and not item.name.startswith("/"):
                (programs / item.name).symlink_to(found)
    subprocess.run(["busybox", "--install", "-s", applets], check=True)
    return f"{programs}:{applets}"


@pytest.fixture
def boel(tmp_path: Path, tools: str) -> Run:
    """Runs shell text with BOEL's functions; /run/boel is `tmp_path/state`."""
    state = tmp_path / "state"
    (state / "bundle").mkdir(parents=True)
    (state / "console.log").touch()

    def run(text: str, **variables: str) -> subprocess.CompletedProcess[str]:
        start = f'set -eu\n. "{boel_source()}/lib/functions.sh"\n'
        return subprocess.run(
            ["dash", "-c", start + text],
            env={
                "PATH": tools,
                "BOEL_LIB": str(boel_source() / "lib"),
                "BOEL_STATE": str(state),
                "LC_ALL": "C",
                **variables,
            },
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    return run
