"""Facts of machines with arrays, volume groups, encryption and subvolumes to layouts."""

from __future__ import annotations

import dataclasses

import pytest

from si.client.record import Facts, dump_facts, parse_facts
from si.errors import DocumentInvalid
from si.layout.contradict import contradictions
from si.layout.document import dump_layout, load_layout
from si.layout.infer import infer_layout
from si.layout.model import (
    Crypt,
    Filesystem,
    Fixed,
    LogicalVolume,
    Pbkdf,
    Raid,
    RaidLevel,
    Rest,
    Subvolume,
    VolumeGroup,
)
from tests.unit.layout.stacked import GIB, encrypted, mirrored


def test_a_mirror_with_lvm() -> None:
    layout = infer_layout(mirrored())
    assert layout.raids == (
        Raid("/dev/md0", RaidLevel.MIRROR, ("/dev/vdb2", "/dev/vda2"), metadata="1.0"),
        Raid("/dev/md1", RaidLevel.MIRROR, ("/dev/vdb3", "/dev/vda3"), metadata="1.2"),
    )
    assert layout.volume_groups == (
        VolumeGroup(
            "vg-sys",
            ("/dev/md1",),
            volumes=(LogicalVolume("root", Rest()), LogicalVolume("swap", Fixed(GIB))),
        ),
    )
    assert [(f.device, f.mount_point) for f in layout.filesystems] == [
        ("/dev/vg-sys/root", "/"),
        ("/dev/md0", "/boot"),
        ("/dev/vda1", "/boot/efi"),
        ("/dev/vg-sys/swap", "swap"),
    ]
    assert [disk.device for disk in layout.disks] == ["/dev/vda", "/dev/vdb"]
    for disk in layout.disks:
        assert isinstance(disk.partitions[2].size, Rest)
        assert disk.partitions[2].type_id is None


def test_a_group_with_free_space_keeps_it() -> None:
    facts = mirrored()
    (row,) = facts.layers.vgs
    vgs = [{**row, "vg_free": str(GIB)}]
    layout = infer_layout(
        dataclasses.replace(facts, layers=dataclasses.replace(facts.layers, vgs=vgs))
    )
    assert [volume.size for volume in layout.volume_groups[0].volumes] == [
        Fixed(2 * GIB),
        Fixed(GIB),
    ]


def test_encryption_with_subvolumes() -> None:
    layout = infer_layout(encrypted())
    assert layout.crypts == (
        Crypt(
            "secret",
            "/dev/vda3",
            pbkdf=Pbkdf.ARGON2ID,
            memory_kib=65536,
            iterations=4,
            options="luks,discard",
        ),
    )
    root = layout.mounted_at("/")
    assert isinstance(root, Filesystem)
    assert (root.device, root.mount_point, root.label) == ("/dev/mapper/secret", "/", "sys")
    assert root.options == "defaults"
    assert root.subvolumes == (Subvolume("@home", "/home", "noatime"), Subvolume("@", "/"))
    assert layout.mounted_at("/home") is root
    assert [entry.order for entry in layout.entries] == [10, 30, 40]


@pytest.mark.parametrize("facts", [mirrored(), encrypted()], ids=["mirrored", "encrypted"])
def test_what_is_inferred_survives(facts: Facts) -> None:
    layout = infer_layout(facts)
    assert load_layout(dump_layout(layout), "f") == layout
    assert contradictions(layout, facts) == ()
    assert parse_facts(dump_facts(facts), "f") == facts
    assert "uuid" not in dump_layout(layout)


def test_a_volume_of_another_kind_is_told() -> None:
    facts = mirrored()
    lvs = [{**row, "segtype": "cache"} for row in facts.layers.lvs]
    facts = dataclasses.replace(facts, layers=dataclasses.replace(facts.layers, lvs=lvs))
    with pytest.raises(DocumentInvalid) as caught:
        infer_layout(facts)
    assert caught.value.problems[0].message == (
        "/dev/vg-sys/root is a cache volume, which is not supported yet: linear ones are"
    )


def test_thin_volumes() -> None:
    facts = mirrored()
    root, swap = facts.layers.lvs
    lvs = [
        {**root, "lv_name": "pool", "segtype": "thin-pool"},
        {**root, "segtype": "thin", "pool_lv": "pool"},
        swap,
    ]
    facts = dataclasses.replace(facts, layers=dataclasses.replace(facts.layers, lvs=lvs))
    (group,) = infer_layout(facts).volume_groups
    assert group.volumes == (
        LogicalVolume("pool", Rest(), is_pool=True),
        LogicalVolume("root", Fixed(2 * GIB), thin_pool="pool"),
        LogicalVolume("swap", Fixed(GIB)),
    )
