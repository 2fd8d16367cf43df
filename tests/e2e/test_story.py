"""The main job from start to end, as `make demo` plays it: one run, a test a kind of check."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.lab.report import Report
from scripts.lab.scenario import CLIENTS, Story

EXPECTED = {
    "unarmed": 1,
    "captured": 3,
    "dns": 1,
    "disarmed": len(CLIENTS),
    "scripts": 2 * len(CLIENTS),
    "identical": len(CLIENTS),
    "installed": len(CLIENTS),
    "booted": len(CLIENTS),
    "dry-run": 1,
    "updated": 2,
    "rebooted": 1,
}
"""How many checks of each name a whole run makes: one that broke off early must not look green."""


@pytest.fixture(scope="module")
def report() -> Iterator[Report]:
    report = Report()
    with Story(Path("build/e2e").resolve(), report) as story:
        story.play()
        yield report


@pytest.mark.parametrize(("name", "count"), EXPECTED.items())
def test_story(report: Report, name: str, count: int) -> None:
    checks = [check for check in report.checks if check.name == name]
    assert [check.detail for check in checks if not check.ok] == []
    assert len(checks) == count


def test_nothing_else_was_checked(report: Report) -> None:
    assert {check.name for check in report.checks} == set(EXPECTED)


def test_phases_add_up_to_the_wall_time(report: Report) -> None:
    assert sum(phase.seconds for phase in report.phases) >= 0.98 * report.seconds
