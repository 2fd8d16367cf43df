"""Captures from a real rsync daemon on loopback: what arrives, and what a later one does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from si.client.record import dump_facts
from si.config import Settings, default_settings
from si.image.capture import capture_image, signal_complete
from si.image.lock import lock_image
from si.image.offer import open_offer
from si.image.source import Directory, GoldenClient
from si.image.store import load_image
from tests.integration.golden_source import (
    IDENTITY,
    LEFT_OUT,
    PLACED,
    GoldenDaemon,
    capture,
    differences,
    hidden,
    inodes,
    make_facts,
    make_golden,
    wait_for,
    write,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_golden(tmp_path / "golden")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return default_settings(tmp_path / "server")


@pytest.fixture
def daemon(tree: Path, tmp_path: Path) -> Iterator[GoldenDaemon]:
    golden = GoldenDaemon(tree, tmp_path / "daemon")
    yield golden
    golden.kill()


def test_every_attribute_arrives_and_identity_does_not(
    tree: Path, settings: Settings, daemon: GoldenDaemon, tmp_path: Path
) -> None:
    report = capture(settings, daemon.port)
    image = settings.images / "web"
    # 9 paths on a closed list, each of them looked at below.
    assert differences(tree, image, (*LEFT_OUT, PLACED), tmp_path) == ""
    assert not any((image / path).exists() for path in IDENTITY)
    assert set(report.left_out) == {f"/{path}" for path in IDENTITY}
    assert report.mounts == (("/proc", "proc"), ("/run", "tmpfs"))
    assert (image / "proc").is_dir() and not list((image / "proc").iterdir())
    assert (image / "var/lib/dbus/machine-id").is_symlink()
    assert report.changed and report.changes is None and report.warnings == ()
    loaded = load_image(settings, "web")
    assert (loaded.golden_client, loaded.arch) == ("127.0.0.1", "x86_64")
    assert loaded.captured is not None and loaded.facts == make_facts()
    assert loaded.bytes is not None and loaded.bytes > 8 << 20
    assert hidden(settings) == []


def test_a_dbus_id_that_is_a_file_is_identity(
    tree: Path, settings: Settings, daemon: GoldenDaemon
) -> None:
    (tree / "var/lib/dbus/machine-id").unlink()
    write(tree / "var/lib/dbus/machine-id", "0123\n")
    report = capture(settings, daemon.port)
    assert "/var/lib/dbus/machine-id" in report.left_out
    assert not (settings.images / "web/var/lib/dbus/machine-id").exists()


def test_nothing_changed_stages_nothing(settings: Settings, daemon: GoldenDaemon) -> None:
    first = capture(settings, daemon.port)
    before = inodes(settings.images / "web")
    again = capture(settings, daemon.port)
    assert not again.changed and again.transferred_bytes == 0
    assert again.changes is not None and not again.changes.any
    assert inodes(settings.images / "web") == before
    assert again.image.captured == first.image.captured
    assert hidden(settings) == []


def test_a_later_capture_links_what_is_unchanged_and_swaps(
    tree: Path, settings: Settings, daemon: GoldenDaemon, tmp_path: Path
) -> None:
    capture(settings, daemon.port)
    image = settings.images / "web"
    before = inodes(image)
    write(image / "etc/passwd", "edited in the image\n")
    write(tree / "etc/motd", "new\n")
    (tree / "home/ann/capable").write_bytes(b"\x7fELX")  # same size; drops the capability
    (tree / "home/ann/pipe").unlink()
    (tree / "home/ann/listed").chmod(0o600)
    report = capture(settings, daemon.port)
    assert report.changed and report.changes is not None
    assert report.changes.new == 1 and report.changes.gone == 1
    assert differences(tree, image, (*LEFT_OUT, PLACED), tmp_path) == ""
    now = inodes(image)
    assert now["home/ann/sparse"] == before["home/ann/sparse"]
    assert now["home/ann/one"] == before["home/ann/one"] == now["home/ann/two"]
    assert now["home/ann/listed"] != before["home/ann/listed"]
    assert (image / "home/ann/sparse").stat().st_nlink == 1
    assert hidden(settings) == []


def test_a_rewrite_within_one_second_is_seen(
    tree: Path, settings: Settings, daemon: GoldenDaemon
) -> None:
    path = tree / "etc/passwd"
    os.utime(path, ns=(10**18, 10**18))
    capture(settings, daemon.port)
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(10**18 + 1, 10**18 + 1))
    assert capture(settings, daemon.port).changed
    assert (settings.images / "web/etc/passwd").read_bytes() == path.read_bytes()


def test_a_reader_keeps_the_tree_it_began_with(
    tree: Path, settings: Settings, daemon: GoldenDaemon
) -> None:
    capture(settings, daemon.port)
    image = settings.images / "web"
    with subprocess.Popen(
        ["sh", "-c", "read -r _; cat etc/passwd"], cwd=image,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as reader:  # fmt: skip
        write(tree / "etc/passwd", "changed\n")
        report = capture(settings, daemon.port)
        old = [name for name in hidden(settings) if ".old-" in name]
        assert len(old) == 1 and old[0] in " ".join(report.warnings)
        said, _ = reader.communicate("\n")
    assert said == "root:x:0:0::/root:/bin/sh\n"
    assert (image / "etc/passwd").read_text() == "changed\n"
    capture(settings, daemon.port)
    assert hidden(settings) == []


def test_a_mount_that_is_new_on_the_golden_client_is_left_out_at_once(
    tree: Path, settings: Settings, daemon: GoldenDaemon
) -> None:
    """The comparison that began under the old mounts does not count."""
    write(tree / "srv/f", "x")
    capture(settings, daemon.port)
    assert (settings.images / "web/srv/f").exists()
    facts = make_facts()
    mount = {"target": "/srv", "source": "tmpfs", "fstype": "tmpfs", "options": "rw"}
    facts.findmnt["filesystems"][0]["children"].append(mount)
    write(tree / "etc/systemimager/facts.json", dump_facts(facts))
    report = capture(settings, daemon.port)
    assert report.changed and ("/srv", "tmpfs") in report.mounts
    assert not list((settings.images / "web/srv").iterdir())


def test_a_directory_of_this_machine(tree: Path, settings: Settings, tmp_path: Path) -> None:
    (tree / "etc/systemimager/facts.json").unlink()
    (tree / "etc/systemimager").rmdir()
    for _attempt in range(2):
        with lock_image(settings, "web") as held:
            report = capture_image(settings, held, open_offer(Directory(tree)))
    assert not report.changed, report.changes
    identity = tuple(f"/{path}" for path in IDENTITY)
    allowed = (*identity, PLACED, "/etc/systemimager")
    assert differences(tree, settings.images / "web", allowed, tmp_path) == ""
    assert load_image(settings, "web").facts is None


def test_a_capture_of_the_machine_that_holds_the_store(tree: Path) -> None:
    settings = default_settings(tree)
    with lock_image(settings, "self") as held:
        capture_image(settings, held, open_offer(Directory(tree)))
    inside = settings.images / "self" / settings.images.relative_to(tree)
    assert inside.is_dir() and not list(inside.iterdir())


def test_completion_is_signalled(daemon: GoldenDaemon) -> None:
    assert not daemon.completed.exists()
    signal_complete(GoldenClient("127.0.0.1", port=daemon.port))
    wait_for(daemon.completed.exists)
    daemon.kill()
    signal_complete(GoldenClient("127.0.0.1", port=daemon.port))  # never an error
