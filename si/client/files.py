"""Small file work of the client commands: replace in one step, keep a directory's time, lock.

Stage: none, effects; runs on clients (Python 3.9).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from si.errors import ClientBusy


def write_atomically(file: Path, data: bytes, *, mode: int) -> None:
    """Make `file` hold `data`, in one step and on the disk before it returns."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        fresh.touch(mode=0o600, exist_ok=False)
        with fresh.open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        fresh.chmod(mode)
        fresh.replace(file)
    finally:
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()


@contextlib.contextmanager
def kept_times(*directories: Path) -> Iterator[None]:
    """Work in directories of the image without leaving new times on them."""
    before = {d: d.stat() for d in directories if d.is_dir()}
    try:
        yield
    finally:
        for directory, status in before.items():
            os.utime(directory, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextlib.contextmanager
def kept_attributes(directory: Path) -> Iterator[None]:
    """Work in a directory and leave its owner, mode and time as they were."""
    before = directory.stat()
    try:
        yield
    finally:
        os.chown(directory, before.st_uid, before.st_gid)
        directory.chmod(stat.S_IMODE(before.st_mode))
        os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))


def take_lock(file: Path, *, what: str) -> IO[str]:
    """Hold `file` locked until what is returned is closed, by whoever still has it open.

    Raises ClientBusy with the text that the holder left in it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    opened = file.open("a+", encoding="utf-8")
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        opened.seek(0)
        holder = opened.read(500).strip()
        opened.close()
        message, _, hint = holder.partition("\n")
        raise ClientBusy(message or f"another {what} is at work", hint=hint or None) from None
    return opened


def note_holder(lock: IO[str], text: str) -> None:
    """Leave word of who holds the lock: one line what it does, one line how to stop it."""
    lock.seek(0)
    lock.truncate()
    lock.write(text)
    lock.flush()
