"""Tables, bars and curves as lines of text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import log10


def spell_time(seconds: float) -> str:
    """0:07, 12:30, 3:34:19."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns, right-aligned but for what is not a figure, as wide as they have to be."""
    lines = [head, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    left = [
        not any(letter.isdigit() for row in rows for letter in row[at][:1])
        for at in range(len(head))
    ]
    return [
        "  ".join(
            word.ljust(width) if is_left else word.rjust(width)
            for word, width, is_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    ]


def bar(value: float, most: float, width: int) -> str:
    """At least one #, for there is something."""
    return "#" * max(1, round(value / most * width))


def curves(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    ticks: Mapping[float, str],
    *,
    width: int = 56,
    height: int = 20,
) -> list[str]:
    """Curves on logarithmic axes, each drawn with its letter; one on another hides it.

    lines: letter to points (x, y), by x. ticks: y to what stands beside it.
    """
    low, high = log10(min(ticks)), log10(max(ticks))
    xs = [x for points in lines.values() for x, _ in points]
    left, right = log10(min(xs)), log10(max(xs))
    grid = [[" "] * width for _ in range(height)]
    for letter, points in lines.items():
        logs = [(log10(x), log10(y)) for x, y in points]
        for column in range(width):
            y = _between(logs, left + (right - left) * column / (width - 1))
            row = round((high - y) / (high - low) * (height - 1))
            if 0 <= row < height:
                grid[row][column] = letter
    names = {
        round((high - log10(y)) / (high - low) * (height - 1)): name for y, name in ticks.items()
    }
    edge = max(map(len, ticks.values()))
    drawn = [
        f"{names.get(row, ''):>{edge}} {'+' if row in names else '|'}{''.join(cells)}".rstrip()
        for row, cells in enumerate(grid)
    ]
    marks = [" "] * (width + 6)
    axis = ["-"] * width
    for power in range(int(left), int(right) + 1):
        at = round((power - left) / (right - left) * (width - 1))
        axis[at] = "+"
        marks[at : at + len(str(10**power))] = str(10**power)
    return [*drawn, f"{'':{edge}} +{''.join(axis)}", f"{'':{edge}}  {''.join(marks)}".rstrip()]


def _between(points: Sequence[tuple[float, float]], at: float) -> float:
    right = min(max(bisect_right(points, (at, float("inf"))), 1), len(points) - 1)
    (x0, y0), (x1, y1) = points[right - 1], points[right]
    return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
