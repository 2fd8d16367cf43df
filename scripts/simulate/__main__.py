"""Fits the model, simulates all runs, writes them down, and shows them in the manual's page."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from scripts.simulate.costs import load_costs
from scripts.simulate.fit import fit, load_bench
from scripts.simulate.report import blocks, fill_page
from scripts.simulate.runs import COUNTS, load_runs, run_all, save_runs

PAGE = Path(__file__).parents[2] / "man/si-scaling.7.rst"


def main() -> int:
    """Simulate, print, and write."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--shown", action="store_true", help="show the runs of last time")
    shown: bool = parser.parse_args().shown
    bench, costs = load_bench(), load_costs()
    fitted = fit(bench)
    if not shown:
        save_runs(run_all(fitted, costs, COUNTS, _tell))
    found = blocks(bench, fitted, costs, load_runs())
    for name, lines in found.items():
        print(f"\n{name}\n", *lines, sep="\n")
    PAGE.write_text(fill_page(PAGE.read_text(), found))
    return 0


def _tell(what: str) -> None:
    print(f"simulate: {time.process_time():5.0f} s: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
