"""mdadm, cryptsetup and lvcreate, where the golden scripts do not go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from si.layout.model import (
    Crypt,
    Fixed,
    Layout,
    LogicalVolume,
    Pbkdf,
    Percent,
    Raid,
    RaidLevel,
    Rest,
    VolumeGroup,
)
from si.script.layers import layer_steps, passphrase_steps, root_name, storage_files
from si.script.render import render_steps

RAID = Raid("/dev/md0", RaidLevel.RAID6, ("/dev/a", "/dev/b", "/dev/c", "/dev/d"))
CRYPT = Crypt("c", "/dev/a")


def made(layout: Layout, program: str) -> list[str]:
    lines = render_steps(layer_steps(layout)).splitlines()
    return [line for line in lines if line.startswith(program)]


def mdadm(raid: Raid) -> str:
    (line,) = made(Layout((), (), raids=(raid,)), "mdadm ")
    return line


def luks_format(crypt: Crypt) -> str:
    return made(Layout((), (), crypts=(crypt,)), "cryptsetup luksFormat")[0]


def lvcreate(*volumes: LogicalVolume) -> list[str]:
    group = VolumeGroup("g", ("/dev/a",), volumes=volumes)
    start = "lvm lvcreate --quiet --yes --name "
    layout = Layout((), (), volume_groups=(group,))
    return [line.removeprefix(start) for line in made(layout, start)]


def test_parity_is_made_and_copies_are_not_compared() -> None:
    for level in (RaidLevel.RAID4, RaidLevel.RAID5, RaidLevel.RAID6):
        assert "--assume-clean" not in mdadm(replace(RAID, level=level))
    for level in (RaidLevel.MIRROR, RaidLevel.RAID10, RaidLevel.STRIPE):
        assert " --assume-clean " in mdadm(replace(RAID, level=level))


def test_an_array_in_full() -> None:
    raid = replace(RAID, spares=("/dev/e", "/dev/f"), chunk=64 * 1024, layout="parity-last")
    assert mdadm(raid) == (
        "mdadm --create /dev/md0 --run --quiet --homehost=any --level=6 --metadata=1.2 "
        '"--uuid=$MD_UUID_md0" --raid-devices=4 --spare-devices=2 --chunk=64K '
        "--layout=parity-last --bitmap=internal /dev/a /dev/b /dev/c /dev/d /dev/e /dev/f"
    )


@pytest.mark.parametrize(
    ("level", "metadata", "bitmap"),
    [
        (RaidLevel.MIRROR, "1.2", "internal"),
        (RaidLevel.MIRROR, "0.90", "none"),
        (RaidLevel.STRIPE, "1.2", None),
        (RaidLevel.LINEAR, "1.2", None),
    ],
)
def test_mdadm_is_told_before_it_asks(level: RaidLevel, metadata: str, bitmap: str | None) -> None:
    words = mdadm(replace(RAID, level=level, metadata=metadata)).split()
    found = [word for word in words if word.startswith("--bitmap")]
    assert found == ([f"--bitmap={bitmap}"] if bitmap else [])


def test_what_deriving_a_key_costs() -> None:
    assert " --pbkdf argon2id --uuid " in luks_format(CRYPT)
    passes = replace(CRYPT, pbkdf=Pbkdf.PBKDF2, iterations=1000, iter_time_ms=5)
    assert " --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --uuid " in luks_format(passes)
    timed = replace(CRYPT, memory_kib=32, iter_time_ms=5)
    assert " --pbkdf-memory 32 --iter-time 5 --uuid " in luks_format(timed)


def test_where_a_passphrase_comes_from() -> None:
    crypts = (CRYPT, replace(CRYPT, name="d", key="file:office"))
    assert render_steps(passphrase_steps(Layout((), (), crypts=crypts))) == (
        "get_passphrase c\nget_passphrase d office\n"
    )


def test_volumes_take_what_they_are_due_before_the_rest_is_given_away() -> None:
    assert lvcreate(
        LogicalVolume("rest", Rest()),
        LogicalVolume("thin", Fixed(2**30), thin_pool="pool"),
        LogicalVolume("half", Percent(5000), options="-i 2"),
        LogicalVolume("odd", Percent(1250)),
        LogicalVolume("pool", Fixed(2**20), is_pool=True),
    ) == [
        "half --wipesignatures y --extents 50%VG -i 2 g",
        'odd --wipesignatures y --extents "$extents" g',
        "pool --type thin-pool --size 1048576b g",
        "rest --wipesignatures y --extents 100%FREE g",
        "thin --type thin --thinpool pool --virtualsize 1073741824b g",
    ]


def test_a_part_of_a_percent_is_reckoned_on_the_client() -> None:
    volumes = (LogicalVolume("odd", Percent(1250)),)
    layout = Layout((), (), volume_groups=(VolumeGroup("g", ("/dev/a",), volumes=volumes),))
    assert made(layout, "extents=") == [
        "extents=$(lvm vgs --noheadings --options vg_extent_count g)",
        "extents=$((extents * 1250 / 10000))",
    ]


def test_extents_of_a_size() -> None:
    volumes = (LogicalVolume("a", Rest()),)
    layout = Layout((), (), volume_groups=(VolumeGroup("g", ("/dev/a",), 2**23, volumes),))
    assert made(layout, "lvm vgcreate") == [
        "lvm vgcreate --quiet --yes --physicalextentsize 8388608b g /dev/a"
    ]


def test_what_the_new_system_is_told() -> None:
    layout = Layout((), (), raids=(RAID,), crypts=(CRYPT,))
    assert render_steps(storage_files(layout)).splitlines() == [
        "cat >/run/boel/arrays <<EOF",
        "ARRAY /dev/md0 metadata=1.2 UUID=$MD_UUID_md0",
        "EOF",
        "cat >/run/boel/crypttab <<EOF",
        "c UUID=$LUKS_UUID_c none luks",
        "EOF",
    ]
    assert list(storage_files(Layout((), ()))) == []


def test_how_an_initramfs_is_told_of_the_root() -> None:
    group = VolumeGroup("vg-1", ("/dev/b",), volumes=(LogicalVolume("a-b", Rest()),))
    layout = Layout((), (), raids=(RAID,), crypts=(CRYPT,), volume_groups=(group,))
    assert root_name("/dev/mapper/c", layout) == "/dev/mapper/c"
    assert root_name("/dev/vg-1/a-b", layout) == "/dev/mapper/vg--1-a--b"
    assert root_name("/dev/md0", layout) is None
