"""Adds up what the tests do not notice: `python -m scripts.mutants [MODULE...]`.

Exit status: 0 when at most 3 % of the changes stay unnoticed and each of these has its reason in
tests/mutants-alive.txt, which names no other; 1 otherwise. With modules, only those are tried; the
figures at the end are then those of build/mutants.json, where each run leaves what it found.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.mutants.place import ROOT
from scripts.mutants.reasons import ReasonsInvalid, parse_reasons
from scripts.mutants.record import Record
from scripts.mutants.trial import SOURCES, Mutant, TestsFail, try_changes

REASONS = ROOT / "tests/mutants-alive.txt"
TESTS = ("tests/unit/layout", "tests/unit/script", "tests/golden", "tests/machines")
RECORD = ROOT / "build/mutants.json"
MOST_ALIVE = 0.03


def main(arguments: list[str]) -> int:
    modules = [Path(name).resolve() for name in arguments]
    packages = {folder: sorted(folder.glob("*.py")) for folder in SOURCES}
    modules = modules or [path for paths in packages.values() for path in paths]
    record = Record(RECORD)
    try:
        sums = Sums(parse_reasons(REASONS.read_text()), record)
        try_changes(modules, TESTS, sums.add)
    except (ReasonsInvalid, TestsFail) as error:
        print(f"mutants: error: {error}", file=sys.stderr)
        return 1
    share = sums.alive / max(sums.tried, 1)
    for folder, paths in packages.items():
        _say(f"{folder.relative_to(ROOT)}: {record.sum_of(paths)}")
    _say(f"{sums.alive} of {sums.tried} changes of this run are alive: {share:.1%}")
    if sums.faults:
        _say(f"{sums.faults} lines above say what is wrong with {REASONS.relative_to(ROOT)}")
    return int(sums.faults > 0 or share > MOST_ALIVE)


class Sums:
    """What was found so far, told module by module."""

    def __init__(self, reasons: dict[str, str], record: Record) -> None:
        self.tried = self.alive = self.faults = 0
        self._reasons = reasons
        self._record = record

    def add(self, module: Path, mutants: list[Mutant]) -> None:
        path = module.relative_to(ROOT)
        alive = {
            f"{path} {mutant.change.where}: {mutant.change.text}": mutant.change.lines[0]
            for mutant in mutants
            if not mutant.noticed
        }
        self.tried += len(mutants)
        self.alive += len(alive)
        for name, line in alive.items():
            if name not in self._reasons:
                self._fault(name, f"line {line}: alive, without a reason")
        for name in self._reasons:
            if name.split()[0] == str(path) and name not in alive:
                self._fault(name, "is noticed, or is no change any more: take it out")
        self._record.note(module, len(mutants), len(alive))
        _say(f"{path}: {len(mutants)} changes, {len(alive)} alive")

    def _fault(self, name: str, text: str) -> None:
        self.faults += 1
        _say(f"{name}\n    {text}")


def _say(text: str) -> None:
    print(text, file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
