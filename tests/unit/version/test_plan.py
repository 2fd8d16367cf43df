"""How a tree is cut: the same tree the same way, and a change disturbs only what is near it."""

from __future__ import annotations

import random

from si.version.plan import LARGE, LARGEST_GROUP, Unit, cut_tree
from si.version.record import Record

HASH = "0" * 64


def tree(seed: int = 1) -> list[Record]:
    chance = random.Random(seed)
    records = [Record(b"/", "d", 0o755, 0, 0, 0)]
    for folder in range(60):
        records.append(Record(b"/d%03d" % folder, "d", 0o755, 0, 0, 0))
        for number in range(50):
            size = min(int(chance.lognormvariate(8.2, 1.8)), 4 << 20)
            path = b"/d%03d/f%03d" % (folder, number)
            records.append(Record(path, "f", 0o644, 0, 0, 0, size, HASH))
    return records


def groups(records: list[Record]) -> set[tuple[bytes, ...]]:
    return {
        tuple(records[position].path for position in unit.positions) for unit in cut_tree(records)
    }


def test_every_path_is_in_one_frame_and_folders_come_last() -> None:
    records = tree()
    units = list(cut_tree(records))
    positions = [position for unit in units for position in unit.positions]
    assert sorted(positions) == list(range(len(records)))
    kinds = [records[position].kind for position in positions]
    assert kinds == sorted(kinds, key="fd".index)
    for unit in units:
        assert unit.large == (records[unit.positions[0]].packed >= LARGE)
        assert _weight(records, unit) <= LARGEST_GROUP + LARGE + 1024 or unit.large


def test_a_change_spoils_few_frames() -> None:
    records = tree()
    before = groups(records)
    at = len(records) // 2
    for changed in (
        [*records[:at], *records[at + 1 :]],
        [*records[:at], records[at]._replace(path=records[at].path + b"0"), *records[at:]],
        [*records[:at], records[at]._replace(size=LARGE - 1), *records[at + 1 :]],
    ):
        assert len(before - groups(changed)) <= 5
    assert groups(tree()) == before


def _weight(records: list[Record], unit: Unit) -> int:
    return sum(records[position].packed + 512 for position in unit.positions)
