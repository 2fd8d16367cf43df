"""si-updateclient to a version, against a real si-server: what differs goes, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.lab.specimens import FOLDER
from tests.integration.client_kit import Program
from tests.integration.installed_kit import (
    copy_tree,
    install,
    is_clean,
    put,
    snapshot,
    update,
)
from tests.integration.server_kit import Server


@pytest.fixture(scope="module")
def installed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine with web@1."""
    return install(server.settings, tmp_path_factory.mktemp("client") / "tree", 1)


@pytest.fixture
def client(installed: Path, tmp_path: Path) -> Path:
    return copy_tree(installed, tmp_path / "tree")


def test_from_one_version_to_the_next_and_back(program: Program, client: Path) -> None:
    dry = update(program, client, "--dry-run")
    assert dry.code == 4, dry.stderr
    done = update(program, client, "--yes")
    assert done.code == 0, done.stderr
    is_clean(program, client)
    is_clean(program, client, "--image", "web@2")
    identity = json.loads((client / "etc/systemimager/client.json").read_text())
    assert (identity["image"], identity["version"]) == ("web", 2)
    back = update(program, client, "--yes", "--image", "web@1")
    assert back.code == 0, back.stderr
    is_clean(program, client, "--image", "web@1")


def test_only_what_differs_is_written(program: Program, client: Path) -> None:
    assert update(program, client, "--yes", "--image", "web@1").code == 0
    put(client / "usr/d0/f000", "drift")
    (client / "usr/d1/f001").chmod(0o600)
    before = {path: path.stat().st_ino for path in (client / "usr").rglob("f*")}
    assert update(program, client, "--yes", "--image", "web@1").code == 0
    now = {path: path.stat().st_ino for path in before}
    assert [path for path in before if now[path] != before[path]] == [client / "usr/d0/f000"]
    is_clean(program, client, "--image", "web@1")


def test_a_dry_run_says_exactly_what_a_run_then_does(
    program: Program, server: Server, client: Path
) -> None:
    put(client / "usr/d0/f000", "drift")
    (client / "usr/d0/f012").chmod(0o600)
    (client / "usr/d0/f024").unlink()
    shutil.rmtree(client / "usr/d1")
    put(client / "opt/stray/file", "")
    (client / "usr/d2/f002").unlink()
    put(client / "usr/d2/f002/inside", "")
    before = snapshot(client)
    dry = update(program, client, "--dry-run", "--image", "web@1")
    assert dry.code == 4, dry.stderr
    below = sorted(f"+ /usr/d1/f{number:03d}" for number in range(1, 300, 12))
    assert dry.lines == [
        "~ / (time)", "- /opt/", "- /opt/stray/", "- /opt/stray/file",
        "~ /usr/ (time)", "~ /usr/d0/ (time)", "~ /usr/d0/f000 (contents, time)",
        "~ /usr/d0/f012 (mode)", "+ /usr/d0/f024", "+ /usr/d1/", *below, "~ /usr/d2/ (time)",
        "~ /usr/d2/f002 (type)", "- /usr/d2/f002/inside",
    ]  # fmt: skip
    assert snapshot(client) == before, "a dry run changed something"
    done = update(program, client, "--yes", "--image", "web@1")
    assert done.code == 0, done.stderr
    [line] = done.lines
    assert line.startswith("web@1: 27 added, 7 changed, 4 removed, ")
    is_clean(program, client, "--image", "web@1")


def test_a_dry_run_says_how_long_it_takes_and_learns_from_the_last_update(
    program: Program, client: Path
) -> None:
    before = json.loads(update(program, client, "--dry-run", "--json").stdout)["expected"]
    assert before["last_update_ratio"] is None
    assert before["seconds"] > 0
    assert min(before["fetch_bytes"], before["write_bytes"]) >= 6 << 20, "a new random file"
    assert update(program, client, "--yes").code == 0
    is_clean(program, client)
    dry = update(program, client, "--dry-run", "--image", "web@1")
    assert "about " in dry.stderr
    assert "s: " in dry.stderr and "to fetch" in dry.stderr
    last = client / "etc/systemimager/last-update.json"
    took = json.loads(last.read_text())
    assert 0 < took["fetched_bytes"] <= before["fetch_bytes"]
    last.write_text(json.dumps({**took, "took_ms": 1000 * took["took_ms"]}))
    slow = json.loads(update(program, client, "--dry-run", "--json").stdout)["expected"]
    assert slow["last_update_ratio"] == 20, "at most"
    last.write_text("{rubbish")
    again = json.loads(update(program, client, "--dry-run", "--json").stdout)["expected"]
    assert again["last_update_ratio"] is None


def test_what_is_protected_stays(program: Program, client: Path) -> None:
    own = put(
        client / "etc/systemimager/updateclient.local.exclude",
        "/srv/own\n*.journal\n/usr/d1/*\n/usr/new/deep/\n",
    )
    put(client / "srv/own/file", "own")
    put(client / "stray/deep/x.journal", "journal")
    put(client / "stray/other", "goes")
    put(client / "usr/d1/f001", "mine")
    put(client / "proc/1/comm", "process")
    done = update(program, client, "--yes", "--exclude", "/usr/large1")
    assert done.code == 0, done.stderr
    assert own.read_text().startswith("/srv/own")
    assert (client / "srv/own/file").read_text() == "own"
    assert (client / "stray/deep/x.journal").read_text() == "journal"
    assert not (client / "stray/other").exists()
    assert (client / "usr/d1/f001").read_text() == "mine"
    assert (client / "proc/1/comm").exists()
    assert (client / "etc/hostname").read_text() == "web1\n"
    assert not (client / "usr/new/deep").exists()
    is_clean(program, client, "--exclude", "/usr/large1")


def test_links_that_are_none_any_more(program: Program, client: Path) -> None:
    links = client / FOLDER / "links"
    (links / "second").unlink()
    put(links / "second/inside/deep", "a directory in place of a further name")
    (links / "pair-a").unlink()
    shutil.copy2(links / "pair-b", links / "pair-a")
    (client / FOLDER / "large-too").unlink()
    (client / "usr/d0/f000").unlink()
    (client / "usr/d0/f000").hardlink_to(client / "usr/d0/f012")
    done = update(program, client, "--yes", "--image", "web@1")
    assert done.code == 0, done.stderr
    is_clean(program, client, "--image", "web@1")


def test_nothing_is_written_through_a_link(program: Program, client: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.move(client / "usr/d0", outside)
    (client / "usr/d0").symlink_to(outside)
    put(outside / "f000", "not to be touched")
    shutil.rmtree(client / FOLDER / "links")
    (client / FOLDER / "links").symlink_to(tmp_path)
    before = snapshot(outside)
    assert update(program, client, "--yes").code == 0
    assert snapshot(outside) == before
    assert (client / "usr/d0").is_dir() and not (client / "usr/d0").is_symlink()
    is_clean(program, client)


def test_a_directory_with_something_protected_does_not_become_a_file(
    program: Program, client: Path
) -> None:
    put(client / "usr/d6/mine.journal", "journal")
    before = snapshot(client)
    refused = update(program, client, "--yes", "--exclude", "*.journal")
    assert refused.code == 34
    assert "/usr/d6 is no directory in the version, but /usr/d6/mine.journal" in refused.stderr
    assert snapshot(client) == before


def test_an_immutable_file_is_found_before_anything_changes(program: Program, client: Path) -> None:
    held = client / "usr/d0/f000"
    subprocess.run(["chattr", "+i", held], check=True)
    try:
        before = snapshot(client)
        refused = update(program, client, "--yes")
        assert refused.code == 34
        assert "immutable: /usr/d0/f000\n" in refused.stderr
        assert snapshot(client) == before
    finally:
        subprocess.run(["chattr", "-i", held], check=True)


def test_too_little_space_is_found_before_anything_changes(
    program: Program, server: Server, installed: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", small], check=True)
    try:
        client = copy_tree(installed, small / "tree")
        put(small / "filler", "").write_bytes(bytes(room(small) - (2 << 20)))
        before = snapshot(client)
        refused = update(program, client, "--yes")
        assert refused.code == 27, refused.stderr
        assert f"on the file system of '{client}" in refused.stderr
        assert snapshot(client) == before
        # What was counted too little is found out while it is written: the machine stays as it was.
        forced = update(program, client, "--yes", "--no-space-check")
        assert forced.code == 27, forced.stderr
        assert snapshot(client) == before
        (small / "filler").unlink()
        assert update(program, client, "--yes").code == 0
    finally:
        subprocess.run(["umount", small], check=True)


def room(folder: Path) -> int:
    free = os.statvfs(folder)
    return free.f_bavail * free.f_frsize


def test_a_read_only_file_system(program: Program, client: Path) -> None:
    disk = client.parent / "disk.img"
    subprocess.run(["mkfs.ext4", "-q", "-d", client / "usr/d0", disk, "8M"], check=True)
    subprocess.run(["mount", "-o", "loop,ro", disk, client / "usr/d0"], check=True)
    try:
        before = snapshot(client)
        refused = update(program, client, "--yes")
        assert refused.code == 34, refused.stderr
        assert f"file system of '{client}/usr/d0' is read-only" in refused.stderr
        forced = update(program, client, "--yes", "--no-space-check")
        assert (forced.code, "Read-only file system" in forced.stderr) == (34, True)
        assert snapshot(client) == before
    finally:
        subprocess.run(["umount", client / "usr/d0"], check=True)


def test_refusals(program: Program, server: Server, client: Path) -> None:
    before = snapshot(client)
    asked = update(program, client)
    assert (asked.code, "--yes" in asked.stderr) == (36, True)
    for words, code in (
        (("--image", "web@9"), 60),
        (("--image", "none"), 12),
        (("--image", "../web"), 14),
        (("--transport", "rsync"), 34),
        (("--live", "--transport", "http"), 34),
        (("--live", "--image", "web@1"), 34),
        (("--server", "127.0.0.1:1"), 33),
        (("--client", "nobody"), 20),
    ):
        assert update(program, client, "--yes", *words).code == code, words
    key = client / "etc/systemimager/site-key.pub"
    key.write_text("ssh-ed25519 AAAA of another site\n")
    assert update(program, client, "--yes").code == 61
    key.unlink()
    assert update(program, client, "--yes").code == 10
    key.touch()
    assert snapshot(client).keys() == before.keys()
