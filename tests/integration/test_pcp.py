"""si-pcp against real sshds and rsyncs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.ssh_kit import Farm, farm


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Farm]:
    with farm(tmp_path, 3) as made:
        yield made


def test_a_tree_arrives_whole_everywhere(site: Farm, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("text\n")
    (tree / "again").hardlink_to(tree / "file")
    (tree / "link").symlink_to("file")
    os.setxattr(tree / "file", "user.note", b"kept")
    os.chown(tree / "file", 1234, 5678)
    # One destination is all a command has: these "clients" are one machine, so each gets its own
    # by a link that says who it is.
    for name in ("web1", "web3"):
        site[name].program("rsync", f'cd {site[name].folder} && exec /usr/bin/rsync "$@"')
    done = site.si("pcp", "--clients", "web1,web3", f"{tree}", "copied/")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for name in ("web1", "web3"):
        copy = site[name].folder / "copied/tree"
        words = ["rsync", "-aHAXSin", "--delete", "--numeric-ids", f"{tree}/", f"{copy}/"]
        assert subprocess.run(words, capture_output=True, check=True).stdout == b""


def test_odd_names_are_files(site: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("-e sh", "web1:x", "a b")
    for name in names:
        (tmp_path / name).write_text(name)
    target = tmp_path / "to $HOME"
    target.mkdir()
    done = site.si("pcp", "--clients", "web1", "--", *names, f"{target}/")
    assert done.returncode == 0, done.stderr
    assert sorted(file.name for file in target.iterdir()) == sorted(names)


def test_who_failed_is_told_and_tried_again(site: Farm, tmp_path: Path) -> None:
    site.switch_off("web2")
    site["web3"].program("rsync", "echo no room >&2; exit 11")
    file = tmp_path / "file"
    file.write_text("x")
    done = site.si("pcp", "--clients", "@web", f"{file}", f"{tmp_path}/copy")
    assert done.returncode == 3
    assert "web3: no room" in done.stderr
    assert "failed: web2: it refuses connections" in done.stderr
    assert "failed: web3: exit code" in done.stderr
    assert "2 of 3 clients failed: web[2-3]" in done.stderr
    site.switch_on("web2")
    site["web3"].program("rsync", 'exec /usr/bin/rsync "$@"')
    again = site.si("pcp", "--retry-failed", f"{file}", f"{tmp_path}/copy")
    assert again.returncode == 0, again.stderr


def test_a_source_that_is_not_there(site: Farm, tmp_path: Path) -> None:
    done = site.si("pcp", "--clients", "web1", f"{tmp_path}/none", "/tmp/")
    assert done.returncode == 2
    assert "does not exist" in done.stderr
