"""The proof: trees compared by a program that imports nothing of si, with closed lists."""

from __future__ import annotations

import sys
from pathlib import Path

from si.system.run import run

COMPARE = Path(__file__).parents[1] / "compare.py"
ALLOWED = Path(__file__).with_name("allowed")
SHOWN = 6


def compare_disk(
    expected: Path,
    actual: Path,
    output: Path,
    *,
    allowed: Path = ALLOWED / "installed.txt",
    more_allowed: Path | None = None,
    ahead: bool = False,
) -> tuple[bool, str]:
    """Whether a client's disk equals the image but for the closed list, and a line about it.

    `allowed` is that list; `more_allowed` a second one, which may name all below a folder; `ahead`:
    the disk's file system lays out more than is written. All that the comparing program says is
    kept in `output`.
    """
    lists: list[str | Path] = ["--allow", allowed, *(["--ahead"] if ahead else [])]
    if more_allowed is not None:
        lists += ["--ran", more_allowed]
    done = run([sys.executable, COMPARE, expected, actual, *lists], check=False)
    output.write_bytes(done.stdout + done.stderr)
    lines = done.text.splitlines()
    if done.exit_code == 0:
        return True, lines[-1] if lines else "identical"
    return False, " | ".join(lines[:SHOWN] or [done.stderr.decode("utf-8", "replace")[-300:]])


def count_differences(expected: Path, actual: Path) -> list[str]:
    """Lines about differences between two trees, none allowed; empty when they are equal."""
    done = run([sys.executable, COMPARE, expected, actual], check=False)
    return [] if done.exit_code == 0 else (done.text.splitlines() or ["no output"])[:SHOWN]
