"""BOEL's scripts, read by shellcheck and by the shell that runs them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from si.boot.flavor import boel_source

SCRIPTS = sorted(
    path
    for path in boel_source().rglob("*")
    if path.is_file() and (path.suffix == ".sh" or path.name in {"init", "udevadm"})
)


def test_all_scripts_are_looked_at() -> None:
    others = {"programs", "programs.torrent", "modules.standard", "modules.virtio", "torrent.py"}
    files = {path for path in boel_source().rglob("*") if path.is_file()}
    awk = {"compare.awk", "manifest.awk", "missing.awk"}  # what runs them tests them
    assert {path.name for path in files - set(SCRIPTS)} == others | awk


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_reads_it(script: Path) -> None:
    subprocess.run(["dash", "-n", script], check=True)


def test_shellcheck() -> None:
    options = ["--shell=sh", "--external-sources", "--source-path=SCRIPTDIR"]
    done = subprocess.run(["shellcheck", *options, *SCRIPTS], capture_output=True, text=True)
    assert done.stdout == ""
    assert done.returncode == 0
