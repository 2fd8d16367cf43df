"""One figure of the bench."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """A figure, what it is compared with, and whether it keeps its bound (at most; with `least`, at
    least)."""

    name: str
    value: float
    unit: str
    bound: float
    peer: str
    samples: tuple[float, ...]
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether the value is within the bound."""
        return self.value >= self.bound if self.least else self.value <= self.bound

    def as_json(self) -> dict[str, Any]:
        """The shape of build/bench.json."""
        return {**asdict(self), "met": self.met}


def seconds_of(action: Callable[[], object]) -> float:
    """How long `action` takes, in seconds of wall time."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def ratio_row(name: str, ours: Sequence[float], peer: Sequence[float], bound: float,
              told: str) -> Row:  # fmt: skip
    """The median of the ratios of interleaved pairs."""
    ratios = tuple(round(a / b, 3) for a, b in zip(ours, peer, strict=True))
    return Row(name, statistics.median(ratios), "ratio", bound, told, ratios)
