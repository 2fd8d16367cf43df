"""Stage, then swap: a new tree takes an image's name in one step, the old one goes afterwards.

Stage 2. Names in the images folder (none of them can be an image's, they begin with a dot):
`.NAME.staging` is being filled; `.NAME.partial-*` is what a capture that failed had brought, for
the next one to resume from; `.NAME.old-*` lost its name and waits for its last reader to leave.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from si.config import Settings
from si.errors import ImageInUse
from si.image.usage import mounts_in, readers_of
from si.system.run import run

PROBE_PREFIX = ".probe-"
"""Then a process id and a hyphen: where `si.image.probe` tries what the store can keep."""

_STAMP = r"\d{20}-\d+"


def staging_path(settings: Settings, name: str) -> Path:
    """Where the next tree of image `name` is filled."""
    return settings.images / f".{name}.staging"


def partial_paths(settings: Settings, name: str) -> tuple[Path, ...]:
    """What failed captures of image `name` left to resume from, latest first."""
    return _hidden(settings.images, re.compile(rf"\.{re.escape(name)}\.partial-{_STAMP}"))


def set_partial(settings: Settings, staging: Path, name: str) -> Path:
    """Put a staging tree that was left behind aside, for the next capture to resume from."""
    partial = settings.images / f".{name}.partial-{_stamp()}"
    staging.rename(partial)
    return partial


def retire(tree: Path, name: str) -> Path:
    """Take `tree` out of service: rename it to `.NAME.old-*` beside it and give that path."""
    old = tree.parent / f".{name}.old-{_stamp()}"
    tree.rename(old)
    return old


def leftovers(settings: Settings, name: str) -> tuple[Path, ...]:
    """All that captures of image `name` which failed have left."""
    staging = staging_path(settings, name)
    found = partial_paths(settings, name)
    return (staging, *found) if staging.is_dir() and not staging.is_symlink() else found


def sweep_old_trees(settings: Settings) -> tuple[Path, ...]:
    """Remove trees that lost their names and have no readers left, and what a killed command
    was trying the store's file system with; gives the trees that are still read."""
    for trial in _hidden(settings.images, re.compile(rf"{re.escape(PROBE_PREFIX)}\d+-.*")):
        if not Path("/proc", trial.name.split("-")[1]).exists():
            remove_tree(settings, trial)
    waiting = []
    pattern = re.compile(rf"\..+\.old-{_STAMP}")
    for old in (*_hidden(settings.images, pattern), *_hidden(settings.overrides, pattern)):
        if readers_of(old) or mounts_in(old):
            waiting.append(old)
        else:
            remove_tree(settings, old)
    return tuple(waiting)


def remove_tree(settings: Settings, tree: Path) -> None:
    """Remove a hidden tree of the images or overrides folder, never crossing into a mount.

    Raises ImageInUse when something is mounted in it, ValueError for any other path,
    CommandFailed.
    """
    if tree.parent not in (settings.images, settings.overrides) or not tree.name.startswith("."):
        raise ValueError(f"{tree} is no tree that may be removed")
    points = mounts_in(tree)
    if points:
        raise ImageInUse(f"{tree} has mounts in it: {', '.join(points)}", hint="unmount them")
    run(["rm", "-rf", "--one-file-system", "--preserve-root=all", "--", tree])


def _hidden(folder: Path, pattern: re.Pattern[str]) -> tuple[Path, ...]:
    """Trees with such a name, latest first."""
    try:
        entries = sorted(folder.iterdir(), reverse=True)
    except FileNotFoundError:
        return ()
    return tuple(
        entry
        for entry in entries
        if pattern.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink()
    )


def _stamp() -> str:
    """Grows with time, so that names sort by age; differs between processes."""
    return f"{time.time_ns():020d}-{os.getpid()}"
