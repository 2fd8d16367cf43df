"""Where flavors stand, what BOEL's own lists say, and what is refused before anything is built."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from si.boot.closure import parse_programs
from si.boot.flavor import boel_source, build_flavor, flavor_path, require_flavor
from si.boot.modules import parse_names
from si.config import default_settings
from si.errors import FlavorBuildFailed, FlavorNotFound, NameInvalid


def test_a_flavor_stands_below_root(tmp_path: Path) -> None:
    path = flavor_path(default_settings(tmp_path), flavor="virtio", arch="x86_64")
    assert path == tmp_path / "var/lib/systemimager/flavors/x86_64/virtio"


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", ".hidden", "a b"])
def test_names_that_are_no_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(NameInvalid):
        build_flavor(default_settings(tmp_path), flavor=name)
    with pytest.raises(NameInvalid):
        require_flavor(default_settings(tmp_path), flavor="virtio", arch=name)
    assert not list(tmp_path.iterdir())


def test_a_flavor_is_there_when_its_files_are(tmp_path: Path) -> None:
    settings = default_settings(tmp_path)
    path = flavor_path(settings, flavor="virtio", arch="x86_64")
    path.mkdir(parents=True)
    (path / "kernel").touch()
    with pytest.raises(FlavorNotFound) as caught:
        require_flavor(settings, flavor="virtio", arch="x86_64")
    assert caught.value.hint == "build it: si-mkbootpackage --flavor virtio --arch x86_64"
    (path / "initrd.img").touch()
    assert require_flavor(settings, flavor="virtio", arch="x86_64") == path
    with pytest.raises(FlavorNotFound, match="that can install by torrent"):
        require_flavor(settings, flavor="virtio", arch="x86_64", torrent=True)
    (path / "torrent.img").touch()
    assert require_flavor(settings, flavor="virtio", arch="x86_64", torrent=True) == path


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FlavorBuildFailed, match="cannot be built for riscv64"):
        build_flavor(default_settings(tmp_path), flavor="virtio", arch="riscv64")


def test_a_system_without_kernel_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(FlavorBuildFailed) as caught:
        build_flavor(default_settings(tmp_path), flavor="virtio", system=tmp_path / "nothing")
    assert "linux-image-amd64" in (caught.value.hint or "")


def test_a_kernel_without_its_modules_names_the_package(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/vmlinuz-6.1.0-99-amd64").write_bytes(b"kernel")
    with pytest.raises(FlavorBuildFailed, match=r"6\.1\.0-99-amd64/modules\.dep") as caught:
        build_flavor(
            default_settings(tmp_path), flavor="virtio", kernel="6.1.0-99-amd64", system=tmp_path
        )
    assert "linux-image-6.1.0-99-amd64" in (caught.value.hint or "")


def test_standard_takes_in_virtio() -> None:
    lists = {path.name: parse_names(path.read_text()) for path in boel_source().glob("modules.*")}
    assert set(lists) == {"modules.standard", "modules.virtio"}
    assert "@virtio" in lists["modules.standard"]
    assert {"virtio_blk", "virtio_net", "virtio_rng", "ext4", "xfs", "vfat"} <= set(
        lists["modules.virtio"]
    )
    for names in lists.values():
        assert len(set(names)) == len(names), "a module is listed twice"


def test_programs_are_listed_once() -> None:
    wanted = parse_programs((boel_source() / "programs").read_text())
    names = [item.name for item in wanted]
    assert len(set(names)) == len(names)
    assert {"busybox", "rsync", "parted", "mkfs.ext4", "mkfs.xfs", "mkfs.vfat"} <= set(names)


def test_init_can_be_started() -> None:
    init = boel_source() / "init"
    assert init.read_text().startswith("#!/bin/sh\n")
    assert init.stat().st_mode & stat.S_IXUSR
