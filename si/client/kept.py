"""The manifest that this machine was last held against, kept so that it need not come again.

Stage 8, effects; runs on clients (Python 3.9). A manifest is found by the signature that the server
gives for it, and checked with that as if it had just come; so nothing here has to be believed, and
all of it may be removed at any time. Where it cannot be kept, it comes again: that is no error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

from si.client.files import kept_times
from si.errors import VersionSpoiled

_PREFIX = "manifest-"
_SHARE = 10
"""Of the room that is left, what is kept may take one part in so many."""


def open_kept(
    cache: Path, signature: bytes, check: Callable[[IO[bytes]], None]
) -> IO[bytes] | None:
    """The manifest that was kept with this signature; None where there is none, or `check` raises
    VersionSpoiled."""
    try:
        file = _place(cache, signature).open("rb")
    except OSError:
        return None
    with contextlib.suppress(VersionSpoiled):
        if _is_ours(file):
            check(file)
            return file
    file.close()
    return None


def keep(cache: Path, signature: bytes, manifest: IO[bytes]) -> None:
    """Keep this manifest, and no other. It has the names of all files, so only root may read it."""
    with contextlib.suppress(OSError):
        _make_folder(cache)
        for old in cache.glob(f"{_PREFIX}*"):
            old.unlink()
        if manifest.seek(0, os.SEEK_END) * _SHARE > shutil.disk_usage(cache).free:
            return
        manifest.seek(0)
        place = _place(cache, signature)
        fresh = place.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(manifest, file)
        fresh.rename(place)


def _place(cache: Path, signature: bytes) -> Path:
    return cache / f"{_PREFIX}{hashlib.sha256(signature).hexdigest()[:32]}"


def _is_ours(file: IO[bytes]) -> bool:
    """Whether nobody else can change it once it was checked."""
    about = os.fstat(file.fileno())
    return about.st_uid == os.geteuid() and not about.st_mode & 0o022


def _make_folder(cache: Path) -> None:
    """Make it in its directory, which is the image's and keeps its time. Raises OSError."""
    if not cache.is_dir():
        with kept_times(cache.parent):
            cache.mkdir(mode=0o700)
