"""What the server writes down of each client: events, console log, MACs that nobody knows.

Stage 9, watching. In go reports (already checked by `si.serve.web`), out come lines of
`clients/NAME/events.jsonl` and the bytes of `console.log`. Files only grow by whole lines under a
lock, are synced before a report is acknowledged (a client that was told its "written" arrived is
never installed again), and are bounded, since a client in trouble can talk without end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from si.config import Settings
from si.errors import NameInvalid
from si.monitor.state import ClientState, Event, Phase, fold
from si.names_check import check_name
from si.system.files import locked

MAX_DETAIL = 64 * 1024
MAX_EVENTS = 8 * 1024 * 1024
MAX_LOG = 32 * 1024 * 1024
_DECISIVE = frozenset(
    {Phase.ARMED, Phase.DISARMED, Phase.STARTED, Phase.WRITTEN, Phase.FAILED, Phase.INSTALLED}
)


class LogGap(Exception):
    """Console bytes that do not join what is there; `size` is where to go on."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the log ends at byte {size}")
        self.size = size


class LogFull(Exception):
    """A client's events or console log reached their limit."""


class _Line(msgspec.Struct, frozen=True):
    time: datetime
    phase: Phase
    uptime_s: float | None = None
    detail: str = ""


_LINES = msgspec.json.Decoder(_Line)


def client_directory(settings: Settings, name: str) -> Path:
    """`clients/NAME`. Raises NameInvalid for what must not become a path."""
    return settings.clients / check_name("client", name)


def clients_with_folder(settings: Settings) -> set[str]:
    """Clients that were armed, or reported, at any time."""
    if not settings.clients.is_dir():
        return set()
    found = set()
    for entry in settings.clients.iterdir():
        with suppress(NameInvalid):
            if entry.is_dir() and not entry.is_symlink():
                found.add(check_name("client", entry.name))
    return found


def append_event(settings: Settings, name: str, event: Event) -> None:
    """Write one event down and sync it. A "started" of a new boot begins a new console log.

    Raises LogFull when the client already sent more than any install does; events that decide
    what a client does next are still taken then.
    """
    directory = client_directory(settings, name)
    make_private(directory)
    with locked(directory):
        before = read_events(settings, name)
        _append_line(directory / "events.jsonl", _encode(event), decisive=event.phase in _DECISIVE)
        if event.phase is Phase.STARTED and _attempts([*before, event]) > _attempts(before):
            log = directory / "console.log"
            if log.exists():
                log.replace(directory / "console.log.1")


def begin_events(settings: Settings, name: str, event: Event) -> None:
    """Write the event that arms a client; what came before it moves to events.jsonl.1."""
    directory = client_directory(settings, name)
    make_private(directory)
    with locked(directory):
        file = directory / "events.jsonl"
        if file.exists() and file.stat().st_size > MAX_EVENTS // 8:
            file.replace(directory / "events.jsonl.1")
        _append_line(file, _encode(event), decisive=True)


def read_events(settings: Settings, name: str) -> tuple[Event, ...]:
    """Events in the order they were written; none for a client that was never armed.

    A line that was cut off by a power failure is passed over.
    """
    try:
        data = (client_directory(settings, name) / "events.jsonl").read_bytes()
    except FileNotFoundError:
        return ()
    return tuple(_decode(data))


def client_state(settings: Settings, name: str, *, now: datetime | None = None) -> ClientState:
    """Where the client stands now."""
    return fold(
        read_events(settings, name),
        now=now or datetime.now(UTC),
        attempts=settings.install.attempts,
        report_timeout_s=settings.install.report_timeout_s,
    )


def append_log(settings: Settings, name: str, *, offset: int, data: bytes) -> int:
    """Join console bytes that begin at `offset` to the log; gives its new size.

    What is already there is not written again. Raises LogGap when bytes before `offset` are
    missing, LogFull beyond MAX_LOG.
    """
    directory = client_directory(settings, name)
    make_private(directory)
    with locked(directory), (directory / "console.log").open("ab") as log:
        size = log.tell()
        if offset > size:
            raise LogGap(size)
        new = data[size - offset :]
        if size + len(new) > MAX_LOG:
            raise LogFull(f"the console log of {name} is full at {MAX_LOG} bytes")
        log.write(new)
        return size + len(new)


def make_private(directory: Path) -> None:
    """Make a folder below clients/ that only its owner may read: tokens lie there."""
    directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.mkdir(exist_ok=True, mode=0o700)


def _append_line(path: Path, line: bytes, *, decisive: bool) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size + len(line) > MAX_EVENTS and not (decisive and size < 2 * MAX_EVENTS):
            raise LogFull(f"{path} is full at {MAX_EVENTS} bytes")
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, b"\n" + line if torn else line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encode(event: Event) -> bytes:
    detail = event.detail[:MAX_DETAIL]
    line = _Line(event.time.astimezone(UTC), event.phase, event.uptime_s, detail)
    return msgspec.json.encode(line) + b"\n"


def _decode(data: bytes) -> Iterator[Event]:
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        try:
            read = _LINES.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        time = read.time if read.time.tzinfo is not None else read.time.replace(tzinfo=UTC)
        yield Event(time, read.phase, read.uptime_s, read.detail)


def _attempts(events: tuple[Event, ...] | list[Event]) -> int:
    return fold(events, now=datetime.now(UTC), attempts=1, report_timeout_s=0).attempts
