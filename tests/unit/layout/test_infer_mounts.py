"""fstab and what is mounted to the entries of a layout."""

from __future__ import annotations

import dataclasses

import pytest

from si.client.record import Facts
from si.layout.infer import infer_layout
from si.layout.model import Filesystem, FilesystemType, Mount, Subvolume
from tests.unit.layout.stacked import encrypted, mount
from tests.unit.layout.test_infer import machine, with_lsblk
from tests.unit.layout.test_infer_layers import with_layers

INNER = "/dev/mapper/secret"


def with_fstab(facts: Facts, *lines: str) -> Facts:
    return dataclasses.replace(facts, fstab="\n".join(lines) + "\n")


def subvolumes(facts: Facts) -> tuple[Subvolume, ...]:
    root = infer_layout(facts).mounted_at("/")
    assert isinstance(root, Filesystem)
    return root.subvolumes


@pytest.mark.parametrize("btrfs", [{"/": "ID 256 gen 10 top level 5 path @\n"}, {}])
def test_the_subvolume_that_is_mounted_where_fstab_names_none(btrfs: dict[str, str]) -> None:
    """What is mounted may also be a folder, where subvolumes are listed."""
    facts = with_layers(encrypted(), btrfs=btrfs)
    facts = with_fstab(facts, f"{INNER} / btrfs noatime 0 0", f"{INNER} /home btrfs compress 0 0")
    home = mount("/home", INNER, "btrfs", "/@home")
    root = mount("/", INNER, "btrfs", "/@", children=[home])
    facts = dataclasses.replace(facts, findmnt={"filesystems": [root]})
    listed = (Subvolume("@", "/"),)
    assert subvolumes(facts) == (
        listed if btrfs else (*listed, Subvolume("@home", "/home", "compress"))
    )


def test_the_subvolume_that_fstab_names_where_it_is_not_mounted() -> None:
    facts = with_fstab(
        encrypted(),
        f"{INNER} / btrfs subvol=@ 0 1",
        f"{INNER} /a btrfs noauto,subvol=/@a,compress 0 0",
    )
    facts = dataclasses.replace(facts, findmnt={"filesystems": [mount("/", INNER, "btrfs")]})
    assert subvolumes(facts) == (Subvolume("@", "/"), Subvolume("@a", "/a", "noauto,compress"))
    root = infer_layout(facts).mounted_at("/")
    assert isinstance(root, Filesystem)
    assert (root.options, root.fsck_pass) == ("defaults", 1)


def test_btrfs_without_subvolumes() -> None:
    facts = with_lsblk(machine("debian-virtio-bios"), {"/dev/vda1": {"fstype": "btrfs"}})
    boot = infer_layout(facts).mounted_at("/boot")
    assert boot == Filesystem(50, "/dev/vda1", "/boot", FilesystemType.BTRFS, fsck_pass=2)


def test_findmnt_of_old_knows_no_subvolumes() -> None:
    facts = with_fstab(with_layers(encrypted(), btrfs={}), f"{INNER} / btrfs defaults 0 0")
    root = {"target": "/", "source": INNER, "fstype": "btrfs"}
    assert subvolumes(dataclasses.replace(facts, findmnt={"filesystems": [root]})) == ()


def test_what_is_mounted_again_is_a_line_of_fstab_only() -> None:
    facts = machine("debian-virtio-bios")
    lines = ("/dev/vda2 /again ext4 ro 1 2", "server:/x none nfs noauto 0 0")
    entries = infer_layout(with_fstab(facts, facts.fstab.rstrip(), *lines)).entries
    assert entries[-2:] == (
        Mount(90, "/dev/vda2", "/again", "ext4", "ro", 1, 2),
        Mount(100, "server:/x", "none", "nfs", "noauto"),
    )


def test_what_is_in_no_fstab_is_mounted_at_the_shortest_of_its_places() -> None:
    facts = machine("debian-virtio-bios")
    places = [mount(place, "/dev/vda1", "ext4") for place in ("/a/longer", "/zz", "/b/longer")]
    facts = dataclasses.replace(facts, findmnt={"filesystems": places}, fstab="")
    assert "/zz" in [filesystem.mount_point for filesystem in infer_layout(facts).filesystems]
