"""Captures from a real rsync daemon on loopback, and what can go wrong with them."""

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
from si.image.capture import CaptureReport, capture_image, signal_complete
from si.image.lock import lock_image
from si.image.offer import open_offer
from si.image.source import Directory, GoldenClient
from si.image.store import load_image
from tests.integration.golden_source import (
    IDENTITY,
    PLACED,
    GoldenDaemon,
    differences,
    make_facts,
    make_golden,
    wait_for,
    write,
)

LEFT_OUT = (*(f"/{path}" for path in IDENTITY), "/proc/cpuinfo")


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


def capture(settings: Settings, port: int, *, own_rules: tuple[str, ...] = ()) -> CaptureReport:
    source = GoldenClient("127.0.0.1", port=port)
    with lock_image(settings, "web") as held:
        return capture_image(settings, held, open_offer(source), own_rules=own_rules)


def hidden(settings: Settings) -> list[str]:
    return sorted(p.name for p in settings.images.iterdir() if p.name.startswith("."))


def inodes(tree: Path) -> dict[str, int]:
    return {
        str(path.relative_to(tree)): path.lstat().st_ino
        for path in tree.rglob("*")
        if not path.is_dir()
    }


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
from tests.integration.test_capture import capture
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
