"""The wheel in an empty environment: every command starts, and the files it needs are in it."""

from __future__ import annotations

import configparser
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from si.system.run import run

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bin folder of an environment that has the wheel and what it asks for, no more."""
    folder = tmp_path_factory.mktemp("wheel")
    run(["git", "clone", "--quiet", "--no-hardlinks", TOP, folder / "source"])
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, folder / "source"])
    run([sys.executable, "-m", "venv", folder / "empty"])
    wheel = next(folder.glob("si-*.whl"))
    run([folder / "empty/bin/pip", "--quiet", "--disable-pip-version-check", "install", wheel])
    yield folder / "empty/bin"


def test_every_command_starts(programs: Path) -> None:
    setup = configparser.ConfigParser()
    setup.read(TOP / "setup.cfg")
    lines = setup["options.entry_points"]["console_scripts"].split("\n")
    names = [line.partition("=")[0].strip() for line in lines if line]
    assert len(names) > 15
    for name in names:
        assert name in run([programs / name, "--help"], cwd=Path("/")).text


def test_schemas_are_there(programs: Path, tmp_path: Path) -> None:
    document = TOP / "schemas/examples-cluster/cluster.xml"
    assert "no problems" in run([programs / "si-lint", document], cwd=Path("/")).text


def test_boel_is_there(programs: Path, tmp_path: Path) -> None:
    run([programs / "si-mkbootpackage", "--root", tmp_path, "--flavor", "virtio"], cwd=Path("/"))
    assert list(tmp_path.glob("var/lib/systemimager/flavors/*/virtio/initrd.img"))
