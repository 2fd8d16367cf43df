"""The matrix: captured from a running machine of each layout, installed onto blank disks, booted.

A row that is marked `full` runs in `make test-full` only.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.lab.matrix import RowStory
from scripts.lab.report import Report
from scripts.lab.row_golden import ensure_rows
from scripts.lab.rows import ROWS

IN_CI: tuple[tuple[str, ...], ...] = ()
FULL = (
    ("uefi-nvme-xfs",), ("bios-logical",), ("bios-gpt",), ("uefi-raid1-lvm",),
    ("uefi-luks",), ("bios-btrfs",), ("sata-standard",),
    ("uefi-4k",), ("to-smaller", "to-nvme-lvm", "to-raid1", "to-luks"),
)  # fmt: skip
"""Rows that are installed from one golden client. Each row stands in one of the lists."""
CHECKS = ["written", "identical", "installed", "booted", "booted"]
MIRRORED = ["booted", "booted"]


@pytest.fixture(scope="module", autouse=True)
def _golden_disks(lab_folder: Path) -> None:
    """Made in one machine for all rows that always run."""
    if IN_CI:
        ensure_rows(lab_folder, [ROWS[names[0]] for names in IN_CI], print)


@pytest.mark.parametrize(
    "names",
    [*IN_CI, *(pytest.param(names, marks=pytest.mark.full) for names in FULL)],
    ids="+".join,
)
def test_rows(names: tuple[str, ...]) -> None:
    rows = [ROWS[name] for name in names]
    report = Report()
    with RowStory(Path("build/matrix").resolve() / names[0], report, *rows) as story:
        story.play()
    report.write(Path("build/matrix") / f"{names[0]}.json")
    assert [f"{check.name}: {check.detail}" for check in report.checks if not check.ok] == []
    expected = ["captured"]
    for row in rows:
        expected += CHECKS + (MIRRORED if row.mirrored else [])
    assert [check.name for check in report.checks] == expected


def test_each_row_is_played() -> None:
    assert sorted(name for names in IN_CI + FULL for name in names) == sorted(ROWS)
