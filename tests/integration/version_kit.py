"""A store with one image for tests of versions."""

from __future__ import annotations

import os
import random
from pathlib import Path

from scripts.lab.specimens import FOLDER, plant_specimens
from si.config import Settings, default_settings
from si.image.lock import lock_image
from si.names_check import VersionName
from si.version.publish import Published, publish_version
from si.version.store import Version, load_version
from tests.integration import server_kit
from tests.integration.golden_source import write

SOCKET = f"/{FOLDER}/socket"


def make_store(root: Path, *, specimens: bool = False) -> Settings:
    """A store with the image web: a few hundred files, some of them large."""
    settings = default_settings(root)
    tree = tree_of(settings)
    chance = random.Random(7)
    for number in range(300):
        size = min(int(chance.lognormvariate(8.2, 1.5)), 60_000)
        text = b"".join(b"%d " % chance.randrange(1000) for _ in range(size // 4))
        write(tree / f"usr/d{number % 12}/f{number:03d}", text)
    for number in range(3):
        write(tree / f"usr/large{number}", chance.randbytes(5 << 20 if number == 0 else 200_000))
    write(
        tree / "etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"
    )
    if specimens:
        (tree / "home/alice").mkdir(parents=True)
        plant_specimens(tree)
        _plant_more(tree / FOLDER)
        plant_late_links(tree)
    write(settings.scripts / "web.master", "#!/bin/sh\ntrue\n")
    age(tree)
    return settings


def make_site(
    root: Path, *, networks: tuple[str, ...] = ("127.0.0.0/8",), specimens: bool = False
) -> Settings:
    """The store of server_kit, where a server can run, with this image in it."""
    settings = server_kit.make_store(root, networks=networks)
    make_store(root, specimens=specimens)
    return settings


def plant_late_links(tree: Path) -> None:
    """Links that lead out of the tree: tar makes them after it has set the times of folders."""
    for folder in ("usr", "usr/d3", "usr/d9"):
        (tree / folder / "late").symlink_to("/run/late")
        os.utime(tree / folder, ns=(10**18 + 9, 10**18 + 9))


def _plant_more(folder: Path) -> None:
    """What only a pack with frames, or one with tar's limits, can get wrong."""
    deep = folder.joinpath(*(str(number) * 60 for number in range(6)))
    deep.mkdir(parents=True)
    for long in (b"y" * 200, b"\xff" * 150):
        (deep / os.fsdecode(long)).write_bytes(long)
    (deep / ("l" * 120)).symlink_to("/t" * 150)
    write(folder / "large", os.urandom(9 << 20))
    (folder / "large-too").hardlink_to(folder / "large")
    write(folder / "acl-default/inner", "no ACL of its own\n")
    write(folder / "acl-default/large", os.urandom(200_000))
    (folder / "acl-default/folder").mkdir()
    for name in ("links/dangling", "device-char", "fifo"):
        os.setxattr(folder / name, "trusted.note", b"x", follow_symlinks=False)
    os.setxattr(folder / "xattr-folder", "trusted.a=b%3D c", b"\n=\0")
    for name, when in (("before-1970", -1_500_000_001), ("whole-second", 10**18)):
        write(folder / name, name)
        os.utime(folder / name, ns=(when, when))
    write(folder / "large-ids", "x")
    os.chown(folder / "large-ids", 3_000_000_000, 2_999_999)
    with (folder / "sparse-large").open("wb") as file:
        for offset in range(0, 100 << 20, 1 << 20):
            file.seek(offset)
            file.write(os.urandom(8192))
        file.truncate((100 << 20) + 12345)
    os.utime(folder, ns=(10**18 + 7, 10**18 + 7))


def age(tree: Path) -> None:
    """Set the times of all files back, as they are in a tree that was not just made."""
    for path in tree.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_mtime > 1.7e9:
            os.utime(path, ns=(10**18 + 5, 10**18 + 5))


def tree_of(settings: Settings, image: str = "web") -> Path:
    return settings.images / image


def publish(settings: Settings, *, full: bool = False, message: str = "") -> Published:
    with lock_image(settings, "web") as held:
        return publish_version(settings, held, full=full, message=message)


def version(settings: Settings, number: int | None = None) -> Version:
    return load_version(settings, VersionName("web", number))


def flip_bit(path: Path, at: float) -> None:
    """Spoil a file: one bit of its first (0) to its last (1) byte."""
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def left_behind(settings: Settings) -> list[str]:
    """Hidden entries of the store of versions."""
    return sorted(str(path) for path in settings.versions.rglob(".*"))
