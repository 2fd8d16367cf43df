"""Take paths away: exactly those that were listed, and nothing that came since.

Stage 8, effects; runs on clients (Python 3.9).
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from si.client.folders import Folders, list_below, look_at

_log = logging.getLogger(__name__)


class Removal(NamedTuple):
    """A path that goes."""

    path: bytes
    is_folder: bool


def list_removals(folders: Folders, path: bytes) -> Iterator[Removal]:
    """`path` with all that is in it, in the order in which it can be removed. Raises OSError."""
    about = look_at(folders.place(path))
    if about is None:
        return
    is_folder = stat.S_ISDIR(about.st_mode)
    if is_folder:
        for inner, is_inner_folder in list_below(folders.folder(path), path):
            yield Removal(inner, is_inner_folder)
    yield Removal(path, is_folder)


def remove(folders: Folders, removal: Removal) -> None:
    """Remove one path. What is gone already is well; a directory that something new was put into
    stays. Raises OSError."""
    try:
        place = folders.place(removal.path)
        if removal.is_folder:
            os.rmdir(place.name, dir_fd=place.folder)
        else:
            os.unlink(place.name, dir_fd=place.folder)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        _log.warning("%s stays: something was put into it", os.fsdecode(removal.path))


def remove_trees(folders: Folders, paths: Iterable[bytes]) -> None:
    """Remove paths that are this program's own, whatever is in them. Raises OSError."""
    for path in paths:
        for removal in tuple(list_removals(folders, path)):
            remove(folders, removal)
