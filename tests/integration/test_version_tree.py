"""A version unpacked for rsync: whole or not at all, once, and not the image that is edited."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.lab.proof import count_differences
from si.config import Settings
from si.errors import NoSpace, VersionSpoiled
from si.image.lock import lock_image
from si.serve.rsyncd import list_modules
from si.version.store import PACK, remove_version
from si.version.tree import ensure_tree, list_trees
from tests.integration import version_kit


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = version_kit.make_store(tmp_path)
    version_kit.plant_late_links(version_kit.tree_of(settings))
    version_kit.publish(settings)
    return settings


def test_a_tree_is_the_version_and_is_made_once(settings: Settings) -> None:
    version = version_kit.version(settings)
    stale = version.path / ".tree/half"
    stale.mkdir(parents=True)
    tree = ensure_tree(settings, version)
    assert count_differences(version_kit.tree_of(settings), tree) == []
    assert not stale.parent.exists()
    assert (str(version.name), tree) in list_modules(settings)
    number = tree.stat().st_ino
    assert ensure_tree(settings, version).stat().st_ino == number


def test_a_tree_goes_with_its_version(settings: Settings) -> None:
    ensure_tree(settings, version_kit.version(settings))
    (version_kit.tree_of(settings) / "etc/passwd").write_text("another\n")
    version_kit.publish(settings)
    with lock_image(settings, "web") as held:
        remove_version(settings, held, 1)
    assert list_trees(settings, "web") == ()
    assert version_kit.left_behind(settings) == []


@pytest.mark.parametrize("place", [0, -1])
def test_a_spoiled_pack_gives_no_tree(settings: Settings, place: int) -> None:
    version = version_kit.version(settings)
    data = bytearray((version.path / PACK).read_bytes())
    data[place] ^= 1
    (version.path / PACK).write_bytes(data)
    with pytest.raises(VersionSpoiled, match=r"image\.tar\.zst cannot be unpacked"):
        ensure_tree(settings, version)
    assert list_trees(settings, "web") == ()
    assert version_kit.left_behind(settings) == []


def test_a_full_disk_gives_no_tree(settings: Settings) -> None:
    version = version_kit.version(settings)
    pack = (version.path / PACK).read_bytes()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", version.path], check=True)
    try:
        (version.path / PACK).write_bytes(pack)
        with pytest.raises(NoSpace, match="no room to unpack web@1"):
            ensure_tree(settings, version)
        assert [path.name for path in version.path.iterdir()] == [PACK]
    finally:
        subprocess.run(["umount", version.path], check=True)
