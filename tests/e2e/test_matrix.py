"""The matrix: captured from a running machine of each layout, installed onto blank disks, booted.

A row that is marked `full` runs in `make test-full` only.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.lab.matrix import RowStory
from scripts.lab.report import Report
from scripts.lab.rows import ROWS

IN_CI = ("uefi-nvme-xfs", "bios-gpt")
CHECKS = ["captured", "written", "identical", "installed", "booted", "booted"]


@pytest.mark.parametrize(
    "name", [name if name in IN_CI else pytest.param(name, marks=pytest.mark.full) for name in ROWS]
)
def test_row(name: str) -> None:
    report = Report()
    with RowStory(Path("build/matrix").resolve() / name, report, ROWS[name]) as story:
        story.play()
    assert [f"{check.name}: {check.detail}" for check in report.checks if not check.ok] == []
    assert [check.name for check in report.checks] == CHECKS
