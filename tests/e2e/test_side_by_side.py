"""How rows of the matrix are played: no machine is started here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from scripts.lab import matrix_table, side_by_side
from scripts.lab.errors import LabError
from scripts.lab.report import Report
from scripts.lab.rows import ROWS, Row


class FakeStory:
    """Notes what is asked of it; fails at what is in `broken`."""

    played: ClassVar[list[tuple[str, str]]] = []
    broken: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, folder: Path, golden_row: Row) -> None:
        self.golden_row = golden_row

    def __enter__(self) -> FakeStory:
        return self

    def __exit__(self, *_: object) -> None: ...

    def take_image(self) -> None:
        self._do(f"image of {self.golden_row.name}")

    def play_row(self, row: Row) -> Report:
        self._do(row.name)
        return Report(row.name)

    def break_off(self) -> None: ...

    def _do(self, what: str) -> None:
        self.played.append((self.golden_row.name, what))
        if what in self.broken:
            raise LabError(f"{what} is broken")


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> type[FakeStory]:
    class Fresh(FakeStory):
        played: ClassVar[list[tuple[str, str]]] = []

    monkeypatch.setattr(side_by_side, "RowStory", Fresh)
    monkeypatch.setattr(side_by_side, "ensure_rows", lambda *_: {})
    return Fresh


def play(names: list[str], folder: Path) -> dict[str, Any]:
    """By name: the report, or what was raised in its place."""
    with side_by_side.playing([ROWS[name] for name in names], folder) as reports:
        return {name: future.exception() or future.result() for name, future in reports.items()}


def test_rows_of_one_golden_client_share_its_image(story: type[FakeStory], tmp_path: Path) -> None:
    done = play(["bios-gpt", "to-luks", "bios-logical"], tmp_path)
    assert all(isinstance(report, Report) for report in done.values())
    assert [what for name, what in story.played if name == "bios-logical"] == [
        "image of bios-logical", "to-luks", "bios-logical",
    ]  # fmt: skip
    assert {path.name for path in tmp_path.glob("*.json")} == {f"{name}.json" for name in done}


def test_a_row_that_fails_holds_up_no_other(story: type[FakeStory], tmp_path: Path) -> None:
    story.broken = frozenset(("to-luks", "image of uefi-4k"))
    done = play(["uefi-4k", "to-luks", "to-raid1", "bios-gpt"], tmp_path)
    assert {name for name, result in done.items() if isinstance(result, Report)} == {
        "to-raid1", "bios-gpt",
    }  # fmt: skip
    assert "to-luks is broken" in str(done["to-luks"])
    assert "image of uefi-4k is broken" in str(done["uefi-4k"])


def test_the_table_of_the_manual_has_only_what_was_seen(
    story: type[FakeStory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    story.broken = frozenset(("to-luks",))
    play(["bios-gpt", "to-luks"], tmp_path)
    monkeypatch.setattr(matrix_table, "FOLDER", tmp_path)
    matrix_table.main()
    rule, head, rule_2, line, rule_3 = capsys.readouterr().out.splitlines()
    assert rule == rule_2 == rule_3
    assert head.split() == ["row", "checks", "seconds", "commit"]
    assert line.split()[:5] == ["bios-gpt", "0", "of", "0", "0"]
