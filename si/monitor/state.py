"""Where a client stands, worked out from what was reported about it.

Stage 9, watching. Pure: in go the events of one client in the order in which the server wrote them
down, out comes one `ClientState`. Nothing else stores a state: it is folded anew each time it is
asked for, so a lost process or a power cut leaves nothing to repair. Reports travel over a network
and are sent again when an answer is lost: late, doubled and out-of-order events change nothing
that an earlier one has decided.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Phase(StrEnum):
    """What an event tells; the order is the order of an install."""

    ARMED = "armed"
    DISARMED = "disarmed"
    STARTED = "started"
    CHECK = "check"
    PRE_INSTALL = "pre-install"
    PARTITION = "partition"
    FORMAT = "format"
    MOUNT = "mount"
    IMAGE = "image"
    OVERRIDES = "overrides"
    CONFIGURE = "configure"
    BOOTLOADER = "bootloader"
    POST_INSTALL = "post-install"
    BOOT_CHECK = "boot-check"
    UNMOUNT = "unmount"
    WRITTEN = "written"
    FAILED = "failed"
    INSTALLED = "installed"


class State(StrEnum):
    """Where a client stands."""

    IDLE = "idle"
    ARMED = "armed"
    INSTALLING = "installing"
    WRITTEN = "written"
    INSTALLED = "installed"
    FAILED = "failed"
    UNKNOWN = "unknown"


SERVER_PHASES = frozenset({Phase.ARMED, Phase.DISARMED})
"""Events that only the server makes; a client that posts one is refused."""

_RANK = {phase: rank for rank, phase in enumerate(Phase)}
_VERSIONS_END = 10**9
_SHORTEST_BOOT_S = 3.0
_RESENT_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Event:
    """One line of events.jsonl. `time` is the server's clock, `uptime_s` the client's."""

    time: datetime
    phase: Phase
    uptime_s: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ClientState:
    """The outcome of `fold`."""

    state: State = State.IDLE
    attempts: int = 0
    """Installs that were started since the client was last armed."""
    phase: Phase | None = None
    since: datetime | None = None
    """When the phase was reported; for an unknown client, when it was last heard."""
    image: str | None = None
    version: int | None = None
    """Of the image; None for one that was no version."""
    detail: str = ""
    captured: str | None = None
    """Capture time of the image that the installed system reports."""
    armed: bool = False
    """Armed, not disarmed since, and its disk not yet written: an install may go on."""
    may_install: bool = False
    """Armed with attempts left: a boot from the network starts an install."""


def is_welcome(state: ClientState, phase: Phase) -> bool:
    """Whether a client that stands at `state` may enter `phase`.

    A client that was disarmed is stopped as long as its disk is whole: it may not start, nor begin
    to partition. Once it has begun, the install had better end.
    """
    if phase is Phase.STARTED:
        return state.armed
    if state.armed or phase not in (Phase.CHECK, Phase.PRE_INSTALL, Phase.PARTITION):
        return True
    return state.phase is not None and _RANK[state.phase] >= _RANK[Phase.PARTITION]


def fold(
    events: Iterable[Event], *, now: datetime, attempts: int, report_timeout_s: float
) -> ClientState:
    """The state after `events`, at the moment `now`.

    Everything before the last "armed" is ignored. Once the disk is written, nothing but a new
    "armed" makes a client install again. A client that is installing or written and has not been
    heard for `report_timeout_s` seconds is "unknown". `attempts` is how many installs may be
    started in all; a "started" that was sent twice is one.
    """
    story: _Story | None = None
    for event in events:
        if event.phase is Phase.ARMED:
            story = _Story(event)
        elif story is not None:
            story.tell(event)
    if story is None:
        return ClientState()
    found = story.state(now=now, silence=timedelta(seconds=report_timeout_s))
    return replace(found, may_install=found.armed and found.attempts < attempts)


class _Story:
    """One client since it was last armed."""

    def __init__(self, armed: Event) -> None:
        self.armed = armed
        self.disarmed: Event | None = None
        self.opened: datetime | None = None  # first word of the present attempt
        self.started: Event | None = None
        self.attempts = 0
        self.last: Event | None = None  # furthest phase of the present attempt
        self.failed: Event | None = None
        self.written: Event | None = None
        self.installed: Event | None = None
        self.reported: Event | None = None  # the newest "installed": an update changes what runs
        self.heard: datetime | None = None

    def tell(self, event: Event) -> None:
        if event.phase is Phase.DISARMED:
            self.disarmed = self.disarmed or event
            return
        self.heard = max(self.heard or event.time, event.time)
        if event.phase is Phase.INSTALLED:
            self.reported, self.installed = event, self.installed or event
        elif event.phase is Phase.WRITTEN:
            self.written = self.written or event
        else:
            self._tell_attempt(event)

    def _tell_attempt(self, event: Event) -> None:
        if event.phase is Phase.STARTED and not self._is_same_boot(event):
            self.opened, self.started, self.last, self.failed = None, None, None, None
            self.attempts += 1
        elif self.opened is None:
            self.attempts += 1  # its "started" is late or lost
        self.opened = self.opened or event.time
        if event.phase is Phase.STARTED:
            self.started = self.started or event
        if event.phase is Phase.FAILED:
            self.failed = self.failed or event
        elif self.last is None or _RANK[event.phase] > _RANK[self.last.phase]:
            self.last = event
        elif event.phase is self.last.phase and _is_newer(event, self.last):
            self.last = replace(self.last, detail=event.detail, uptime_s=event.uptime_s)

    def _is_same_boot(self, event: Event) -> bool:
        """Whether a "started" belongs to the attempt that was already heard of.

        A machine that is `uptime_s` old and was heard of before that cannot have booted since.
        A report that is sent again carries the very same uptime.
        """
        if self.opened is None:
            return False
        age = event.uptime_s if event.uptime_s is not None else _SHORTEST_BOOT_S
        if event.time - _duration(age) < self.opened:
            return True
        return (
            self.started is not None
            and self.failed is None
            and event.uptime_s is not None
            and event.uptime_s == self.started.uptime_s
            and event.time - self.started.time < _duration(_RESENT_WITHIN_S)
        )

    def state(self, *, now: datetime, silence: timedelta) -> ClientState:
        facts = _read_detail(self.armed)
        common = ClientState(
            attempts=self.attempts,
            image=facts.get("image"),
            version=_read_version(self.armed),
            armed=not (self.disarmed or self.written or self.installed),
        )
        if self.installed is not None and self.reported is not None:
            report = _read_detail(self.reported)
            known = common
            if "image" in report:
                version = _read_version(self.reported)
                known = replace(common, image=report["image"], version=version)
            return _at(known, State.INSTALLED, self.installed, captured=report.get("captured"))
        quiet = self.heard is not None and now - self.heard > silence
        if self.written is not None:
            return _at(common, State.UNKNOWN if quiet else State.WRITTEN, self.written)
        if self.failed is not None:
            return _at(common, State.FAILED, self.failed)
        if self.last is not None:
            found = _at(common, State.UNKNOWN if quiet else State.INSTALLING, self.last)
            return replace(found, since=self.heard) if quiet else found
        if self.disarmed is not None:
            return _at(common, State.IDLE, self.disarmed)
        return _at(common, State.ARMED, self.armed)


def _at(
    known: ClientState, state: State, event: Event, *, captured: str | None = None
) -> ClientState:
    detail = "" if event.phase in (Phase.ARMED, Phase.INSTALLED) else event.detail
    return replace(
        known, state=state, phase=event.phase, since=event.time, detail=detail, captured=captured
    )


def _is_newer(event: Event, other: Event) -> bool:
    """Whether a client said it later, by its own clock: reports may overtake each other."""
    if event.uptime_s is None or other.uptime_s is None:
        return False
    return event.uptime_s > other.uptime_s


def _read_detail(event: Event) -> dict[str, str]:
    """Texts of an event's JSON detail; none for a detail that is no JSON object."""
    return {key: value for key, value in _read_json(event).items() if isinstance(value, str)}


def _read_version(event: Event) -> int | None:
    number = _read_json(event).get("version")
    return number if type(number) is int and 0 < number < _VERSIONS_END else None


def _read_json(event: Event) -> dict[str, object]:
    try:
        found = json.loads(event.detail)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _duration(seconds: float) -> timedelta:
    """`seconds` as a duration; a machine that claims to be centuries old counts as one year."""
    return timedelta(seconds=min(max(seconds, 0.0), 31_536_000.0))
