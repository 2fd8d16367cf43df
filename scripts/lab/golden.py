"""The golden client's disk: built once, kept in build/lab, one for each state of its sources.

`ensure_golden` gives a disk that must not be written to; a story that changes the golden client
takes a copy (`copy_disk`) or starts the machine with `keep_disks=False`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.lab.disk import Place
from scripts.lab.errors import LabError
from scripts.lab.golden_disk import ADDRESS, BOOT, MAC, ROOT, build_disk
from scripts.lab.golden_tree import ensure_tree, tree_hash
from scripts.lab.scratch import scratch_folder
from si.system.run import run

FOLDER = Path(__file__).resolve().parents[2] / "build/lab"
__all__ = ["ADDRESS", "FOLDER", "KEY", "MAC", "POINTS", "Golden", "copy_disk", "ensure_golden"]

KEY = "id_ed25519"
SOURCES = ("golden_disk.py", "specimens.py")
POINTS = {"/": Place(ROOT), "/boot": Place(BOOT)}
"""Where the disk's partitions belong, as `disk.mounted_tree` wants it."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Golden:
    """The golden client's disk and how to reach the machine it boots."""

    disk: Path
    key: Path
    """Private ssh key of root on it, and on every copy of it."""
    address: str = ADDRESS
    mac: str = MAC


def ensure_golden(folder: Path, progress: Progress) -> Golden:
    """The golden client below `folder`, built if need be (about two minutes).

    `progress` gets a line a step. `folder`/golden.raw always points to the present disk.
    Raises LabError, ToolMissing, CommandFailed.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder), usual_umask():
        key = ensure_key(folder)
        public = key.with_suffix(".pub").read_text()
        disk = folder / f"golden-{_disk_hash(public)}.raw"
        if not disk.exists():
            _build(folder, disk, public, progress)
        name = folder / "golden.raw"
        if not name.is_symlink() or name.readlink() != Path(disk.name):
            name.unlink(missing_ok=True)
            name.symlink_to(disk.name)
    return Golden(disk=disk, key=key)


def copy_disk(source: Path, copy: Path) -> Path:
    """A copy that may be written to; holes stay holes."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.unlink(missing_ok=True)
    run(["cp", "--sparse=always", "--reflink=auto", source, copy])
    return copy


def _build(folder: Path, disk: Path, public_key: str, progress: Progress) -> None:
    tree = ensure_tree(folder, progress)
    with scratch_folder(folder, "disk") as aside:
        made = aside / "golden.raw"
        build_disk(tree, public_key, made, progress)
        progress("keeping the disk")
        for old in folder.glob("golden-*.raw"):
            old.unlink()
        copy_disk(made, aside / "kept")
        (aside / "kept").rename(disk)


def _disk_hash(public_key: str) -> str:
    here = Path(__file__).parent
    parts = [tree_hash().encode(), public_key.encode()]
    parts += [(here / name).read_bytes() for name in SOURCES]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def ensure_key(folder: Path) -> Path:
    """The private key that opens every golden client of this folder."""
    key = folder / KEY
    if not key.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", key])
    return key


@contextmanager
def usual_umask() -> Iterator[None]:
    """The golden client's files get the modes that an installer would give them."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One builder at a time; a second one waits for the first one's result."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise LabError(f"cannot lock {folder}: {error.strerror}") from error
        yield
