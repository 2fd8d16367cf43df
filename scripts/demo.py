"""`make demo`: the whole story on real machines, with a table at the end.

Exit status 0 only if every check held. Writes build/demo.json.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path

from scripts.lab.errors import LabError
from scripts.lab.report import Report
from scripts.lab.scenario import Story
from si.errors import SIError

BUILD = Path("build")


def main() -> int:
    """Play the story and say how it ended."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the machines up at the end")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("demo: error: machines on a network of their own need root", file=sys.stderr)
        print("hint: run it as root, or install sudo", file=sys.stderr)
        return 35
    report = Report()
    failed = False
    folder = BUILD / "demo"
    try:
        with Story(folder.resolve(), report) as story:
            story.play()
            if arguments.keep:
                story.wait_for_person()
    except (LabError, SIError) as error:
        failed = True
        print(f"demo: error: {error}", file=sys.stderr)
        if getattr(error, "hint", None):
            print(f"hint: {error.hint}", file=sys.stderr)
    except KeyboardInterrupt:
        print("demo: interrupted; everything was taken down", file=sys.stderr)
        return 130
    except Exception:
        failed = True
        traceback.print_exc()
    report.write(BUILD / "demo.json")
    return tell(report, folder, failed=failed)


def tell(report: Report, folder: Path, *, failed: bool) -> int:
    """The table, where the logs lie, and the verdict."""
    held = sum(check.ok for check in report.checks)
    print(f"\n{report.table()}\n")
    print(f"console logs: {folder}/*.console    commands: {folder}/commands.log")
    print(f"server: {folder}/server.log         report: {BUILD}/demo.json")
    for check in report.checks:
        if not check.ok:
            print(f"FAILED {check.name}: {check.detail}")
    verdict = "every check held" if report.ok and not failed else "the story FAILED"
    print(f"demo: {held} of {len(report.checks)} checks held; {verdict}")
    return 0 if report.ok and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
