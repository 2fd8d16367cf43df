"""Layouts on loop devices: the steps that write disks are run, and other tools read the disks.

parted, sfdisk, wipefs and mkfs are the real programs; only BOEL's functions for phases and waiting
are stand-ins.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

from si.layout.document import load_layout
from si.layout.geometry import end_mib, place
from si.layout.model import MIB, Disk, Filesystem, Layout, Rest, partition_path
from si.script.filesystems import DESTINATION
from si.script.header import identifier_value, render_header
from si.script.plan import identifiers, least_disk_bytes, plan_disks
from si.script.render import render_steps

EXAMPLES = Path(__file__).parents[2] / "schemas/examples"
SIZES = {
    "percent": (3000, 700),
    "virtio-boot": (4096,),
    "logical": (1700,),
    "bounds": (7003,),
    "keep": (1900, 700),
}
"""MiB of the disks that an example is tried on; of others, somewhat more than it needs."""
FUNCTIONS = """
phase() { :; }
clear_disks() { :; }
wait_for() {
    for device in "$@"; do
        tries=0
        until [ -b "$device" ]; do
            tries=$((tries + 1))
            [ "$tries" -lt 150 ] || { echo "no $device" >&2; exit 1; }
            sleep 0.1
        done
    done
}
"""


class Loops:
    """Sparse files as block devices, let go of at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._devices: list[str] = []

    def add(self, size: int, sector: int = 512) -> str:
        file = self._folder / f"disk{len(self._devices)}.img"
        with file.open("wb") as made:
            made.truncate(size)
        attach = ["losetup", "--find", "--show", "--partscan", f"--sector-size={sector}"]
        self._devices.append(run([*attach, str(file)]).strip())
        return self._devices[-1]

    def close(self) -> None:
        for device in self._devices:
            subprocess.run(["losetup", "--detach", device], check=True)


def run(argv: list[str], **options: Any) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def on_devices(layout: Layout, devices: dict[str, str]) -> Layout:
    """The layout with its disks renamed, for these machines have loop devices only, and no rule
    could choose between those.

    Without arrays, encryption and volumes, which need drivers that not every kernel has: they are
    made in a machine of their own, by tests/integration/boel.
    """
    paths = {
        old: partition_path(devices[disk.device], part.number)
        for old, (disk, part) in layout.partition_paths().items()
    }
    return Layout(
        disks=tuple(
            dataclasses.replace(d, device=devices[d.device], rule=None) for d in layout.disks
        ),
        entries=tuple(
            dataclasses.replace(e, device=paths[e.device]) if isinstance(e, Filesystem) else e
            for e in layout.entries
            if not isinstance(e, Filesystem) or e.device in paths
        ),
    )


def apply(layout: Layout, folder: Path) -> dict[str, str]:
    """Run the steps that write disks; the variables of the header that they read."""
    wanted = identifiers(layout)
    header = render_header(
        client="web1",
        image="web",
        arch="x86_64",
        http="http://192.0.2.1:8080",
        rsync="rsync://192.0.2.1:873",
        token="t" * 32,
        transport="rsync",
        overrides=(),
        captured="2026-11-21T12:00:00Z",
        identifiers=wanted,
    )
    script = folder / "steps.sh"
    # Where subvolumes are made, which is a folder of this machine here.
    steps = render_steps(plan_disks(layout)).replace(f" {DESTINATION}", f" {folder}{DESTINATION}")
    script.write_text(f"set -eu\n{FUNCTIONS}{header}{steps}")
    run(["sh", str(script)])
    return {i.variable: identifier_value(i, client="web1", image="web") for i in wanted}


def read_table(device: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(run(["sfdisk", "--json", device]))["partitiontable"]
    return table


def read_blkid(device: str) -> dict[str, str]:
    text = run(["blkid", "--probe", "--output", "export", device])
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def check_geometry(disk: Disk, size: int) -> None:
    """What is on the disk is, to the MiB, what the planner said."""
    table = read_table(disk.device)
    sector = table["sectorsize"]
    found = {entry["node"]: entry for entry in table["partitions"]}
    geometry = place(disk)
    end = end_mib(disk, size)
    shares = geometry.shares(end)
    assert len(found) == len(disk.partitions)
    for extent in geometry.extents:
        entry = found[partition_path(disk.device, extent.partition.number)]
        assert entry["start"] * sector == extent.start.at(end, shares) * MIB
        stop = (entry["start"] + entry["size"]) * sector
        # `*` up to the end of the disk is 100 %, which uses what no other partition could begin in.
        last = extent.end.from_end and isinstance(extent.partition.size, Rest)
        beyond = range(disk.alignment // MIB + 1 if last else 1)
        assert stop // MIB - extent.end.at(end, shares) in beyond
        assert stop <= size


def check_filesystems(layout: Layout, values: dict[str, str]) -> None:
    names = {"UUID_root": "/", "UUID_boot": "/boot"}
    for filesystem in layout.filesystems:
        found = read_blkid(filesystem.device)
        assert found["TYPE"] == filesystem.type
        assert found.get("LABEL") == filesystem.volume_label
        if filesystem.chosen_uuid is not None:
            assert found["UUID"] == filesystem.chosen_uuid
        else:
            assert found["UUID"] in values.values()
        for variable, mount_point in names.items():
            if filesystem.mount_point == mount_point and filesystem.chosen_uuid is None:
                assert found["UUID"] == values[variable]


def example(name: str, loops: Loops, *, extra: int = 0) -> tuple[Layout, dict[str, int]]:
    layout = load_layout((EXAMPLES / f"{name}.xml").read_bytes(), name)
    sizes = SIZES.get(name) or tuple(
        max(least_disk_bytes(disk, layout) // MIB + 200, 1200) for disk in layout.disks
    )
    devices, by_device = {}, {}
    for disk, mib in zip(layout.disks, sizes, strict=True):
        device = loops.add(mib * MIB + extra, disk.sector or 512)
        devices[disk.device] = device
        by_device[device] = mib * MIB + extra
    return on_devices(layout, devices), by_device


def emptied(layout: Layout) -> Layout:
    """The same layout for machines on which nothing is kept yet."""
    disks = tuple(
        dataclasses.replace(
            disk,
            keep=False,
            partitions=tuple(dataclasses.replace(part, keep=False) for part in disk.partitions),
        )
        for disk in layout.disks
    )
    entries = tuple(
        dataclasses.replace(entry, format=True) if isinstance(entry, Filesystem) else entry
        for entry in layout.entries
    )
    return dataclasses.replace(layout, disks=disks, entries=entries)
