"""How many seconds an update will take: from what it moves, and from how fast things went so far.

Stage 8. Pure; runs on clients (Python 3.9). The model is a plain sum: bytes over the link, bytes to
the disk, paths, a start. What a sum cannot know - a slow disk, a busy machine - the last update on
this machine tells: by as much as it missed the sum, this one is taken to miss it too.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

ASSUMED_LINK = 10e6
"""Bytes a second where nothing was measured: a 100 Mbit link."""
_DISK = 200e6
"""Bytes a second that are unpacked, hashed and written."""
_PATH_S = 0.0005
_START_S = 0.3
_LEAST_MISS, _MOST_MISS = 0.2, 20.0
"""One strange run must not make the next estimate absurd."""


class Cost(NamedTuple):
    """What an update moves: bytes from the server, bytes to the disk, paths touched."""

    fetched: int
    written: int
    paths: int


class LastUpdate(NamedTuple):
    """What an update on this machine moved, how long that took, and bytes a second of the link as
    far as they were known then."""

    cost: Cost
    took_s: float
    link: Optional[float]  # noqa: UP045 - Python 3.9


class Estimate(NamedTuple):
    """cost: of what; seconds: expected; link: bytes a second that they rest on; link_source: where
    that is from; miss: how much longer than reckoned the last update took, None when there was
    none."""

    cost: Cost
    seconds: float
    link: float
    link_source: str
    miss: Optional[float]  # noqa: UP045 - Python 3.9


def estimate(cost: Cost, link: float | None, last: LastUpdate | None) -> Estimate:
    """Seconds for `cost`. link: bytes a second as measured in this run, None where not."""
    source = "measured on the manifest"
    if link is None:
        link, source = (last.link if last else None), "as at the last update"
    if link is None:
        link, source = ASSUMED_LINK, "assumed"
    miss = None
    if last is not None:
        expected = _seconds(last.cost, last.link or ASSUMED_LINK)
        miss = min(max(last.took_s / expected, _LEAST_MISS), _MOST_MISS)
    seconds = _seconds(cost, link) * (1.0 if miss is None else miss)
    return Estimate(cost, seconds, link, source, miss)


def _seconds(cost: Cost, link: float) -> float:
    return _START_S + cost.fetched / link + cost.written / _DISK + cost.paths * _PATH_S
