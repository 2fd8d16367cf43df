"""The partition and format steps of master scripts, run for real on loop devices.

What was written is read back by sfdisk -J and blkid.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from si.client.record import parse_facts
from si.layout.document import load_layout
from si.layout.infer import infer_layout
from si.layout.inventory import take_inventory
from si.layout.model import (
    MIB,
    Comment,
    Filesystem,
    FilesystemType,
    Flag,
    LabelType,
    Mount,
    PartitionKind,
)
from si.script.plan import least_disk_bytes
from tests.disk.loops import (
    EXAMPLES,
    Loops,
    apply,
    check_filesystems,
    check_geometry,
    emptied,
    example,
    on_devices,
    read_blkid,
    read_table,
    run,
)

GOLDEN = Path(__file__).parents[1] / "golden"
MACHINES = Path(__file__).parents[1] / "machines"
NEW = sorted(path.stem for path in EXAMPLES.glob("*.xml") if path.stem != "keep")


@pytest.mark.parametrize("name", NEW)
def test_an_example_is_on_the_disk_as_planned(name: str, loops: Loops, tmp_path: Path) -> None:
    layout, sizes = example(name, loops)
    values = apply(layout, tmp_path)
    for disk in layout.disks:
        check_geometry(disk, sizes[disk.device])
        table = read_table(disk.device)
        variable = f"DISK_{'ID' if disk.label is LabelType.MSDOS else 'GUID'}_"
        identity = values[variable + disk.device.removeprefix("/dev/")]
        assert table["id"].lower() == identity.lower()
    check_filesystems(layout, values)


def test_a_classic_document_is_on_the_disk_as_planned(loops: Loops, tmp_path: Path) -> None:
    path = GOLDEN / "classic-vda/layout.xml"
    size = 4500 * 1000 * 1000
    layout = load_layout(path.read_bytes(), path.name)
    layout = on_devices(layout, {"/dev/vda": loops.add(size)})
    values = apply(layout, tmp_path)
    check_geometry(layout.disks[0], size)
    check_filesystems(layout, values)
    types = [entry["type"] for entry in read_table(layout.disks[0].device)["partitions"]]
    assert types == ["83", "83", "82"]


@pytest.mark.parametrize("name", sorted(path.stem for path in MACHINES.glob("*.json")))
def test_a_machine_is_reproduced(name: str, loops: Loops, tmp_path: Path) -> None:
    """Numbers, types, flags, names, file systems and labels as sfdisk and lsblk told them."""
    facts = parse_facts((MACHINES / f"{name}.json").read_bytes(), name)
    inferred = infer_layout(facts)
    devices = {disk.device: loops.add(disk.capacity or 0) for disk in inferred.disks}
    layout = on_devices(inferred, devices)
    apply(layout, tmp_path)
    wanted = {part.path: part for disk in take_inventory(facts).disks for part in disk.partitions}
    for old, new in devices.items():
        recorded = facts.sfdisk[old]["partitiontable"]["partitions"]
        found = read_table(new)["partitions"]
        for was, now in zip(recorded, found, strict=True):
            assert now["node"].rsplit("p", 1)[1] == was["node"][-1]
            for key in ("bootable", "name", "attrs"):
                assert was.get(key) == now.get(key), key
            # 5 and f are two names of an extended partition, of which parted knows the second.
            extended = was["type"] in ("5", "f")
            assert now["type"] in (("5", "f") if extended else (was["type"],))
            part = wanted[was["node"]]
            if layout.filesystem_on(now["node"]) is not None:
                probed = read_blkid(now["node"])
                assert (probed["TYPE"], probed.get("LABEL", "")) == (part.fstype, part.label)


def test_a_disk_that_is_no_whole_number_of_mib(loops: Loops, tmp_path: Path) -> None:
    layout, sizes = example("gpt-bios", loops, extra=300 * 512)
    apply(layout, tmp_path)
    check_geometry(layout.disks[0], sizes[layout.disks[0].device])


def test_bounds_on_a_large_disk(loops: Loops, tmp_path: Path) -> None:
    size = 90_001 * MIB
    layout = load_layout((EXAMPLES / "bounds.xml").read_bytes(), "bounds")
    layout = on_devices(layout, {"/dev/sda": loops.add(size)})
    apply(layout, tmp_path)
    check_geometry(layout.disks[0], size)


def test_types_flags_and_names(loops: Loops, tmp_path: Path) -> None:
    layout, _sizes = example("gpt-bios", loops)
    values = apply(layout, tmp_path)
    disk = layout.disks[0].device
    entries = read_table(disk)["partitions"]
    types = [entry["type"] for entry in entries]
    assert types == [
        "21686148-6449-6E6F-744E-656564454649",
        "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
        "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
        "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
    ]
    assert [entry.get("name") for entry in entries] == [None, "boot", "root", "swap"]
    name = disk.removeprefix("/dev/")
    uuids = [values[f"PART_UUID_{name}p{number}"].upper() for number in (1, 2, 3, 4)]
    assert [entry["uuid"] for entry in entries] == uuids


def test_logical_partitions_with_a_number_left_out(loops: Loops, tmp_path: Path) -> None:
    layout, _sizes = example("logical", loops)
    apply(layout, tmp_path)
    disk = layout.disks[0].device
    entries = {entry["node"]: entry for entry in read_table(disk)["partitions"]}
    assert sorted(entries) == [f"{disk}p{number}" for number in (1, 2, 4, 5, 6, 7)]
    assert entries[f"{disk}p1"]["bootable"] is True
    assert not any(e.get("bootable") for node, e in entries.items() if node != f"{disk}p1")
    assert entries[f"{disk}p2"]["type"] == "b"
    assert entries[f"{disk}p4"]["type"] in ("5", "f")
    assert entries[f"{disk}p5"]["type"] == "82"


def test_twice_on_one_disk_is_the_same(loops: Loops, tmp_path: Path) -> None:
    layout, _sizes = example("logical", loops)
    apply(layout, tmp_path)
    disk = layout.disks[0].device
    first = read_table(disk), [read_blkid(f.device) for f in layout.filesystems]
    apply(layout, tmp_path)
    assert (read_table(disk), [read_blkid(f.device) for f in layout.filesystems]) == first


def test_what_is_kept_stays_as_it_is(loops: Loops, tmp_path: Path) -> None:
    layout, sizes = example("keep", loops)
    apply(emptied(layout), tmp_path)
    kept = [f.device for f in layout.filesystems if layout.is_kept(f.device)]
    assert len(kept) == 3
    whole = max(sizes)
    first = {device: Path(device).read_bytes() for device in (*kept, whole)}
    tables = {disk: read_table(disk) for disk in sizes}
    values = apply(layout, tmp_path)
    assert all(Path(device).read_bytes() == found for device, found in first.items())
    assert {disk: read_table(disk) for disk in sizes} == tables
    made = {f.device for f in layout.filesystems} - set(kept)
    assert {read_blkid(device)["UUID"] for device in made} == set(values.values())


def test_what_stood_there_before_leaves_no_trace(loops: Loops, tmp_path: Path) -> None:
    layout, _sizes = example("plain", loops)
    disk = layout.disks[0].device
    run(["parted", "--script", disk, "mklabel", "gpt", "mkpart", "old", "1MiB", "100%"])
    run(["mkfs.xfs", "-q", "-f", f"{disk}p1"])
    apply(layout, tmp_path)
    assert read_table(disk)["label"] == "dos"
    signatures = run(["wipefs", "--json", f"{disk}p1"])
    assert [found["type"] for found in json.loads(signatures)["signatures"]] == ["ext4"]


def test_sectors_of_4096_bytes(loops: Loops, tmp_path: Path) -> None:
    size = 1200 * MIB
    device = loops.add(size, sector=4096)
    layout = load_layout((EXAMPLES / "gpt-bios.xml").read_bytes(), "gpt-bios")
    layout = on_devices(layout, {"/dev/nvme0n1": device})
    values = apply(layout, tmp_path)
    assert read_table(device)["sectorsize"] == 4096
    check_geometry(layout.disks[0], size)
    check_filesystems(layout, values)


def test_numbers_out_of_order_on_the_disk(loops: Loops, tmp_path: Path) -> None:
    text = """<config format="1"><disk dev="/dev/vda" label_type="gpt">
      <part num="3" size="40MiB"/><part num="1" size="*"/><part num="4" size="1MiB"
      flags="bios_grub"/></disk>
      <fsinfo real_dev="/dev/vda1" mp="/" fs="ext4"/></config>"""
    size = 200 * MIB
    device = loops.add(size)
    layout = on_devices(load_layout(text, "t"), {"/dev/vda": device})
    apply(layout, tmp_path)
    check_geometry(layout.disks[0], size)


def test_labels_survive_shell_and_mkfs(loops: Loops, tmp_path: Path) -> None:
    device = loops.add(1200 * MIB)
    layout, _sizes = (
        on_devices(
            load_layout((EXAMPLES / "plain.xml").read_bytes(), "plain"), {"/dev/sda": device}
        ),
        None,
    )
    label = "a $b`c`\"d' \\"
    entries = tuple(
        dataclasses.replace(entry, label=label)
        if isinstance(entry, Filesystem) and entry.type is FilesystemType.EXT4
        else entry
        for entry in layout.entries
    )
    apply(dataclasses.replace(layout, entries=entries), tmp_path)
    assert run(["blkid", "-p", "-s", "LABEL", "-o", "value", f"{device}p1"]) == f"{label}\n"


@pytest.mark.parametrize("name", ["logical", "bounds"])
def test_the_smallest_disk_that_is_let_through_is_large_enough(
    name: str, loops: Loops, tmp_path: Path
) -> None:
    layout = load_layout((EXAMPLES / f"{name}.xml").read_bytes(), name)
    size = least_disk_bytes(layout.disks[0], layout)
    layout = on_devices(layout, {"/dev/sda": loops.add(size)})
    apply(layout, tmp_path)
    check_geometry(layout.disks[0], size)


def test_kinds_are_covered() -> None:
    """The examples show every file system, partition kind and table, else this folder proves
    less than it seems to."""
    layouts = [load_layout(path.read_bytes(), path.name) for path in EXAMPLES.glob("*.xml")]
    parts = [part for each in layouts for disk in each.disks for part in disk.partitions]
    assert {part.kind for part in parts} == set(PartitionKind)
    assert {disk.label for each in layouts for disk in each.disks} == set(LabelType)
    assert {f.type for each in layouts for f in each.filesystems} == set(FilesystemType)
    assert {type(entry) for each in layouts for entry in each.entries} == {
        Filesystem,
        Mount,
        Comment,
    }
    assert Flag.BIOS_GRUB in {flag for part in parts for flag in part.flags}
