"""Which client's turn it is in a push, and when a push ends.

Stage 8, running clients. Pure: values in, decisions out; `si.fleet.push` does what is decided, and
`si.fleet.journal` keeps what has happened. A client goes through its steps in order; one that fails
any of them stays where it is, drained. A batch begins when all of the one before it are through.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec


class Step(StrEnum):
    """What is done to one client, in this order."""

    DRAIN = "drain"
    UPDATE = "update"
    CHECK = "check"
    UNDRAIN = "undrain"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A push. update, check: lines for the clients' shell; drain, undrain: for this server's.

    max_failures: how many clients may fail before nothing more is begun; None: any number.
    """

    clients: tuple[str, ...]
    update: str
    check: str | None = None
    drain: str | None = None
    undrain: str | None = None
    batch: int
    max_failures: int | None = None
    fanout: int = 32
    timeout_s: float
    spread_s: float = 0
    user: str | None = None
    connect_timeout_s: int = 15

    @property
    def steps(self) -> tuple[Step, ...]:
        """Those that have a command."""
        return tuple(step for step in Step if self.command(step) is not None)

    @property
    def spacing_s(self) -> float:
        """Between the starts of two clients, so that all of them take `spread_s`."""
        return self.spread_s / len(self.clients)

    def command(self, step: Step) -> str | None:
        """The line of a step."""
        commands = (self.drain, self.update, self.check, self.undrain)
        return dict(zip(Step, commands, strict=True))[step]


class Rollout:
    """One run of a plan, from the start or from where an earlier run ended.

    done: clients that are through already. The others begin anew, those that failed as well.
    """

    def __init__(self, plan: Plan, done: Iterable[str] = ()) -> None:
        through = frozenset(done)
        self._plan = plan
        self._waiting = [name for name in plan.clients if name not in through]
        self._left_of_batch = min(plan.batch, len(self._waiting))
        self._at_work: dict[str, Step] = {}
        self._is_stopped = False
        self.failed: dict[str, Step] = {}
        """Clients that failed in this run, and in which step."""

    @property
    def waiting(self) -> tuple[str, ...]:
        """Clients whose turn has not come."""
        return tuple(self._waiting)

    @property
    def at_work(self) -> tuple[str, ...]:
        """Clients that are in one of their steps."""
        return tuple(self._at_work)

    @property
    def has_failed_too_often(self) -> bool:
        """Whether nothing more is begun because of failures."""
        most = self._plan.max_failures
        return most is not None and len(self.failed) > most

    def stop(self) -> None:
        """Begin no client any more."""
        self._is_stopped = True

    def take(self) -> tuple[str, Step] | None:
        """The next client and its first step; None when none may begin now."""
        if self._is_stopped or self.has_failed_too_often or not self._waiting:
            return None
        if not self._left_of_batch:
            if self._at_work:
                return None
            self._left_of_batch = min(self._plan.batch, len(self._waiting))
        self._left_of_batch -= 1
        client, step = self._waiting.pop(0), self._plan.steps[0]
        self._at_work[client] = step
        return client, step

    def ended(self, client: str, *, well: bool) -> Step | None:
        """What is to be done to the client next; None when it is through or has failed."""
        step = self._at_work.pop(client)
        if not well:
            self.failed[client] = step
            return None
        later = self._plan.steps[self._plan.steps.index(step) + 1 :]
        if not later:
            return None
        self._at_work[client] = later[0]
        return later[0]


def parse_batch(text: str, clients: int) -> int:
    """The size of a batch: `25`, or `10%` of the clients, at least one. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,6})(%?)", text, re.ASCII)
    size = int(found[1]) if found else 0
    if not size or (found and found[2] and size > 100):
        raise ValueError(f"{text!r} is no size of a batch: a number, or per cent like 10%")
    assert found is not None
    return max(1, math.ceil(clients * size / 100) if found[2] else size)


def batches(clients: Sequence[str], size: int) -> int:
    """How many batches that makes."""
    return math.ceil(len(clients) / size)
