"""`python -m scripts.lab.matrix_table`: what build/matrix says of each row, for the manual.

In: the reports of the rows that were played here, ROW.json. Out: a table in reStructuredText; rows
without a report are left out, so it never says more than was seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from scripts.lab.rows import ROWS

FOLDER = Path("build/matrix")
HEAD = ("row", "checks", "seconds", "commit")


def main() -> None:
    """Print the table."""
    reports = {name: FOLDER / f"{name}.json" for name in ROWS}
    played = {name: json.loads(path.read_text()) for name, path in reports.items() if path.exists()}
    print(render_table([HEAD, *(line_of(name, report) for name, report in played.items())]))


def line_of(name: str, report: dict[str, Any]) -> Sequence[str]:
    """The cells of one row."""
    good = sum(check["ok"] for check in report["checks"])
    checks = f"{good} of {len(report['checks'])}"
    return name, checks, f"{report['seconds']:.0f}", report["commit"]


def render_table(lines: Iterable[Sequence[str]]) -> str:
    """A simple table; the first line is its head."""
    rows = [list(line) for line in lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    head, *body = (
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join([rule, head, rule, *body, rule])


if __name__ == "__main__":
    main()
