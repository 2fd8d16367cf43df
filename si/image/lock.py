"""One writer an image: flock on `images/.NAME.lock`.

Stage 2. The kernel drops the lock with its holder, so a killed command never blocks the next one.
The holder's process id and command stand in the file, for the error that the second one gets.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from si.config import Settings
from si.errors import StoreLocked
from si.names_check import check_name

_IMAGES_MODE = 0o750  # an image holds /etc/shadow and old set-uid programs
_LONGEST_COMMAND = 200


def make_store(settings: Settings) -> Path:
    """The images folder, made when it is missing."""
    if not settings.images.is_dir():
        settings.images.mkdir(parents=True, exist_ok=True)
        settings.images.chmod(_IMAGES_MODE)
    return settings.images


@dataclass(frozen=True, slots=True)
class HeldImage:
    """An image (or a name that is to become one) that this process may write."""

    name: str


@contextlib.contextmanager
def lock_image(settings: Settings, name: str) -> Iterator[HeldImage]:
    """Hold image `name` (which need not exist yet) for writing.

    Raises StoreLocked at once, saying who, when another command holds it.
    """
    check_name("image", name)
    path = make_store(settings) / f".{name}.lock"
    descriptor = _acquire(path, name)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {_this_command()}\n".encode(), 0)
        yield HeldImage(name)
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def lock_holder(settings: Settings, name: str) -> str | None:
    """Who holds image `name`, like "process 12 (si-chroot web)"; None when nobody does."""
    path = settings.images / f".{name}.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _read_holder(descriptor)
    finally:
        os.close(descriptor)


def _acquire(path: Path, name: str) -> int:
    """Lock the file that bears the name: a holder removes it on leaving, so a lock that was
    got on a removed file is worth nothing."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same(descriptor, path):
                return descriptor
        except BlockingIOError:
            holder = _read_holder(descriptor)
            os.close(descriptor)
            raise StoreLocked(
                f"image {name} is held by {holder}", hint="wait until that command has ended"
            ) from None
        os.close(descriptor)


def _is_same(descriptor: int, path: Path) -> bool:
    held = os.fstat(descriptor)
    try:
        present = path.lstat()
    except FileNotFoundError:
        return False
    return (held.st_dev, held.st_ino) == (present.st_dev, present.st_ino)


def _read_holder(descriptor: int) -> str:
    text = os.pread(descriptor, 2 * _LONGEST_COMMAND, 0).decode("utf-8", "replace").strip()
    pid, _, command = text.partition(" ")
    return f"process {pid} ({command})" if pid.isdigit() else "another command"


def _this_command() -> str:
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return shlex.join(words).replace("\n", " ")[:_LONGEST_COMMAND]
