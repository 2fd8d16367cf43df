"""The matrix: captured from a running machine of each layout, installed onto blank disks, booted.

Each row is a test; those that were chosen are played two at a time from the first one on. A row
that is marked `full` runs in `make test-full` only.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from scripts.lab.report import Report
from scripts.lab.rows import ROWS
from scripts.lab.side_by_side import playing

IN_CI = frozenset({"bios-btrfs", "bios-gpt", "bios-logical", "to-smaller", "uefi-nvme-xfs"})
CHECKS = ["written", "identical", "installed", "booted", "booted"]
MIRRORED = ["booted", "booted"]


@pytest.fixture(scope="module")
def reports(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Report]]]:
    rows = [
        ROWS[str(item.callspec.params["name"])]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test_row.__name__
    ]
    with playing(rows, Path("build/matrix").resolve()) as reports:
        yield reports


@pytest.mark.parametrize(
    "name",
    [name if name in IN_CI else pytest.param(name, marks=pytest.mark.full) for name in ROWS],
)
def test_row(name: str, reports: dict[str, Future[Report]]) -> None:
    report = reports[name].result()
    assert [f"{check.name}: {check.detail}" for check in report.checks if not check.ok] == []
    row = ROWS[name]
    captured = [] if row.source else ["captured"]
    mirrored = MIRRORED if row.mirrored else []
    assert [check.name for check in report.checks] == captured + CHECKS + mirrored


def test_rows_of_ci_are_rows() -> None:
    assert ROWS.keys() >= IN_CI
