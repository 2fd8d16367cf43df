"""One si-server for a root, and what it says of itself.

Stage 7, one server process. The running server holds a lock on `run/si-server.lock` for as long as
it lives, however it ends, and tells in `run/si-server.json` what it serves once all of it answers.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from si.config import Settings
from si.errors import ServerAlreadyRuns, ServerNotRunning
from si.system.files import replace_file


class Service(msgspec.Struct, frozen=True):
    """One thing that is served."""

    name: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"serving {self.name} on {self.address}:{self.port}"


class Status(msgspec.Struct, frozen=True):
    """si-server.json."""

    pid: int
    started: datetime
    services: tuple[Service, ...]


@contextmanager
def only_server(settings: Settings) -> Iterator[None]:
    """Hold the root for this server. Raises ServerAlreadyRuns."""
    settings.run.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(_lock_file(settings), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(descriptor, 20).decode("ascii", "replace").strip()
            raise ServerAlreadyRuns(
                f"another si-server serves {settings.root}" + (f" (process {pid})" if pid else ""),
                hint="si-server --status shows what it serves",
            ) from error
        _status_file(settings).unlink(missing_ok=True)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
        _status_file(settings).unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def write_status(settings: Settings, services: tuple[Service, ...]) -> None:
    """Tell that all of `services` answer."""
    status = Status(os.getpid(), datetime.now(UTC).replace(microsecond=0), services)
    replace_file(_status_file(settings), msgspec.json.encode(status) + b"\n")


def read_status(settings: Settings) -> Status:
    """What the running server serves. Raises ServerNotRunning, also while it only starts."""
    missing = ServerNotRunning(f"no si-server serves {settings.root}", hint="start it: si-server")
    try:
        descriptor = os.open(_lock_file(settings), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise missing from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(settings)
    finally:
        os.close(descriptor)
    raise missing


def _read(settings: Settings) -> Status:
    try:
        return msgspec.json.decode(_status_file(settings).read_bytes(), type=Status)
    except (OSError, msgspec.MsgspecError) as error:
        raise ServerNotRunning(f"si-server for {settings.root} is only starting") from error


def _lock_file(settings: Settings) -> Path:
    return settings.run / "si-server.lock"


def _status_file(settings: Settings) -> Path:
    return settings.run / "si-server.json"
