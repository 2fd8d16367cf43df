"""Rows of the matrix, two machines at a time.

Rows that come from one golden client are played one after the other, for they share its image; what
two golden clients give is played side by side. A row that fails holds up none of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from scripts.lab.golden import FOLDER
from scripts.lab.matrix import RowStory
from scripts.lab.report import Report
from scripts.lab.row_golden import ensure_rows
from scripts.lab.rows import ROWS, Row
from si.system.run import run

AT_A_TIME = 2


@contextmanager
def playing(rows: Sequence[Row], folder: Path) -> Iterator[dict[str, Future[Report]]]:
    """The report of each row, by its name, as soon as it is there.

    What a story writes is kept below `folder`, and the report of a row as ROW.json. At the end of
    the `with` block all that still runs is broken off.
    """
    groups = group_by_golden(rows)
    ensure_rows(FOLDER, [ROWS[name] for name in groups], print)
    stories = {name: RowStory(folder / name, ROWS[name]) for name in groups}
    reports: dict[str, Future[Report]] = {row.name: Future() for row in rows}
    with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="row") as pool:
        for name, group in groups.items():
            pool.submit(_play, stories[name], group, folder, reports)
        try:
            yield reports
        finally:
            for report in reports.values():
                report.cancel()
            for story in stories.values():
                story.break_off()


def group_by_golden(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by the name of the row whose golden client they come from; the most boots first, so that
    the longest story is not the last to begin."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.source or row.name, []).append(row)
    return dict(sorted(groups.items(), key=lambda group: -sum(row.boots for row in group[1])))


def _play(
    story: RowStory, rows: Sequence[Row], folder: Path, reports: dict[str, Future[Report]]
) -> None:
    """A story in a thread; what it raises is raised where its rows' reports are asked for."""
    wanted = [row for row in rows if reports[row.name].set_running_or_notify_cancel()]
    if not wanted:
        return
    try:
        with story:
            story.take_image()
            for row in wanted:
                _play_row(story, row, folder, reports[row.name])
    except BaseException as error:
        for row in wanted:
            if not reports[row.name].done():
                reports[row.name].set_exception(error)


def _play_row(story: RowStory, row: Row, folder: Path, report: Future[Report]) -> None:
    try:
        played = story.play_row(row)
        played.write(folder / f"{row.name}.json", commit=_commit())
    except BaseException as error:
        report.set_exception(error)
    else:
        report.set_result(played)


def _commit() -> str:
    """Of the sources; with -dirty at its end when they are not quite those."""
    described = run(
        ["git", "-C", FOLDER.parent, "describe", "--always", "--dirty", "--exclude=*"], check=False
    )
    return described.text.strip()
