"""What is known of a push after its server was killed: `fleet/pushes/N/plan.json` and `events`.

Stage 8, running clients; effects. The plan is written once; each event is one line that is added
and synced before the next thing is done, so whatever ends the server, the lines that are there are
true, and a torn last one is none. Where a client stands is folded from them. The lock of a push is
on its events, and one push is not begun while another is at work on any of its clients.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from si.cluster.ranges import fold_names
from si.config import Settings
from si.errors import FileRefused, PushBusy, PushNotFound, PushSpoiled
from si.fleet.rollout import Plan, Step
from si.system.files import locked, replace_file

KEPT_PUSHES = 50
_PLAN, _EVENTS = "plan.json", "events.jsonl"
_MAX_BYTES = 64 * 1024 * 1024


class What(StrEnum):
    """What happened to a client."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line."""

    time: datetime
    client: str
    what: What
    step: Step | None = None
    detail: str = ""


class Standing(msgspec.Struct, frozen=True):
    """What the events come to. begun: at work when the server ended, if it has ended."""

    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    begun: tuple[str, ...] = ()


class Journal:
    """The journal of a push that this process holds."""

    def __init__(self, number: int, plan: Plan, descriptor: int, standing: Standing) -> None:
        self.number = number
        self.plan = plan
        self.standing = standing
        """As it was when this process took the push up."""
        self._descriptor = descriptor

    def note(self, client: str, what: What, step: Step | None = None, detail: str = "") -> None:
        """Add an event; it is on the disk when this returns. Raises FileRefused."""
        event = Event(datetime.now(UTC), client, what, step, detail)
        line = msgspec.json.encode(event) + b"\n"
        try:
            if os.write(self._descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise FileRefused(
                f"cannot note what push {self.number} does: {error.strerror}",
                hint=f"si-pushupdate --resume {self.number} goes on when that is mended",
            ) from error


@contextlib.contextmanager
def begin_push(settings: Settings, plan: Plan) -> Iterator[Journal]:
    """A new push, held. Raises PushBusy when another is at work on one of its clients."""
    pushes = _folder(settings)
    with locked(pushes):
        _refuse_overlap(pushes, plan)
        numbers = _numbers(pushes)
        _forget_old(pushes, numbers)
        number = max(numbers, default=0) + 1
        folder = pushes / str(number)
        replace_file(folder / _PLAN, msgspec.json.encode(plan), mode=0o600)
        descriptor = _hold(folder, number)
    try:
        yield Journal(number, plan, descriptor, Standing())
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def take_up_push(settings: Settings, number: int | None) -> Iterator[Journal]:
    """An earlier push, held; None: the last one that is not through with all of its clients.

    Raises PushNotFound, PushSpoiled, and PushBusy.
    """
    pushes = _folder(settings)
    with locked(pushes):
        number = _last_open(pushes) if number is None else number
        plan = _load_plan(pushes, number)
        _refuse_overlap(pushes, plan)
        descriptor = _hold(pushes / str(number), number)
        _end_torn_line(descriptor)
    try:
        yield Journal(number, plan, descriptor, fold(_load_events(pushes, number)))
    finally:
        os.close(descriptor)


def fold(events: Iterator[Event]) -> Standing:
    """Where every client stands after these events."""
    last: dict[str, What] = {}
    for event in events:
        last[event.client] = event.what
    return Standing(
        *(tuple(name for name, what in last.items() if what is kind)
          for kind in (What.DONE, What.FAILED, What.BEGUN))
    )  # fmt: skip


def parse_events(data: bytes) -> Iterator[Event]:
    """Events of the lines that are whole; what a kill tore is left out."""
    decoder = msgspec.json.Decoder(Event)
    for line in data.splitlines():
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            yield decoder.decode(line)


def _folder(settings: Settings) -> Path:
    return settings.fleet / "pushes"


def _numbers(pushes: Path) -> list[int]:
    return sorted(int(path.name) for path in pushes.iterdir() if path.name.isdecimal())


def _load_plan(pushes: Path, number: int) -> Plan:
    file = pushes / str(number) / _PLAN
    try:
        return msgspec.json.decode(file.read_bytes(), type=Plan)
    except FileNotFoundError:
        raise PushNotFound(f"there is no push {number}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PushSpoiled(f"{file}: {error}", hint="begin a new push") from error


def _load_events(pushes: Path, number: int) -> Iterator[Event]:
    with (pushes / str(number) / _EVENTS).open("rb") as file:
        return parse_events(file.read(_MAX_BYTES))


def _last_open(pushes: Path) -> int:
    for number in reversed(_numbers(pushes)):
        with contextlib.suppress(PushNotFound, PushSpoiled, FileNotFoundError):
            done = set(fold(_load_events(pushes, number)).done)
            if not done.issuperset(_load_plan(pushes, number).clients):
                return number
    raise PushNotFound("no push is left to go on with", hint="begin one: --clients RANGE")


def _refuse_overlap(pushes: Path, plan: Plan) -> None:
    """Raises PushBusy when a push that is at work has a client of this one."""
    for number in _numbers(pushes):
        if not _is_held(pushes / str(number)):
            continue
        shared = sorted(set(plan.clients) & set(_load_plan(pushes, number).clients))
        if shared:
            raise PushBusy(
                f"push {number} is at work on {fold_names(shared)}",
                hint="wait for its end, or stop it with Ctrl-C where it runs",
            )


def _is_held(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / _EVENTS, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _hold(folder: Path, number: int) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(folder / _EVENTS, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise PushBusy(f"push {number} is at work already") from None
    return descriptor


def _end_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.write(descriptor, b"\n")


def _forget_old(pushes: Path, numbers: list[int]) -> None:
    for number in numbers[:-KEPT_PUSHES]:
        if not _is_held(pushes / str(number)):
            shutil.rmtree(pushes / str(number))
