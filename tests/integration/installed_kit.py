"""A server with versions of an image, and trees as an install of one leaves them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from si.config import Settings
from si.image.metadata import Record, write_record
from si.version.signature import public_key_path
from si.version.store import PACK
from tests.integration import version_kit

OLD = 1_600_000_000
UNPACK = ("tar", "--zstd", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-xpf")


def make_published(root: Path) -> Settings:
    """A site with web@1, an image of this machine's architecture, and no overrides."""
    settings = version_kit.make_site(root, specimens=True)
    record = Record("web", "2026-11-21T12:00:00Z", "golden", os.uname().machine, 1, 1)
    write_record(version_kit.tree_of(settings), record)
    for override in settings.overrides.iterdir():
        shutil.rmtree(override)
    version_kit.publish(settings)
    return settings


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
