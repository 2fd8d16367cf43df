"""What a run of the story did: phases with their seconds, checks with their results."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Phase:
    """One phase of the story and how long it took."""

    name: str
    seconds: float


@dataclass(frozen=True)
class Check:
    """One thing that had to hold, and what was seen."""

    name: str
    ok: bool
    detail: str


@dataclass
class Report:
    """Phases and checks in the order they happened; prints them while they happen."""

    title: str = ""
    """Before each line, where reports of several stories are written side by side."""
    phases: list[Phase] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)
    _ended: float | None = None

    @property
    def seconds(self) -> float:
        """Since the story began, until it ended."""
        return (self._ended or time.monotonic()) - self._started

    def end(self) -> None:
        """The story is over."""
        self._ended = time.monotonic()

    @property
    def ok(self) -> bool:
        """True when there were checks and every one held."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    @contextmanager
    def phase(self, name: str, doing: str) -> Iterator[None]:
        """Time a phase; also one that fails."""
        print(f"{self._margin}[{self.seconds:6.1f} s] {name}: {doing}", flush=True)
        started = time.monotonic()
        try:
            yield
        finally:
            self.phases.append(Phase(name, time.monotonic() - started))

    def check(self, name: str, ok: bool, detail: str) -> None:
        """Note a check, and show it."""
        self.checks.append(Check(name, ok, detail))
        verdict = "ok  " if ok else "FAIL"
        print(f"{self._margin}           {verdict} {name}: {detail}", flush=True)

    def write(self, path: Path, *, commit: str = "") -> None:
        """As JSON: {"phases": [{"name", "seconds"}], "checks": [{"name", "ok", "detail"}],
        "seconds", "commit"}; the last is that of the sources, where it is known."""
        data = {
            "phases": [{"name": p.name, "seconds": round(p.seconds, 2)} for p in self.phases],
            "checks": [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in self.checks],
            "seconds": round(self.seconds, 2),
            "commit": commit,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1) + "\n")

    @property
    def _margin(self) -> str:
        return f"{self.title:<14} " if self.title else ""

    def table(self) -> str:
        """Phases and seconds, and their sum beside the wall time."""
        rows = [f"  {phase.name:<12} {phase.seconds:8.1f}" for phase in self.phases]
        total = sum(phase.seconds for phase in self.phases)
        head = f"  {'phase':<12} {'seconds':>8}"
        return "\n".join([head, *rows, f"  {'sum':<12} {total:8.1f}   wall {self.seconds:.1f}"])
