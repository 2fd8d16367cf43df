"""Facts of machines with arrays, volume groups, encryption and subvolumes to layouts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from si.client.record import Facts, dump_facts, parse_facts
from si.errors import DocumentInvalid
from si.layout.contradict import contradictions
from si.layout.document import dump_layout, load_layout
from si.layout.infer import infer_layout
from si.layout.infer_layers import infer_layers
from si.layout.inventory import take_inventory
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
from tests.unit.layout.test_infer import with_lsblk


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


def test_a_volume_that_cannot_be_made_is_told() -> None:
    facts = with_lsblk(mirrored(), {"/dev/mapper/vg--sys-root": {"fstype": "bcachefs"}})
    with pytest.raises(DocumentInvalid) as caught:
        infer_layout(facts)
    assert [str(problem) for problem in caught.value.problems] == [
        "facts of golden:0: /dev/vg-sys/root (/) is bcachefs, which is not supported yet"
    ]


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


def with_layers(facts: Facts, **changes: Any) -> Facts:
    return dataclasses.replace(facts, layers=dataclasses.replace(facts.layers, **changes))


def with_group(facts: Facts, **changes: str) -> Facts:
    (row,) = facts.layers.vgs
    return with_layers(facts, vgs=[row | changes])


def test_an_array_whose_records_are_unread_has_its_members_as_lsblk_lists_them() -> None:
    layout = infer_layout(with_layers(mirrored(), mdadm={}))
    assert layout.raids[0] == Raid("/dev/md0", RaidLevel.MIRROR, ("/dev/vda2", "/dev/vdb2"))


def test_spares_are_no_members() -> None:
    facts = mirrored()
    text = facts.layers.mdadm["/dev/md1"].replace("vda3_ROLE=1", "vda3_ROLE=spare")
    layout = infer_layout(with_layers(facts, mdadm={"/dev/md1": text}))
    assert (layout.raids[1].members, layout.raids[1].spares) == (("/dev/vdb3",), ("/dev/vda3",))


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("raid0", RaidLevel.STRIPE),
        ("raid10", RaidLevel.RAID10),
        ("raid6", RaidLevel.RAID6),
        ("linear", RaidLevel.LINEAR),
        ("raid", RaidLevel.MIRROR),
    ],
)
def test_levels_by_what_lsblk_calls_them(kind: str, level: RaidLevel) -> None:
    facts = with_lsblk(mirrored(), {"/dev/md0": {"type": kind}})
    levels = {raid.device: raid.level for raid in infer_layers(facts, take_inventory(facts)).raids}
    assert levels == {"/dev/md0": level, "/dev/md1": RaidLevel.MIRROR}


@pytest.mark.parametrize("kind", ["linear", "md", *(f"raid{level}" for level in "01456"), "raid10"])
def test_arrays_of_every_kind_can_be_inferred(kind: str) -> None:
    assert infer_layout(with_lsblk(mirrored(), {"/dev/md0": {"type": kind}})).raids


@pytest.mark.parametrize(
    ("free", "grows"), [(3 * GIB // 20 - 1, True), (3 * GIB // 20, False), (0, True)]
)
def test_what_counts_as_given_out(free: int, grows: bool) -> None:
    (group,) = infer_layout(with_group(mirrored(), vg_free=str(free))).volume_groups
    assert isinstance(group.volumes[0].size, Rest) is grows


@pytest.mark.parametrize(
    ("text", "extent"),
    [("4194304", None), ("8388608", 8388608), ("8388608.00", 8388608), ("x", None)],
)
def test_extents_of_another_size_are_kept(text: str, extent: int | None) -> None:
    (group,) = infer_layout(with_group(mirrored(), vg_extent_size=text)).volume_groups
    assert group.extent == extent


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024", 1024), ("1024.00", 1024), ("0", 512), ("", 512), ("-1", 512), ("9" * 20, 512)],
)
def test_sizes_of_volumes(text: str, size: int) -> None:
    root, swap = mirrored().layers.lvs
    facts = with_layers(mirrored(), lvs=[root, {**swap, "lv_size": text}])
    assert infer_layout(facts).volume_groups[0].volumes[1].size == Fixed(size)


def test_stripes_become_linear() -> None:
    lvs = [{**row, "segtype": "striped"} for row in mirrored().layers.lvs]
    assert infer_layout(with_layers(mirrored(), lvs=lvs)) == infer_layout(mirrored())


def test_a_group_without_volumes_is_left_out() -> None:
    (row,) = mirrored().layers.vgs
    facts = with_layers(mirrored(), vgs=[{**row, "vg_name": "idle"}, row])
    assert infer_layout(facts).volume_groups == infer_layout(mirrored()).volume_groups


def test_lsblk_of_old_knows_names_only() -> None:
    facts = mirrored()
    plain = ("/dev/vda", "/dev/vdb", "/dev/md0", "/dev/md1")
    paths = [*plain, *(f"{disk}{number}" for disk in plain[:2] for number in (1, 2, 3))]
    assert infer_layout(with_lsblk(facts, {path: {"path": None} for path in paths})) == (
        infer_layout(facts)
    )


def test_the_largest_volume_takes_the_rest_unless_it_is_swap() -> None:
    facts = mirrored()
    root, swap = facts.layers.lvs
    data = {**root, "lv_name": "data", "lv_size": str(2 * GIB + 512)}
    (group,) = infer_layout(with_layers(facts, lvs=[root, swap, data])).volume_groups
    assert [type(volume.size) for volume in group.volumes] == [Fixed, Fixed, Rest]
    thin = {**root, "segtype": "thin", "pool_lv": "elsewhere"}
    (group,) = infer_layout(with_layers(facts, lvs=[thin])).volume_groups
    assert group.volumes == (LogicalVolume("root", Fixed(2 * GIB), thin_pool="elsewhere"),)
    facts = with_layers(facts, lvs=[root, {**swap, "lv_size": str(3 * GIB)}])
    assert [type(volume.size) for volume in infer_layout(facts).volume_groups[0].volumes] == [
        Rest,
        Fixed,
    ]
    only = with_layers(facts, lvs=[swap])
    (group,) = infer_layers(only, take_inventory(only)).groups
    assert group.volumes == (LogicalVolume("swap", Rest()),)


def test_a_container_that_is_in_no_crypttab() -> None:
    luks = {"/dev/vda3": {"kdf": "pbkdf2", "iterations": 1000, "memory_kib": 65536}}
    for crypttab in ("", "#secret UUID=l none a\nsecret UUID=l none\n# secret UUID=l none\n"):
        facts = with_layers(encrypted(), luks=luks, crypttab=crypttab)
        assert infer_layers(facts, take_inventory(facts)).crypts == (
            Crypt("secret", "/dev/vda3", pbkdf=Pbkdf.PBKDF2, iterations=1000),
        )


def test_subvolumes_that_nothing_lists_are_those_that_are_mounted() -> None:
    root = infer_layout(with_layers(encrypted(), btrfs={})).mounted_at("/")
    assert isinstance(root, Filesystem)
    assert [sub.name for sub in root.subvolumes] == ["@home", "@"]
