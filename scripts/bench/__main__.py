"""Runs all rows, prints a table, writes build/bench.json; exit status 1 when a bound is missed."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from scripts.bench.audit import audit_rows
from scripts.bench.capture import capture_rows
from scripts.bench.delta import delta_rows
from scripts.bench.flavor import flavor_rows
from scripts.bench.install import install_rows
from scripts.bench.publish import publish_rows
from scripts.bench.row import Row
from scripts.bench.swarm import swarm_rows
from scripts.bench.swarm_faults import swarm_fault_rows
from scripts.bench.update import update_rows
from si.errors import SIError
from si.system.run import run

SUBJECTS: dict[str, Callable[[Path], list[Row]]] = {
    "audit": audit_rows,
    "capture": capture_rows,
    "delta": delta_rows,
    "flavor": flavor_rows,
    "install": install_rows,
    "publish": publish_rows,
    "swarm": swarm_rows,
    "swarm-faults": swarm_fault_rows,
    "update": update_rows,
}
IN_MEMORY = frozenset(("capture", "swarm", "swarm-faults"))
FOLDER = Path("build/bench").resolve()
OUTPUT = Path("build/bench.json")


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("subjects", nargs="*", help=f"of {', '.join(SUBJECTS)}; all when left out")
    chosen = parser.parse_args().subjects or list(SUBJECTS)
    if os.geteuid() != 0:
        print("bench: error: owners and device files need root\nhint: sudo make bench",
              file=sys.stderr)  # fmt: skip
        return 35
    rows: list[Row] = []
    try:
        for name in chosen:
            print(f"bench: {name}", flush=True)
            place = _in_memory(FOLDER / "memory") if name in IN_MEMORY else nullcontext(FOLDER)
            with place as folder:
                rows += SUBJECTS[name](folder)
    except SIError as error:
        print(f"bench: error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        return 1
    OUTPUT.write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
    print(f"\n{'row':<18} {'value':>8} {'bound':>8}  {'unit':<6} against")
    for row in rows:
        verdict = "" if row.met else "   MISSED"
        print(
            f"{row.name:<18} {row.value:>8.2f} {row.bound:>8.2f}  {row.unit:<6} {row.peer}{verdict}"
        )
    return 0 if all(row.met for row in rows) else 1


@contextmanager
def _in_memory(folder: Path) -> Iterator[Path]:
    """A tmpfs, mounted at `folder`: pairs of programs that write 600 MB each differ by a factor of
    five on a disk that others use as well, and say nothing of the programs. Clients of a swarm have
    a disk each, where the bench would let sixteen share one."""
    folder.mkdir(parents=True, exist_ok=True)
    run(["mount", "-t", "tmpfs", "-o", "size=12g,mode=700", "si-bench", folder])
    try:
        yield folder
    finally:
        run(["umount", folder])


if __name__ == "__main__":
    sys.exit(main())
