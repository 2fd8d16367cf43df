"""Bring many clients to their image: drain, update, check, undrain, batch after batch.

Stage 8, running clients; effects: starts ssh, and the hooks on this server. `rollout` decides,
`journal` keeps; both are told before the next process starts.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from si.cluster import Client
from si.errors import ClientBusy
from si.fleet.everywhere import outcome_of
from si.fleet.journal import Journal, What
from si.fleet.outcome import Ending, Outcome
from si.fleet.reach import Way, command_words
from si.fleet.rollout import Rollout, Step
from si.system.fanout import Ended, FanOut, Job

BUSY_WAIT_S = 2.0
"""An update that a killed server left behind may still be at work: this one waits for it."""

_HOOKS = (Step.DRAIN, Step.UNDRAIN)


@dataclass(frozen=True, slots=True)
class Update:
    """What si-updateclient is told, all of it by its options."""

    image: str | None = None
    server: str | None = None
    transport: str | None = None
    is_live: bool = False
    excludes: tuple[str, ...] = ()
    with_bootloader: bool = True
    is_dry_run: bool = False


def update_command(update: Update) -> str:
    """The line for the client's shell."""
    words = ["si-updateclient", "--dry-run" if update.is_dry_run else "--yes"]
    for option, value in (
        ("--image", update.image),
        ("--server", update.server),
        ("--transport", update.transport),
    ):
        words += [f"{option}={value}"] if value is not None else []
    words += ["--live"] if update.is_live else []
    words += [f"--exclude={path}" for path in update.excludes]
    words += [] if update.with_bootloader else ["--no-bootloader"]
    return shlex.join(words)


OnEnd = Callable[[Outcome, Step], None]
"""Is told of a client that is through, or has failed in a step."""


class Push:
    """One run of a push. rollout: where it stands."""

    def __init__(
        self, journal: Journal, clients: Sequence[Client], way: Way, on_end: OnEnd
    ) -> None:
        self._journal = journal
        self._plan = journal.plan
        self._clients: Mapping[str, Client] = {client.name: client for client in clients}
        self._way = way
        self._on_end = on_end
        self._last_words: dict[str, Outcome] = {}
        self._begun: dict[str, float] = {}
        self._steps: dict[str, Step] = {}
        self._is_stopped = False
        self.rollout = Rollout(journal.plan, journal.standing.done)

    def run(self, on_stop: Callable[[int], None]) -> None:
        """Go on until nothing more may begin and nothing is at work.

        The first SIGINT or SIGTERM lets those at work finish, and tells `on_stop` how many they
        are; the second, or one while none is at work, raises KeyboardInterrupt: ssh is ended then,
        and what it had begun is not known to have ended.
        """
        fan = FanOut(
            self._take, self._then, fanout=self._plan.fanout, spacing_s=self._plan.spacing_s
        )

        def stop(*_: object) -> None:
            was_stopped, self._is_stopped = self._is_stopped, True
            self.rollout.stop()
            if was_stopped or not self.rollout.at_work:
                raise KeyboardInterrupt
            fan.hurry()
            on_stop(len(self.rollout.at_work))

        with _signals(stop):
            fan.run()
        if self._is_stopped:
            raise KeyboardInterrupt

    def _take(self) -> Job | None:
        taken = self.rollout.take()
        if taken is None:
            return None
        client, step = taken
        self._journal.note(client, What.BEGUN)
        return self._job(client, step)

    def _job(self, client: str, step: Step, *, delay_s: float = 0) -> Job:
        self._steps[client] = step
        if not delay_s:
            self._begun[client] = monotonic()
        line = self._plan.command(step)
        assert line is not None
        if step in _HOOKS:
            words: tuple[str, ...] = ("/bin/sh", "-c", line)
        else:
            words = command_words(self._way, self._clients[client], line)
        environment = {"SI_CLIENT": client}
        return Job(client, words, self._plan.timeout_s, delay_s=delay_s, env=environment)

    def _then(self, job: Job, ended: Ended) -> Job | None:
        outcome, step = outcome_of(job, ended), self._steps[job.key]
        client = outcome.client
        if self._should_wait(outcome, step):
            return self._job(client, step, delay_s=BUSY_WAIT_S)
        well = outcome.ending is Ending.DONE
        following = self.rollout.ended(client, well=well)
        if step is Step.UPDATE and well:
            self._last_words[client] = outcome
        if following is not None:
            return self._job(client, following)
        if well:
            self._journal.note(client, What.DONE)
        else:
            self._journal.note(client, What.FAILED, step, outcome.account)
        self._on_end(self._last_words.pop(client, outcome) if well else outcome, step)
        return None

    def _should_wait(self, outcome: Outcome, step: Step) -> bool:
        is_busy = step is Step.UPDATE and outcome.exit_code == ClientBusy.exit_code
        waited_s = monotonic() - self._begun[outcome.client]
        return is_busy and not self._is_stopped and waited_s < self._plan.timeout_s


@contextlib.contextmanager
def _signals(handler: Callable[..., None]) -> Iterator[None]:
    before = [
        (number, signal.signal(number, handler)) for number in (signal.SIGINT, signal.SIGTERM)
    ]
    try:
        yield
    finally:
        for number, former in before:
            signal.signal(number, former)
