"""What was found in each module, kept between runs, for a run of all takes its time.

A figure counts as long as its module stays as it was then. Tests may have changed since: only a run
of all modules at once is sure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """Changes of so many modules, and those that no test noticed; `left`: modules without any."""

    modules: int = 0
    left: int = 0
    tried: int = 0
    alive: int = 0

    def __str__(self) -> str:
        share = self.alive / max(self.tried, 1)
        text = (
            f"{self.alive} of {self.tried} changes in {self.modules} modules are alive: {share:.1%}"
        )
        return f"{text}; {self.left} modules are to be tried" if self.left else text


class Record:
    """The figures of modules, in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found = json.loads(file.read_bytes()) if file.exists() else {}

    def note(self, module: Path, tried: int, alive: int) -> None:
        """Keep the figures of a module as it is now."""
        self._found[str(module)] = {"sha256": _hash(module), "tried": tried, "alive": alive}
        self._file.parent.mkdir(exist_ok=True)
        self._file.write_text(json.dumps(self._found, indent=1, sort_keys=True))

    def sum_of(self, modules: Iterable[Path]) -> Figure:
        """The figures of these modules together, of those that are as they were."""
        found = [(self._found.get(str(module)), _hash(module)) for module in modules]
        fresh = [row for row, now in found if row is not None and row["sha256"] == now]
        tried, alive = (sum(row[name] for row in fresh) for name in ("tried", "alive"))
        return Figure(len(fresh), len(found) - len(fresh), tried, alive)


def _hash(module: Path) -> str:
    return hashlib.sha256(module.read_bytes()).hexdigest()
