"""Publishing that is killed, a full disk, a tree that changes; versions that are spoiled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from si.config import Settings, load_settings
from si.errors import (
    ImageInUse,
    ImageNotFound,
    NoSpace,
    StoreLocked,
    TreeChanged,
    VersionNotFound,
    VersionSpoiled,
)
from si.image.lock import lock_image
from si.names_check import VersionName
from si.version.publish import publish_version
from si.version.store import PACK, list_numbers, list_versions, load_version
from si.version.verify import check_version
from tests.integration.golden_source import differences, si, si_environment, write
from tests.integration.version_kit import left_behind, make_store, publish, tree_of, version

FILES = ("manifest", "manifest.sig", "image.tar.zst", "image.torrent", "script")
KILL = """
import os, signal, sys
count, limit = 0, int(sys.argv.pop(1))
def watch(event, arguments):
    global count
    if event in ("open", "os.rename", "os.mkdir", "os.scandir", "subprocess.Popen"):
        count += 1
        if count == limit:
            os.kill(os.getpid(), signal.SIGKILL)
from si.cli import publish
sys.argv[0] = "si-publish"
sys.addaudithook(watch)
try:
    publish.main()
finally:
    print("events", count)
"""


@pytest.fixture
def store(tmp_path: Path) -> Settings:
    """A store that keeps every version, so that each one a test made can be looked at."""
    made = make_store(tmp_path / "server")
    made.etc.mkdir(parents=True, exist_ok=True)
    (made.etc / "si.toml").write_text("[publish]\nkeep = 100\n")
    return load_settings(root=made.root, config=None)


def publish_and_kill(settings: Settings, at: int) -> subprocess.CompletedProcess[str]:
    """si-publish, killed with SIGKILL at its n-th use of the file system; never with 0."""
    return subprocess.run(
        [sys.executable, "-c", KILL, str(at), "web"], env=si_environment(settings.root),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def change_here_and_there(settings: Settings, text: str) -> None:
    """Change so many small files that the next version has a delta."""
    for number in range(0, 300, 20):
        write(tree_of(settings) / f"usr/d{number % 12}/f{number:03d}", text)


def test_a_publishing_that_is_killed_leaves_no_half_version(store: Settings) -> None:
    whole = publish_and_kill(store, 0)
    assert whole.returncode == 0, whole.stderr
    change_here_and_there(store, "0\n")
    again = publish_and_kill(store, 0)
    assert (version(store).path / "delta-1").exists()
    count = int(again.stdout.split()[-1])
    assert count > 60
    points = [1, count // 8, count // 3, count // 2, *range(count - 12, count, 2)]
    for number, point in enumerate(points):
        change_here_and_there(store, f"{number + 1}\n")
        before = list_numbers(store, "web")
        killed = publish_and_kill(store, point)
        assert killed.returncode in (-9, 0), killed.stderr
        appeared = list_numbers(store, "web")
        assert appeared[: len(before)] == before
        for found in list_versions(store, "web")[-1:]:
            check_version(store, found)
        done = publish(store)
        assert done.made == (appeared == before)
        check_version(store, done.version)
        assert left_behind(store) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk, point = tmp_path / "disk.img", tmp_path / "disk"
    with disk.open("wb") as stream:
        stream.truncate(16 << 20)
    point.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, point], check=True)
    yield point
    subprocess.run(["umount", point], check=True)


def test_a_full_disk_leaves_the_versions_that_are_there(
    store: Settings, small_disk: Path, tmp_path: Path
) -> None:
    store.versions.parent.mkdir(parents=True, exist_ok=True)
    store.versions.symlink_to(small_disk)
    publish(store)
    free = os.statvfs(small_disk).f_bavail
    write(tree_of(store) / "big", os.urandom(20 << 20))
    with pytest.raises(NoSpace, match="is full; no version was made"):
        publish(store)
    assert list_numbers(store, "web") == (1,) and left_behind(store) == []
    assert os.statvfs(small_disk).f_bavail >= free - 8
    check_version(store, version(store))
    (tree_of(store) / "big").write_bytes(b"small")
    done = publish(store)
    assert done.made and done.version.name.number == 2
    check_version(store, done.version)


def appear(tree: Path) -> None:
    write(tree / "usr/d1/came", "x")


def vanish(tree: Path) -> None:
    (tree / "usr/d2/f002").unlink()


def rewrite(tree: Path) -> None:
    path = tree / "usr/d3/f003"
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def grow(tree: Path) -> None:
    with (tree / "usr/large2").open("ab") as file:
        file.write(b"more")


def protect(tree: Path) -> None:
    (tree / "usr/d4/f004").chmod(0o600)


def note(tree: Path) -> None:
    os.setxattr(tree / "usr/d5/f005", "user.note", b"x")


def turn(tree: Path) -> None:
    (tree / "usr/d6/f006").unlink()
    (tree / "usr/d6/f006").symlink_to("/etc/shadow")


CHANGES: list[tuple[Callable[[Path], None], str]] = [
    (appear, "/usr/d1"), (vanish, "/usr/d2"), (rewrite, "/usr/d3/f003"), (grow, "/usr/large2"),
    (protect, "/usr/d4/f004"), (note, "/usr/d5/f005"), (turn, "/usr/d6"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "named"), CHANGES, ids=lambda one: getattr(one, "__name__", ""))
@pytest.mark.parametrize("published", [False, True], ids=["first", "again"])
def test_a_tree_that_changes_meanwhile_is_noticed_and_named(
    store: Settings, change: Callable[[Path], None], named: str, published: bool
) -> None:
    if published:
        publish(store)
        write(tree_of(store) / "etc/motd", "so that there is something to do")
    pending = [change]

    def on_progress(_done: int, _total: int) -> None:
        while pending:
            pending.pop()(tree_of(store))

    with lock_image(store, "web") as held, pytest.raises(TreeChanged, match=named):
        publish_version(store, held, on_progress=on_progress)
    assert list_numbers(store, "web") == ((1,) if published else ())
    assert left_behind(store) == []
    done = publish(store)
    assert done.made
    check_version(store, done.version)


def test_a_link_that_goes_elsewhere_is_no_change(store: Settings, tmp_path: Path) -> None:
    """Another command removes an old tree that shares inodes with this one."""
    other = store.images / "usr-large"
    other.hardlink_to(tree_of(store) / "usr/large0")
    pending = [other]

    def on_progress(_done: int, _total: int) -> None:
        while pending:
            pending.pop().unlink()

    with lock_image(store, "web") as held:
        done = publish_version(store, held, on_progress=on_progress)
    assert done.made and not other.exists()


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_is_found_and_named(store: Settings) -> None:
    done = publish(store)
    check_version(store, done.version)
    for name in FILES:
        path = done.version.path / name
        whole = path.read_bytes()
        for at in (0, len(whole) // 2, len(whole) - 1):
            flip(path, at)
            blamed = "manifest" if name.startswith("manifest") else name
            with pytest.raises(VersionSpoiled, match=blamed):
                check_version(store, done.version)
            path.write_bytes(whole)
    check_version(store, done.version)


def test_a_spoiled_pack_says_whose_bytes_they_are(store: Settings) -> None:
    done = publish(store)
    pack = done.version.path / PACK
    whole = pack.read_bytes()
    at = whole.index((tree_of(store) / "usr/large2").read_bytes()[1000:1100])
    flip(pack, at)
    with pytest.raises(VersionSpoiled, match=r"between bytes \d+ and \d+, of /usr/large2\b"):
        check_version(store, done.version)
    last = whole.index((tree_of(store) / "usr/large0").read_bytes()[-1000:-900])
    pack.write_bytes(whole)
    flip(pack, last)
    with pytest.raises(VersionSpoiled, match=r"of /usr/large0$"):
        check_version(store, done.version)
    pack.write_bytes(whole[:-100])
    with pytest.raises(VersionSpoiled, match=f"cut off at byte .* of {len(whole)}"):
        check_version(store, done.version)
    pack.write_bytes(whole + b"x")
    with pytest.raises(VersionSpoiled, match="longer than"):
        check_version(store, done.version)
    pack.unlink()
    with pytest.raises(VersionSpoiled, match="No such file"):
        check_version(store, done.version)
    assert si(store.root, "lsimage", "--versions", "--check").returncode == 61
    assert si(store.root, "rollback", "web@1").returncode == 61


def test_a_version_that_poses_as_another_is_refused(store: Settings) -> None:
    publish(store)
    write(tree_of(store) / "etc/motd", "second\n")
    publish(store)
    first, second = (store.versions / f"web/{number}" for number in (1, 2))
    for name in FILES:
        (second / name).write_bytes((first / name).read_bytes())
    done = si(store.root, "lsimage", "--versions", "--check")
    assert done.returncode == 63 and "is that of web@1" in done.stderr


def test_a_version_signed_elsewhere_is_refused(store: Settings, tmp_path: Path) -> None:
    publish(store)
    stranger = make_store(tmp_path / "stranger")
    publish(stranger)
    for name in FILES:
        data = (stranger.versions / "web/1" / name).read_bytes()
        (store.versions / "web/1" / name).write_bytes(data)
    with pytest.raises(VersionSpoiled, match="is not what this site signed"):
        check_version(store, version(store))


@pytest.mark.parametrize("name", FILES)
def test_a_spoiled_version_does_not_spoil_the_next(
    store: Settings, name: str, tmp_path: Path
) -> None:
    first = publish(store).version.path
    path = first / name
    for part in (4, 2):
        flip(path, path.stat().st_size // part)
    write(tree_of(store) / "etc/motd", "second\n")
    done = publish(store)
    check_version(store, done.version)
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "--zstd", "-xpf", done.version.path / PACK], cwd=unpacked, check=True)
    assert differences(tree_of(store), unpacked, (), tmp_path) == ""


@pytest.mark.parametrize("spoiled", [b"", b"\xff\x00garbage", b"\x84\xa6format\x01"])
def test_a_spoiled_memory_only_costs_time(store: Settings, spoiled: bytes) -> None:
    publish(store)
    (store.versions / "web/cache").write_bytes(spoiled)
    assert not publish(store).made
    write(tree_of(store) / "etc/motd", "second\n")
    (store.versions / "web/cache").unlink()
    done = publish(store)
    assert done.made and done.copied_bytes > 5 << 20


def test_what_is_held_or_mounted_or_missing_is_refused(store: Settings) -> None:
    with lock_image(store, "web"):
        with pytest.raises(StoreLocked):
            publish(store)
        assert si(store.root, "publish", "web").returncode == 11
    point = tree_of(store) / "mnt"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", point], check=True)
    try:
        with pytest.raises(ImageInUse, match="has mounts in it"):
            publish(store)
    finally:
        subprocess.run(["umount", point], check=True)
    with pytest.raises(VersionNotFound, match="has no version yet"):
        load_version(store, VersionName("web", 1))
    with lock_image(store, "none") as held, pytest.raises(ImageNotFound):
        publish_version(store, held)
    with pytest.raises(ImageNotFound):
        load_version(store, VersionName("none", None))
