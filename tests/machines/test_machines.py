"""Facts of machines, made into layouts and scripts.

The facts were recorded by the product's own si.client.facts from what sfdisk, mkfs, mount, lsblk,
findmnt and blkid did on disks of these shapes; nothing of si.layout had a part in partitioning.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from si.client.record import Facts, parse_facts
from si.layout.contradict import contradictions
from si.layout.document import dump_layout, load_layout
from si.layout.geometry import end_mib, place
from si.layout.infer import infer_layout
from si.layout.model import MIB, Disk, PartitionKind, Rest
from si.script.master import make_master

HERE = Path(__file__).parent
MACHINES = sorted(path.stem for path in HERE.glob("*.json"))


@pytest.fixture(params=MACHINES)
def facts(request: pytest.FixtureRequest) -> Facts:
    name = str(request.param)
    return parse_facts((HERE / f"{name}.json").read_bytes(), name)


def test_there_are_machines() -> None:
    assert len(MACHINES) >= 4


def test_a_layout_survives_its_document(facts: Facts) -> None:
    layout = infer_layout(facts)
    assert load_layout(dump_layout(layout), "f") == layout
    assert contradictions(layout, facts) == ()


def test_on_the_same_disk_the_partitions_are_the_same(facts: Facts) -> None:
    """Positions to the MiB, but for what `*` takes from unused space at the end."""
    for disk in infer_layout(facts).disks:
        assert disk.capacity is not None
        geometry = place(disk)
        end = end_mib(disk, disk.capacity)
        shares = geometry.shares(end)
        for extent in geometry.extents:
            found = recorded(facts, disk, extent.partition.number)
            if extent.partition.kind is PartitionKind.EXTENDED:
                continue
            start_mib, size_mib = found
            assert abs(extent.start.at(end, shares) - start_mib) <= 1
            size = extent.end.at(end, shares) - extent.start.at(end, shares)
            assert size >= size_mib - 2
            if not isinstance(extent.partition.size, Rest):
                assert size <= size_mib + 2


def recorded(facts: Facts, disk: Disk, number: int) -> tuple[int, int]:
    """Start and size of a partition, in whole MiB."""
    table = facts.sfdisk[disk.device]["partitiontable"]
    found = [entry for entry in table["partitions"] if entry["node"].endswith(str(number))]
    sector = table.get("sectorsize", 512)
    return found[0]["start"] * sector // MIB, found[0]["size"] * sector // MIB


def test_nothing_that_identifies_the_machine_is_in_script_or_layout(facts: Facts) -> None:
    """No UUID of the golden client reaches a copy."""
    layout = infer_layout(facts)
    texts = dump_layout(layout)
    if facts.firmware == "bios":
        texts += make_master(layout, image="web", layout_name="x")
    text = json.dumps(facts.lsblk) + facts.blkid
    own = {node["uuid"] for node in walk(facts.lsblk["blockdevices"]) if node.get("uuid")}
    own |= {line.split("=", 1)[1] for line in facts.blkid.splitlines() if "UUID=" in line}
    assert own
    assert all(value in text for value in own)
    assert not [value for value in own if value.lower() in texts.lower()]


def walk(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for node in nodes for found in (node, *walk(node.get("children", [])))]


def test_a_script_is_made_where_this_version_can(facts: Facts) -> None:
    layout = infer_layout(facts)
    text = make_master(layout, image="web", layout_name="x")
    for disk in layout.disks:
        assert f"parted --script --align optimal {disk.device} " in text
        assert disk.capacity is not None
        assert disk.capacity % MIB == 0
