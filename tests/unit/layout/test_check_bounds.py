"""What is just allowed, and what just is not: both sides of every bound that a layout has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from si.layout.check_groups import group_problems
from si.layout.model import (
    Disk,
    Fixed,
    LabelType,
    Layout,
    LogicalVolume,
    Partition,
    VolumeGroup,
)
from tests.unit.layout.test_check_layers import find

Problems = Callable[..., list[str]]
Changes = list[tuple[str, str]]

LEVEL = 'raid_level="5"'
CRYPT = 'pbkdf="argon2id" memory="64MiB" iterations="4"'
SMALL = ('size="4GiB"', 'size="2GiB"')
FOUR = [
    (' /dev/vda5"', ' /dev/vda5 /dev/vda6"'),
    ('real_dev="/dev/vda6"', 'real_dev="/dev/sys/data"'),
]
ALLOWED: dict[str, Changes] = {
    "level 4 of three": [(LEVEL, 'raid_level="4"')],
    "level 6 of four": [(LEVEL, 'raid_level="6"'), *FOUR],
    "a mirror with a spare": [(LEVEL, 'raid_level="1" spare_devices="1"'), SMALL],
    "metadata 0.90": [(LEVEL, f'{LEVEL} metadata="0.90"')],
    "metadata 1.0": [(LEVEL, f'{LEVEL} metadata="1.0"')],
    "metadata 1.1": [(LEVEL, f'{LEVEL} metadata="1.1"')],
    "parity at the left": [(LEVEL, f'{LEVEL} layout="left-asymmetric"')],
    "parity at the right": [(LEVEL, f'{LEVEL} layout="right-symmetric"')],
    "parity of level 6": [(LEVEL, 'raid_level="6" layout="parity-last"'), *FOUR],
    "near copies": [(LEVEL, 'raid_level="10" layout="n2"'), SMALL],
    "chunk": [(LEVEL, f'{LEVEL} chunk_size="4"')],
    "the highest array": [
        ('name="/dev/md1"', 'name="/dev/md511"'),
        ('dev="/dev/md1"', 'dev="/dev/md511"'),
    ],
    "little memory": [("64MiB", "32KiB")],
    "much memory": [("64MiB", "4GiB")],
    "few passes of pbkdf2": [(CRYPT, 'pbkdf="pbkdf2" iterations="1000"')],
    "a passphrase file": [(CRYPT, 'key="file:office"')],
    "a small extent": [('name="sys"', 'name="sys" phys_extent_size="4KiB"')],
    "GRUB of old": [('flavor="grub2"', 'flavor="grub"')],
    "another loader": [('flavor="grub2"', 'flavor="systemd"')],
    "a floor that is the ceiling": [
        ('num="6" size="4000"', 'num="6" size="*" min="9GiB" max="9GiB"')
    ],
    "a sector of old": [('"MiB">', '"MiB" sector="512">')],
}


@pytest.mark.parametrize("changes", ALLOWED.values(), ids=ALLOWED)
def test_just_allowed(changes: Changes) -> None:
    assert find(*changes) == []


REFUSED: dict[str, tuple[Changes, str]] = {
    "level 4 of two": (
        [(LEVEL, 'raid_level="4"'), (" /dev/vda5", "")],
        "11: /dev/md1 has 2 active devices, but level 4 needs 3",
    ),
    "level 6 of three": ([(LEVEL, 'raid_level="6"')], "11: /dev/md1 has 3 active devices"),
    "a mirror of one": (
        [(LEVEL, 'raid_level="1"'), (" /dev/vda4 /dev/vda5", "")],
        "11: /dev/md1 has 1 active devices, but level 1 needs 2",
    ),
    "spares of a row": (
        [(LEVEL, 'raid_level="linear" spare_devices="1"')],
        "11: /dev/md1: level linear cannot use spares",
    ),
    "chunks of a row": (
        [(LEVEL, 'raid_level="linear" chunk_size="64"')],
        "11: /dev/md1: level linear has no chunks",
    ),
    "small chunks": ([(LEVEL, f'{LEVEL} chunk_size="2"')], '11: chunk_size="2" is no power'),
    "layout of a mirror": (
        [(LEVEL, 'raid_level="1" layout="n2"')],
        '11: layout="n2" is none of level 1',
    ),
    "too little memory": ([("64MiB", "31KiB")], "13: memory must be between 32KiB"),
    "too much memory": ([("64MiB", "4194305KiB")], "13: memory must be between 32KiB"),
    "a part of a KiB": ([("64MiB", "65537B")], "13: memory must be whole KiB"),
    "too few passes": ([('iterations="4"', 'iterations="3"')], "13: iterations=3: LUKS wants 4"),
    "too few passes of pbkdf2": (
        [(CRYPT, 'pbkdf="pbkdf2" iterations="999"')],
        "13: iterations=999: LUKS wants 1000",
    ),
    "device mapper's own name": (
        [('name="secret"', 'name="control"'), ("mapper/secret", "mapper/control")],
        '13: name="control" is no name',
    ),
    "too small an extent": (
        [('name="sys"', 'name="sys" phys_extent_size="2KiB"')],
        "15: phys_extent_size is no power of two",
    ),
    "too large an extent": (
        [('name="sys"', 'name="sys" phys_extent_size="1TiB"')],
        "15: phys_extent_size is no power of two",
    ),
    "an unknown loader": ([('"grub2"', '"lilo"')], '22: flavor="lilo" is not supported yet'),
    "a thin /boot": (
        [
            ("/dev/vda2", "/dev/sys/x"),
            ("/dev/sys/thin", "/dev/vda2"),
            ("/dev/sys/x", "/dev/sys/thin"),
        ],
        "24: thin is thin, which GRUB cannot read",
    ),
    "no alignment": ([('"MiB">', '"MiB" alignment="1.5MiB">')], "2: alignment is no multiple"),
    "a subvolume with a comma": ([('name="@c"', 'name="@c,d"')], '29: name="@c,d" is no name'),
}


@pytest.mark.parametrize(("changes", "says"), REFUSED.values(), ids=REFUSED)
def test_just_refused(changes: Changes, says: str) -> None:
    found = find(*changes)
    assert any(line.startswith(says) for line in found), found


@pytest.mark.parametrize(
    "name",
    ["md", "mapper", "disk", "si", "shm", "pts", "input", "block", "char", "fd", "net", ".", ".."],
)
def test_a_group_takes_no_folder_that_dev_has(name: str) -> None:
    found = find(('name="sys"', f'name="{name}"'))
    assert any(line.startswith(f'15: name="{name}" is no name of a group') for line in found)


@pytest.mark.parametrize("name", [".", "..", "snapshot1", "pvmove0", "a_rimage_0", "a_tmeta"])
def test_a_volume_takes_no_name_that_lvm_keeps_for_itself(name: str) -> None:
    found = find(('name="data"', f'name="{name}"'))
    assert any(line.startswith(f'19: name="{name}" is no name of a volume') for line in found)


def test_shares_may_be_all_of_a_group_but_nothing_else_is_left_then() -> None:
    half, rest = 'size="1GiB"', 'size="*"'
    assert find((half, 'size="40%VG"'), (rest, 'size="5%VG"')) == []
    assert find((half, 'size="40%VG"'), (rest, 'size="60%VG"')) == [
        "19: the percentages take all of sys: nothing is left for its other volumes"
    ]
    assert find((half, 'size="40%VG"'), (rest, 'size="61%VG"')) == [
        "19: the percentages of sys add up to 101, more than 100"
    ]
    assert find(('size="4GiB"', 'size="20%VG"'), (half, 'size="40%VG"'), (rest, 'size="40%"')) == []


def test_the_share_that_is_too_much_is_the_last_one() -> None:
    half, rest = 'size="1GiB"', 'size="*"'
    assert find((half, 'size="100%VG"'), (rest, 'size="2GiB"')) == [
        "17: the percentages take all of sys: nothing is left for its other volumes"
    ]
    assert find(('size="4GiB"', 'size="20%"'), (half, 'size="40.01%"'), (rest, 'size="40%"')) == [
        "19: the percentages of sys add up to 100.01, more than 100"
    ]


def test_a_bad_extent_is_all_that_is_told_of_a_group() -> None:
    (found,) = find(('name="sys"', 'name="sys" phys_extent_size="1TiB"'))
    assert found == "15: phys_extent_size is no power of two of at least 4KiB: write 4MiB"


def test_a_group_without_members_has_no_room_that_could_be_too_small() -> None:
    assert find((' devices="/dev/mapper/secret"', "")) == [
        '15: volume group sys has no members: write devices="/dev/vda3"'
    ]


def test_a_group_without_volumes() -> None:
    layout = Layout((), (), volume_groups=(VolumeGroup("g", ("/dev/a",), source_line=7),))
    (group,) = layout.volume_groups
    assert list(group_problems(group, layout)) == [
        (7, "volume group g has no volumes: write at least one <lv>")
    ]


def test_the_pools_that_there_are_are_named() -> None:
    (found,) = find(('thin_pool="pool"', 'thin_pool="pond"'))
    assert found == '18: thin_pool="pond" is no thin pool: pool'
    (found,) = find((' type="thin-pool"', ""))
    assert found == '18: thin_pool="pool" is no thin pool: there is none in sys'


@pytest.mark.parametrize(
    ("mib", "extent_kib", "problems"),
    [
        (1028, None, []),
        (1027, None, ["need 1GiB, but its members have 1020MiB"]),
        (1027, 16 * 1024, ["need 1GiB, but its members have 1008MiB"]),
        (1028, 16 * 1024, []),
    ],
)
def test_volumes_fill_a_group_to_its_last_extent(
    mib: int, extent_kib: int | None, problems: list[str]
) -> None:
    disk = Disk("/dev/sda", LabelType.GPT, (Partition(1, Fixed(mib * 1024**2)),))
    extent = None if extent_kib is None else extent_kib * 1024
    group = VolumeGroup("g", ("/dev/sda1",), extent, (LogicalVolume("v", Fixed(2**30)),))
    layout = Layout((disk,), (), volume_groups=(group,))
    found = [text for _line, text in group_problems(group, layout)]
    assert found == [f"the volumes of g {text}: make them smaller" for text in problems]


def test_data_lost_with_one_disk_is_warned_of_only_where_the_level_saves_it() -> None:
    warned = find((LEVEL, 'raid_level="1"'), warnings=True)
    assert warned == ["11: /dev/md1 has two members on one disk: when it fails, both are lost"]
    assert find((LEVEL, 'raid_level="0"'), warnings=True) == []
    assert find((LEVEL, 'raid_level="linear"'), warnings=True) == []


@pytest.mark.parametrize(
    ("kind", "most"),
    [("ext2", 16), ("ext3", 16), ("ext4", 16), ("xfs", 12), ("vfat", 11), ("btrfs", 255)],
)
def test_room_for_a_label(kind: str, most: int, problems: Problems) -> None:
    boot = 'mp="/boot" fs="ext4"'
    assert problems((boot, f'label="{"x" * most}" mp="/boot" fs="{kind}"')) == []
    (found,) = problems((boot, f'label="{"x" * (most + 1)}" mp="/boot" fs="{kind}"'))
    assert found.endswith(f"is too long: {kind} has room for {most}")


def test_room_for_a_label_of_swap(problems: Problems) -> None:
    swap = 'mp="swap" fs="swap"'
    assert problems((swap, f'label="{"x" * 15}" {swap}')) == []
    assert len(problems((swap, f'label="{"x" * 16}" {swap}'))) == 1


def test_a_label_is_counted_in_bytes(problems: Problems) -> None:
    boot = 'mp="/boot" fs="ext4"'
    assert len(problems((boot, f'label="{"ä" * 9}" {boot}'))) == 1


@pytest.mark.parametrize(
    ("kind", "uuid"),
    [("ext4", "0A1b2c3d-0123-4567-89ab-cdef01234567"), ("vfat", "0A1b-2C3d")],
)
def test_a_uuid_that_is_one(kind: str, uuid: str, problems: Problems) -> None:
    boot = 'mp="/boot" fs="ext4"'
    assert problems((boot, f'mount_dev="UUID={uuid}" mp="/boot" fs="{kind}"')) == []


def test_what_has_no_mount_point_may_stand_twice(problems: Problems) -> None:
    proc = '<fsinfo line="40" real_dev="proc" mp="/proc" fs="proc" options="defaults"/>'
    none = '<fsinfo line="{}" real_dev="server:/x" mp="none" fs="nfs" options="noauto"/>'
    assert problems((proc, none.format(40) + none.format(50))) == []


@pytest.mark.parametrize("where", ["/a/./b", "/a/..", "//", "/a&#127;"])
def test_no_mount_point(where: str, problems: Problems) -> None:
    found = problems(('mp="/proc"', f'mp="{where}"'))
    assert len(found) == 1
    assert "is no mount point" in found[0]


def test_a_partition_of_msdos_ends_at_2_tib(problems: Problems) -> None:
    size = 'num="1" size="256"'
    assert problems((size, 'num="1" size="2TiB"')) == []
    assert problems((size, 'num="1" size="2097153MiB"')) == [
        "3: msdos ends at 2 TiB: write label_type gpt"
    ]


def test_a_disk_that_is_just_large_enough(problems: Problems) -> None:
    table = 'label_type="msdos" unit_of_measurement="MiB"'
    assert problems((table, f'{table} capacity="788MiB"')) == []
    assert len(problems((table, f'{table} capacity="787MiB"'))) == 1
