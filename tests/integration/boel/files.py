"""Making files with attributes, and reading the attributes back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]
OLD = 1_600_000_000_123_456_789
"""A time with nanoseconds, in 2020."""


def put(path: Path, text: str = "", *, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def age(*paths: Path) -> None:
    for path in paths:
        os.utime(path, ns=(OLD, OLD), follow_symlinks=False)


def attributes(*paths: Path) -> list[tuple[int, int, int, int]]:
    found = [path.lstat() for path in paths]
    return [(one.st_mode, one.st_uid, one.st_gid, one.st_mtime_ns) for one in found]
