"""The proof: trees compared by a program that imports nothing of si; exceptions are a closed list."""

from __future__ import annotations

import sys
from pathlib import Path

from si.system.run import run

COMPARE = Path(__file__).parents[1] / "compare.py"
ALLOWED = Path(__file__).with_name("allowed")
SHOWN = 6


def compare_disk(expected: Path, actual: Path, allowed: str, output: Path) -> tuple[bool, str]:
    """Whether `actual` equals `expected` but for the list `allowed`, and a line about it.

    All that the comparing program says is kept in `output`.
    """
    done = run([sys.executable, COMPARE, expected, actual, "--allow", ALLOWED / f"{allowed}.txt"],
               check=False)  # fmt: skip
    output.write_bytes(done.stdout + done.stderr)
    lines = done.text.splitlines()
    if done.exit_code == 0:
        return True, lines[-1] if lines else "identical"
    return False, " | ".join(lines[:SHOWN] or [done.stderr.decode("utf-8", "replace")[-300:]])


def count_differences(expected: Path, actual: Path) -> list[str]:
    """Lines about differences between two trees, none allowed; empty when they are equal."""
    done = run([sys.executable, COMPARE, expected, actual], check=False)
    return [] if done.exit_code == 0 else (done.text.splitlines() or ["no output"])[:SHOWN]
