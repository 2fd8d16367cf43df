"""What an update would do, whichever way the files come.

Stage 8. Pure; runs on clients (Python 3.9). `si.client.live_plan` and `si.client.version_plan` make
plans, `si.client.sync` shows them and has them done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Optional

from si.client.estimate import Cost
from si.client.itemize import Item

Step = Callable[[], None]


class Fetched(NamedTuple):
    """Files that came one way. size: the bytes of it on the wire."""

    way: str
    files: int
    size: int


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Plan:
    """name: of what this machine is brought to, for people; version: its number, None for the live
    tree; items: what will be different at the end; needs_menu: the boot menu has to be made anew;
    keeps_old: old files stay until all new ones are here, and take room until then; cost: finds
    what it moves, at most; perform: does it, calls its argument for each path, and says how the
    files of a version came; check: refuses what could not be done to the end."""

    name: str
    version: Optional[int]  # noqa: UP045 - Python 3.9
    items: tuple[Item, ...]
    needs_menu: bool
    keeps_old: bool
    cost: Callable[[], Cost]
    perform: Callable[[Step], tuple[Fetched, ...]]
    check: Callable[[], None] = _nothing
