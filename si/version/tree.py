"""A version's pack unpacked, for the transport rsync.

Stage 3. In: a version; out: the folder `tree` in it, which appears in one step. Made when a client
is armed that will read it, not before: it takes as much room as the image. It goes with its
version.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from si.config import Settings
from si.errors import NoSpace, VersionSpoiled
from si.names_check import VersionName
from si.system.files import locked
from si.system.run import find_tool, run
from si.version.store import (
    PACK,
    Version,
    list_numbers,
    version_path,
)

TREE = "tree"
_UNPACK = (
    "--zstd", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-xpf",
)  # fmt: skip


def tree_path(settings: Settings, image: str, number: int) -> Path:
    """Where the tree of a version is, or would be."""
    return version_path(settings, image, number) / TREE


def list_trees(settings: Settings, image: str) -> tuple[tuple[VersionName, Path], ...]:
    """The versions of an image that are unpacked, and where."""
    places = (
        (VersionName(image, number), tree_path(settings, image, number))
        for number in list_numbers(settings, image)
    )
    return tuple((name, path) for name, path in places if path.is_dir())


def ensure_tree(settings: Settings, version: Version) -> Path:
    """The version's tree, unpacked when nobody did before. What an attempt that was cut off left
    is removed. Raises NoSpace, VersionSpoiled, ToolMissing; there is no tree then."""
    number = version.name.number
    assert number is not None, "a version has a number"
    tree = tree_path(settings, version.name.image, number)
    with locked(version.path):
        if tree.is_dir():
            return tree
        staging = version.path / f".{TREE}"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            _unpack(version, staging)
            staging.rename(tree)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return tree


def _unpack(version: Version, folder: Path) -> None:
    find_tool("zstd")
    done = run([find_tool("tar"), *_UNPACK, version.path / PACK, "--directory", folder,
                "--warning=no-timestamp"], check=False)  # fmt: skip
    if done.exit_code == 0:
        return
    if b"No space left on device" in done.stderr:
        raise NoSpace(
            f"there is no room to unpack {version.name} in {version.path}",
            hint="make room (si-rmimage NAME@N), or install by --transport http",
        )
    said = done.stderr.decode("utf-8", "replace").partition("\n")[0]
    raise VersionSpoiled(f"{version.path / PACK} cannot be unpacked: {said}")
