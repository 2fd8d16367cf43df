"""The client commands as a Debian package: installed by dpkg, run, taken away again."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.deb import build_package
from si.client.install import COMMANDS

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_package(tmp_path_factory.mktemp("deb"))


def run(*argv: str | Path, **environment: str) -> str:
    done = subprocess.run(
        argv, capture_output=True, env={**os.environ, **environment}, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def dpkg(root: Path, *words: str | Path) -> str:
    return run("dpkg", f"--root={root}", "--force-depends", f"--log={root}/log", *words)


def test_two_builds_have_the_same_bytes(package: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "scripts.deb", tmp_path],
        cwd=TOP,
        env={**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"},
        umask=0o077,
        check=True,
    )
    assert (tmp_path / package.name).read_bytes() == package.read_bytes()


def test_the_time_of_the_sources_counts(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    listed = run("dpkg-deb", "--contents", build_package(tmp_path), TZ="UTC")
    assert {line.split()[3] for line in listed.splitlines()} == {"2023-11-14"}
    assert {line.split()[1] for line in listed.splitlines()} == {"root/root"}


def test_dpkg_installs_and_removes_it(package: Path, tmp_path: Path) -> None:
    """In a root of its own: dpkg's own list of the package agrees with what is there."""
    for folder in ("updates", "info", "triggers"):
        (tmp_path / "var/lib/dpkg" / folder).mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").touch()
    dpkg(tmp_path, "--install", package)
    assert dpkg(tmp_path, "--verify", "si-client") == ""
    assert "install ok installed" in dpkg(tmp_path, "--status", "si-client")
    for word in COMMANDS:
        command = tmp_path / f"usr/sbin/si-{word}"
        assert os.access(command, os.X_OK)
        page = gzip.decompress((tmp_path / f"usr/share/man/man8/si-{word}.8.gz").read_bytes())
        assert page.startswith(b".") and f"si\\-{word}".encode() in page
    dpkg(tmp_path, "--remove", "si-client")
    assert not list(tmp_path.glob("usr/sbin/*"))


@pytest.mark.parametrize("word", COMMANDS)
def test_its_commands_run(package: Path, tmp_path: Path, word: str) -> None:
    """In a mount namespace where the package's files lie over this machine's."""
    run("dpkg-deb", "--extract", package, tmp_path)
    script = 'mount -t overlay -o "lowerdir=$1/usr:/usr" none /usr && exec "/usr/sbin/si-$2" --help'
    told = run("unshare", "--mount", "sh", "-euc", script, "sh", tmp_path, word)
    assert told.startswith(f"usage: si-{word} ")
