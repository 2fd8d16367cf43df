"""What can go wrong with a capture: the golden client, the store, the command itself."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from si.client.record import dump_facts
from si.config import Settings, default_settings
from si.errors import CaptureFailed, GoldenClientUnreachable, NoSpace, StoreCannotKeep, StoreLocked
from si.image import probe
from si.image.capture import capture_image
from si.image.lock import lock_image
from si.image.offer import open_offer
from si.image.source import Directory
from tests.integration.golden_source import (
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


def test_a_golden_client_that_vanishes_leaves_the_old_image_and_the_next_try_resumes(
    tree: Path, settings: Settings, tmp_path: Path
) -> None:
    quick = GoldenDaemon(tree, tmp_path / "quick")
    capture(settings, quick.port)
    quick.kill()
    before = inodes(settings.images / "web")
    for number in range(6):
        write(tree / f"big{number}", os.urandom(1 << 20))
    slow = GoldenDaemon(tree, tmp_path / "slow", limit_kb_s=2048)
    words = _capture_words(settings, slow.port)
    staging = settings.images / ".web.staging"
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        wait_for(lambda: (staging / "big1").exists())
        slow.kill()
        said, _ = process.communicate(timeout=30)
    assert said.startswith("CaptureFailed 127.0.0.1"), said
    assert inodes(settings.images / "web") == before
    arrived = inodes(staging)
    assert "big1" in arrived and "big5" not in arrived
    assert (staging / "home/ann/sparse").stat().st_ino == before["home/ann/sparse"]

    again = GoldenDaemon(tree, tmp_path / "again")
    report = capture(settings, again.port)
    again.kill()
    image = settings.images / "web"
    assert inodes(image)["big0"] == arrived["big0"], "it was transferred a second time"
    assert report.transferred_bytes <= 5 << 20
    assert differences(tree, image, (*LEFT_OUT, PLACED), tmp_path) == ""
    assert hidden(settings) == []


def test_a_killed_capture_frees_the_lock_and_stops_its_rsync(
    tree: Path, settings: Settings, tmp_path: Path
) -> None:
    for number in range(6):
        write(tree / f"big{number}", os.urandom(1 << 20))
    slow = GoldenDaemon(tree, tmp_path / "slow", limit_kb_s=2048)
    staging = settings.images / ".web.staging"
    with subprocess.Popen(
        _capture_words(settings, slow.port), stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        wait_for(lambda: (staging / "big1").exists())
        with pytest.raises(StoreLocked, match=f"process {process.pid} "):
            capture(settings, slow.port)
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: not _writers(staging))
    slow.kill()
    quick = GoldenDaemon(tree, tmp_path / "quick")
    capture(settings, quick.port)
    quick.kill()
    assert differences(tree, settings.images / "web", (*LEFT_OUT, PLACED), tmp_path) == ""
    assert hidden(settings) == []


def test_resuming_never_touches_inodes_of_the_image(
    tree: Path, settings: Settings, daemon: GoldenDaemon
) -> None:
    """A staging tree that was left behind holds links to the image's own files."""
    capture(settings, daemon.port)
    image, staging = settings.images / "web", settings.images / ".web.staging"
    staging.mkdir()
    (staging / "etc").mkdir()
    (staging / "etc/passwd").hardlink_to(image / "etc/passwd")
    (tree / "etc/passwd").chmod(0o600)
    held = os.open(image / "etc/passwd", os.O_RDONLY)
    capture(settings, daemon.port)
    mode = stat.S_IMODE(os.fstat(held).st_mode)
    os.close(held)
    assert mode == 0o644, "the inode that readers of the old image hold was changed"
    assert stat.S_IMODE((image / "etc/passwd").stat().st_mode) == 0o600


def test_a_full_disk_leaves_the_old_image(
    tree: Path, settings: Settings, daemon: GoldenDaemon, small_disk: Path
) -> None:
    settings.images.parent.mkdir(parents=True)
    settings.images.symlink_to(small_disk)
    capture(settings, daemon.port)
    before = inodes(settings.images / "web")
    write(tree / "big", os.urandom(40 << 20))
    with pytest.raises(NoSpace, match="bytes free, the capture needs"):
        capture(settings, daemon.port)
    assert inodes(settings.images / "web") == before
    assert hidden(settings) == []


def test_a_disk_that_fills_up_under_way_is_told_and_emptied(
    tree: Path, settings: Settings, daemon: GoldenDaemon, small_disk: Path
) -> None:
    settings.images.parent.mkdir(parents=True)
    settings.images.symlink_to(small_disk)
    write(tree / "big", os.urandom(40 << 20))  # the facts know nothing of it
    with pytest.raises(NoSpace, match=r"the store is full .* there is no image web"):
        capture(settings, daemon.port)
    assert list(small_disk.iterdir()) in ([], [small_disk / "lost+found"])


def test_what_the_facts_say_must_fit(tree: Path, settings: Settings, daemon: GoldenDaemon) -> None:
    facts = dump_facts(make_facts(used_bytes=1 << 60))
    write(tree / "etc/systemimager/facts.json", facts)
    with pytest.raises(NoSpace, match="needs 1,152,921,504,606,846,976"):
        capture(settings, daemon.port)
    # An exclude of one's own may leave out enough: then the transfer tells.
    capture(settings, daemon.port, own_rules=("/home/*",))
    assert not list((settings.images / "web/home").iterdir())


def test_a_store_that_cannot_keep_attributes_is_refused_before_copying(
    settings: Settings, daemon: GoldenDaemon, tmp_path: Path
) -> None:
    point = tmp_path / "poor"
    point.mkdir()
    subprocess.run(["mount", "-t", "ramfs", "ramfs", point], check=True)
    try:
        settings.images.parent.mkdir(parents=True)
        settings.images.symlink_to(point)
        with pytest.raises(StoreCannotKeep) as caught:
            capture(settings, daemon.port)
        for lost in ("capabilities", "ACLs", "user xattrs"):
            assert lost in caught.value.message
        assert list(point.iterdir()) == []
    finally:
        subprocess.run(["umount", point], check=True)


def test_this_file_system_keeps_everything(tmp_path: Path) -> None:
    assert [name for name, reason in probe.probe(tmp_path) if reason is not None] == []


def test_a_golden_client_that_is_not_there_or_not_prepared(
    tree: Path, settings: Settings, daemon: GoldenDaemon
) -> None:
    (tree / "etc/systemimager/facts.json").unlink()
    with pytest.raises(GoldenClientUnreachable, match="was not prepared") as caught:
        capture(settings, daemon.port)
    assert caught.value.hint is not None and "si-prepareclient" in caught.value.hint
    daemon.kill()
    with pytest.raises(GoldenClientUnreachable, match="cannot read from") as caught:
        capture(settings, daemon.port)
    assert caught.value.hint is not None and "si-prepareclient" in caught.value.hint
    assert hidden(settings) == []


def test_a_link_in_the_tree_leads_nowhere_on_the_server(
    tree: Path, settings: Settings, daemon: GoldenDaemon, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    write(victim / "facts.json", dump_facts(make_facts()))
    (tree / "etc/systemimager/facts.json").unlink()
    (tree / "etc/systemimager").rmdir()
    (tree / "etc/systemimager").symlink_to(victim)
    with pytest.raises((GoldenClientUnreachable, CaptureFailed)):
        capture(settings, daemon.port)
    source = Directory(tree)
    with lock_image(settings, "web") as held, pytest.raises(CaptureFailed, match="cannot write"):
        capture_image(settings, held, open_offer(source))
    assert [path.name for path in victim.iterdir()] == ["facts.json"]
    assert not (settings.images / "web").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk, point = tmp_path / "disk.img", tmp_path / "disk"
    with disk.open("wb") as stream:
        stream.truncate(32 << 20)
    point.mkdir()
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, point], check=True)
    yield point
    subprocess.run(["umount", point], check=True)


def _capture_words(settings: Settings, port: int) -> list[str]:
    program = f"""
from pathlib import Path
from si.config import default_settings
from si.errors import SIError
from tests.integration.golden_source import capture
try:
    capture(default_settings(Path({str(settings.root)!r})), {port})
except SIError as error:
    print(type(error).__name__, error.message.partition("capture from ")[2])
"""
    return [sys.executable, "-c", program]


def _writers(staging: Path) -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if str((process / "cwd").readlink()).startswith(str(staging)):
                    found.append(process.name)
            except OSError:
                continue
    return found
