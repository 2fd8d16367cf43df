"""A server with versions of an image, and trees as an install of one leaves them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from scripts.lab.specimens import FOLDER
from si.config import Settings
from si.image.metadata import Record, write_record
from si.version.signature import public_key_path
from si.version.store import PACK
from tests.integration import version_kit
from tests.integration.client_kit import Ended, Program

OLD = 1_600_000_000
UNPACK = ("tar", "--zstd", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-xpf")


def make_published(root: Path) -> Settings:
    """The same with web@1, which has a specimen of everything."""
    settings = make_unpublished(root, specimens=True)
    version_kit.publish(settings)
    return settings


def make_unpublished(root: Path, *, specimens: bool = False) -> Settings:
    """A site with web, an image of this machine's architecture, and no overrides."""
    settings = version_kit.make_site(root, specimens=specimens)
    record = Record("web", "2026-11-21T12:00:00Z", "golden", os.uname().machine, 1, 1)
    write_record(version_kit.tree_of(settings), record)
    for override in settings.overrides.iterdir():
        shutil.rmtree(override)
    return settings


def make_two_versions(root: Path) -> Settings:
    """The same with web@2, which differs in every way."""
    settings = make_published(root)
    change_image(version_kit.tree_of(settings))
    version_kit.publish(settings)
    return settings


def change_image(tree: Path) -> None:
    """What an administrator may do to an image between two versions."""
    put(tree / "usr/d0/f000", "other contents")
    (tree / "usr/d1/f001").chmod(0o4755)
    os.chown(tree / "usr/d2/f002", 12, 34)
    os.utime(tree / "usr/d3/f003", (OLD, OLD))
    (tree / "usr/d4/f004").unlink()
    shutil.rmtree(tree / "usr/d5")
    put(tree / "usr/new/deep/file", "new")
    (tree / "usr/new/second").hardlink_to(tree / "usr/new/deep/file")
    (tree / "usr/new/link").symlink_to("deep/file")
    shutil.rmtree(tree / "usr/d6")
    put(tree / "usr/d6", "a file now")
    (tree / "usr/d7/f007").unlink()
    put(tree / "usr/d7/f007/inside", "a folder now")
    (tree / "usr/d8/f008").unlink()
    (tree / "usr/d8/f008").symlink_to("f020")
    (tree / "usr/large0").write_bytes(os.urandom(6 << 20))
    specimens = tree / FOLDER
    put(specimens / "links/first", "written anew")
    os.removexattr(specimens / "acl-and-xattr", "user.origin")
    os.setxattr(specimens / "xattr", "user.more", b"")
    subprocess.run(["setfacl", "-d", "-x", "u:1000", specimens / "acl-default"], check=True)
    (specimens / "sparse-large").unlink()
    with (specimens / "sparse-large").open("wb") as file:
        file.truncate(50 << 20)
        file.seek(20 << 20)
        file.write(b"in the middle")


def install(settings: Settings, tree: Path, number: int = 1) -> Path:
    """Make the tree of web1 as an install of web@NUMBER leaves it."""
    tree.mkdir()
    pack = version_kit.version(settings, number).path / PACK
    subprocess.run([*UNPACK, pack, "-C", tree], check=True)
    put(tree / "etc/hostname", "web1\n")
    put(tree / "etc/systemimager/site-key.pub", public_key_path(settings).read_text())
    identity = {
        "format": 1,
        "server": f"http://127.0.0.1:{settings.server.http_port}",
        "client": "web1",
        "token": "t0ken",
        "image": "web",
        "arch": os.uname().machine,
        "captured": "2026-01-01T00:00:00Z",
    }
    put(tree / "etc/systemimager/client.json", json.dumps(identity))
    return tree


def copy_tree(tree: Path, copy: Path) -> Path:
    """The same tree once more, to do harm to."""
    subprocess.run(["cp", "-a", tree, copy], check=True)
    return copy


def put(file: Path, text: str) -> Path:
    """Write a file, and the directories that lead to it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def update(program: Program, client: Path, *words: str) -> Ended:
    return program("updateclient", "--root", client, "--no-bootloader", *words)


def is_clean(program: Program, client: Path, *words: str) -> None:
    """An audit that reads every file finds nothing, nor does another update."""
    audit = program("audit", "--root", client, "--full", *words)
    assert (audit.code, audit.stdout) == (0, ""), audit.stderr
    dry = update(program, client, "--dry-run", *words)
    assert (dry.code, dry.stdout) == (0, ""), dry.stderr


def snapshot(tree: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for path in tree.rglob("*"):
        if path.parts[len(tree.parts)] != "run":
            about = path.lstat()
            found[str(path)] = (about.st_ino, about.st_mode, about.st_mtime_ns, about.st_size)
    return found
