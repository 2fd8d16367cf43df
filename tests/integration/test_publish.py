"""Versions of real trees: unpacked by stock tar, read by another reader, made again and again."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import libtorrent
import pytest
import zstandard

from si.config import PublishSettings, Settings
from si.errors import VersionInUse, VersionNotFound
from si.image.lock import lock_image
from si.version import cache as cache_module
from si.version import frames
from si.version.manifest import Manifest, parse_manifest
from si.version.plan import LARGE, PART
from si.version.publish import publish_version
from si.version.record import Record
from si.version.store import PACK, TORRENT, list_numbers, prune_versions, remove_version, roll_back
from si.version.verify import check_version
from tests.integration.golden_source import differences, si, write
from tests.integration.version_kit import (
    SOCKET,
    age,
    left_behind,
    make_store,
    publish,
    tree_of,
    version,
)

UNPACK = ["tar", "--zstd", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-xpf"]


@pytest.fixture
def store(tmp_path: Path) -> Settings:
    return make_store(tmp_path / "server")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the tree whose contents were read."""
    paths: list[str] = []
    original = frames.FrameMaker._open

    def note(self: frames.FrameMaker, record: Record) -> int:
        paths.append(os.fsdecode(record.path))
        return original(self, record)

    monkeypatch.setattr(frames.FrameMaker, "_open", note)
    monkeypatch.setattr(cache_module, "_RACE_NS", 0)
    return paths


def manifest_of(settings: Settings, number: int | None = None) -> Manifest:
    found = version(settings, number)
    return parse_manifest((found.path / "manifest").read_bytes(), "manifest")


def unpack(pack: Path, folder: Path) -> Path:
    folder.mkdir()
    subprocess.run([*UNPACK, pack], cwd=folder, check=True)
    return folder


def test_stock_tar_unpacks_the_same_tree(tmp_path: Path) -> None:
    settings = make_store(tmp_path / "server", specimens=True)
    done = publish(settings, message="größe\n1")
    assert done.made and done.version.current and done.sockets == (SOCKET.encode(),)
    unpacked = unpack(done.version.path / PACK, tmp_path / "unpacked")
    assert differences(tree_of(settings), unpacked, (SOCKET,), tmp_path) == ""
    manifest = check_version(settings, done.version)
    assert manifest.head.message == "größe\n1"
    read_by_the_manual(manifest, done.version.path / PACK, tree_of(settings))
    assert left_behind(settings) == []


def read_by_the_manual(manifest: Manifest, pack: Path, tree: Path) -> None:
    """Fetch each file as si-version(5) says: by frame and offset alone."""
    data = pack.read_bytes()
    begins = [0]
    for frame in manifest.frames:
        begins.append(begins[-1] + frame.packed)
    assert begins[-1] == len(data)
    unpacked = [
        zstandard.ZstdDecompressor().decompress(data[begin:end])
        for begin, end in itertools.pairwise(begins)
    ]
    assert [len(one) for one in unpacked] == [frame.unpacked for frame in manifest.frames]
    count = 0
    for record in manifest.records:
        if record.kind == "f":
            rest = b"".join(unpacked[record.frame : record.frame + 2 + record.packed // PART])
            packed = rest[record.offset : record.offset + record.packed]
            content = bytearray(record.size)
            extents = ((0, record.size),) if record.extents is None else record.extents
            for offset, length in extents:
                content[offset : offset + length], packed = packed[:length], packed[length:]
            assert hashlib.sha256(content).hexdigest() == record.content, record.path
            path = os.fsencode(tree) + record.path
            with Path(os.fsdecode(path)).open("rb") as file:
                assert file.read() == bytes(content), record.path
            count += 1
    assert count > 300


def test_a_pack_depends_on_the_tree_alone(store: Settings) -> None:
    publish(store)
    tree = tree_of(store)
    write(tree / "usr/d1/new", "new\n")
    (tree / "usr/d2/f002").unlink()
    (tree / "usr/d3/f003").chmod(0o600)
    write(tree / "usr/large1", os.urandom(170_000))
    again = publish(store)
    full = publish(store, full=True)
    assert full.version.name.number == 3
    one, other = ((v.path / PACK).read_bytes() for v in (again.version, full.version))
    assert one == other
    assert again.copied_bytes > 5 << 20 and full.copied_bytes == 0
    with_lines = [manifest_of(store, number).records for number in (2, 3)]
    assert with_lines[0] == with_lines[1]


def test_only_what_changed_is_read(store: Settings, opened: list[str], tmp_path: Path) -> None:
    publish(store)
    assert "/usr/large0" in opened and len(set(opened)) > 300
    opened.clear()
    assert not publish(store).made and opened == [], "nothing changed"
    tree = tree_of(store)
    changed = tree / "usr/d5/f005"
    changed.write_bytes(changed.read_bytes()[::-1])
    (tree / "usr/large0").chmod(0o640)
    write(tree / "usr/large1", os.urandom(180_000))
    done = publish(store)
    assert done.made and done.changes is not None
    assert {change.path for change in done.changes.changed} >= {b"/usr/d5/f005", b"/usr/large0"}
    assert {"/usr/d5/f005", "/usr/large1"} <= set(opened)
    assert "/usr/large2" not in opened
    small = {path for path in opened if "large" not in path}
    assert small == sharing_a_frame(store, changed), "files were read whose frame lost no member"
    unpacked = unpack(done.version.path / PACK, tmp_path / "unpacked")
    assert differences(tree, unpacked, (), tmp_path) == ""


def sharing_a_frame(settings: Settings, *paths: Path) -> set[str]:
    """The files in the frames in which these are."""
    tree = tree_of(settings)
    wanted = {b"/" + os.fsencode(path.relative_to(tree)) for path in paths}
    records = [record for record in manifest_of(settings).records if record.kind == "f"]
    found = {record.frame for record in records if record.path in wanted}
    return {os.fsdecode(record.path) for record in records if record.frame in found}


def test_a_capture_between_costs_nothing_but_what_it_brought(
    store: Settings, opened: list[str], tmp_path: Path
) -> None:
    tree = tree_of(store)
    write(tree / "etc/systemimager/image.json", '{"first": 1}')
    publish(store)
    opened.clear()
    old = store.images / ".web.old"
    tree.rename(old)
    subprocess.run(["cp", "-al", old, tree], check=True)  # as --link-dest does
    (tree / "etc/systemimager/image.json").unlink()
    write(tree / "etc/systemimager/image.json", '{"after": 1}')
    changed = tree / "usr/d5/f005"
    data = changed.read_bytes()[::-1]
    changed.unlink()
    changed.write_bytes(data)
    age(tree)
    shutil.rmtree(old)  # every ctime is a new one now
    done = publish(store)
    assert done.made and done.changes is not None
    assert b"/usr/d5/f005" in {change.path for change in done.changes.changed}
    assert set(opened) == sharing_a_frame(store, changed, tree / "etc/systemimager/image.json")
    unpacked = unpack(done.version.path / PACK, tmp_path / "unpacked")
    assert differences(tree, unpacked, (), tmp_path) == ""


def test_an_edit_whose_time_was_set_back_is_seen(store: Settings, opened: list[str]) -> None:
    publish(store)
    for name in ("usr/d5/f005", "usr/large1"):
        path = tree_of(store) / name
        before = path.stat()
        data = bytearray(path.read_bytes())
        data[7] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = publish(store)
    assert done.changes is not None
    assert [(c.path, c.what) for c in done.changes.changed] == [
        (b"/usr/d5/f005", ("contents",)), (b"/usr/large1", ("contents",)),
    ]  # fmt: skip
    check_version(store, done.version)


def test_a_new_master_script_makes_a_version(store: Settings) -> None:
    publish(store)
    write(store.scripts / "web.master", "#!/bin/sh\nfalse\n")
    done = publish(store)
    assert done.made and done.changes is not None and not done.changes.any
    assert (done.version.path / "script").read_text() == "#!/bin/sh\nfalse\n"


def test_the_torrent_is_of_the_pack(store: Settings) -> None:
    done = publish(store)
    pack = (done.version.path / PACK).read_bytes()
    info = libtorrent.torrent_info(str(done.version.path / TORRENT))
    assert (info.name(), info.total_size(), info.num_files()) == (PACK, len(pack), 1)
    size = info.piece_length()
    for number in range(info.num_pieces()):
        piece = hashlib.sha1(pack[number * size : (number + 1) * size]).digest()
        assert info.hash_for_piece(number) == piece
    assert not info.priv() and b"announce" not in (done.version.path / TORRENT).read_bytes()


def test_openssh_alone_checks_the_signature(store: Settings, tmp_path: Path) -> None:
    done = publish(store)
    key = store.site_key
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    public = key.with_name("site.key.pub").read_text().split()
    assert public[0] == "ssh-ed25519"
    write(tmp_path / "signers", f'si namespaces="si-version" {public[0]} {public[1]}\n')
    words: list[str | Path] = ["ssh-keygen", "-Y", "verify", "-n", "si-version", "-I", "si", "-f",
             tmp_path / "signers", "-s", done.version.path / "manifest.sig"]  # fmt: skip
    data = (done.version.path / "manifest").read_bytes()
    assert subprocess.run(words, input=data, check=False).returncode == 0
    assert subprocess.run(words, input=data + b"x", check=False).returncode != 0
    before = key.read_bytes()
    publish(store, full=True)
    assert key.read_bytes() == before


def test_a_version_shares_no_inode_with_the_image(store: Settings) -> None:
    done = publish(store)
    image = {path.lstat().st_ino for path in tree_of(store).rglob("*")}
    assert not image & {path.stat().st_ino for path in done.version.path.iterdir()}
    assert stat.S_IMODE(done.version.path.stat().st_mode) == 0o750


def edit(settings: Settings, text: str) -> int:
    write(tree_of(settings) / "etc/motd", text)
    number = publish(settings).version.name.number
    assert number is not None
    return number


def test_which_version_is_current(store: Settings) -> None:
    assert [edit(store, text) for text in "abc"] == [1, 2, 3]
    assert version(store).name.number == 3
    with lock_image(store, "web") as held:
        roll_back(store, held, 1)
        assert version(store).name.number == 1
        with pytest.raises(VersionInUse):
            remove_version(store, held, 1)
        remove_version(store, held, 3)
        assert version(store).name.number == 1, "the highest went, what was chosen stays"
        with pytest.raises(VersionNotFound, match="no version web@3"):
            roll_back(store, held, 3)
    assert edit(store, "d") == 4, "a number is never given again"
    assert version(store).name.number == 4, "the next that is published is current"


def test_old_versions_are_removed_but_for_the_current_one(store: Settings) -> None:
    numbers = [edit(store, text) for text in "abcde"]
    assert list_numbers(store, "web") == tuple(numbers)
    with lock_image(store, "web") as held:
        roll_back(store, held, 1)
        object.__setattr__(store, "publish", PublishSettings(keep=2))
        assert prune_versions(store, held, ()) == (2, 3)
        object.__setattr__(store, "publish", PublishSettings(keep=0))
        assert prune_versions(store, held, ()) == ()
    assert list_numbers(store, "web") == (1, 4, 5)


def told(root: Path, *words: str) -> Any:
    done = si(root, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_commands(store: Settings) -> None:
    root = store.root
    done = si(root, "publish", "web", "--message", "first")
    assert done.returncode == 0 and done.stdout.startswith("web@1: "), done.stderr
    tree = tree_of(store)
    assert "nothing changed since web@1" in si(root, "publish", "web").stdout
    write(tree / "etc/motd", "new\n")
    (tree / "etc/passwd").chmod(0o600)
    (tree / "usr/d1/f001").unlink()
    said = si(root, "diff", "web@1").stdout.splitlines()
    assert "+ /etc/motd" in said and "~ /etc/passwd (mode)" in said and "- /usr/d1/f001" in said
    assert "the tree differs from web@1" in si(root, "lsimage", "--versions").stdout
    done = si(root, "publish", "web")
    assert "changed, 1 added, 1 removed" in done.stdout
    difference = told(root, "diff", "web@1", "web@2")
    assert difference["added"] == ["/etc/motd"] and difference["removed"] == ["/usr/d1/f001"]
    assert si(root, "diff", "web").returncode == 14
    assert si(root, "publish", "web", "--message", "x" * 2049).returncode == 2
    assert si(root, "diff", "web@1", "web@7").returncode == 60
    assert si(root, "rollback", "web@1").returncode == 0
    listed = told(root, "lsimage", "web", "--versions", "--check")
    assert [(one["name"], one["current"]) for one in listed] == [("web@1", True), ("web@2", False)]
    assert listed[0]["message"] == "first"
    assert told(root, "lsimage")[0]["version"] == 1


def test_versions_go_where_the_image_goes(store: Settings) -> None:
    root = store.root
    for text in "ab":
        edit(store, text)
    assert si(root, "rollback", "web@1").returncode == 0
    done = si(root, "cpimage", "web", "copy")
    assert done.returncode == 0, done.stderr
    done = si(root, "mvimage", "web", "moved")
    assert done.returncode == 0, done.stderr
    listed = told(root, "lsimage", "--versions", "--check")
    assert [(one["name"], one["current"]) for one in listed] == [
        ("copy@1", True), ("copy@2", False), ("moved@1", True), ("moved@2", False),
    ]  # fmt: skip
    assert not (store.versions / "web").exists()
    packs = [store.versions / f"{image}/2/{PACK}" for image in ("copy", "moved")]
    assert packs[0].samefile(packs[1])
    assert si(root, "rmimage", "moved@1", "--yes").returncode == 64
    assert si(root, "rmimage", "moved@2", "--yes").returncode == 0
    assert si(root, "rmimage", "moved", "--yes").returncode == 0
    assert [path.name for path in store.versions.iterdir()] == ["copy"]


def test_a_large_file_begins_where_the_plan_says(store: Settings) -> None:
    write(tree_of(store) / "usr/limit", b"x" * LARGE)
    write(tree_of(store) / "usr/below", b"x" * (LARGE - 1))
    with lock_image(store, "web") as held:
        publish_version(store, held)
    records = {record.path: record for record in manifest_of(store).records}
    sharing = [record.frame for record in records.values()]
    assert sharing.count(records[b"/usr/limit"].frame) == 1
    assert sharing.count(records[b"/usr/below"].frame) > 1
