"""A snapshot before each update, and `si-updateclient --undo`, which returns to it.

Stage 8, effects; runs on clients (Python 3.9). The snapshot is of the root's file system alone. So
an update that changes another one, a /boot of its own for one, gets none: half an undo would leave
a root without the kernel that it is booted with. There is one of before the last update, or none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from si.client.ask import confirm
from si.client.itemize import Item
from si.client.places import Places
from si.client.subvolume import Subvolume, find_subvolume
from si.client.surroundings import find_mounts
from si.errors import SIError, UndoImpossible, UpdateRefused

_log = logging.getLogger(__name__)


class Safety:
    """What is done about a snapshot before an update."""

    def __init__(self, root: Subvolume | None, *, takes: bool) -> None:
        self._root = root
        self._takes = takes

    def secure(self) -> None:
        """Take the snapshot; where none is taken, remove the one that an earlier update left, for
        it would be of before that. Raises NoSpace, CommandFailed."""
        if self._root is None:
            return
        if self._takes:
            self._root.take()
        else:
            self._root.drop()

    def keep(self) -> None:
        """The update is done: what was taken is what an undo returns to from now on."""
        if self._root is not None and self._takes:
            self._root.seal()
            _log.info("si-updateclient --undo brings back what was here before")


def plan_safety(places: Places, items: Iterable[Item], *, wanted: bool) -> Safety:
    """Whether a snapshot can be taken before `items` change; says aloud why not.

    wanted: by the user. Raises UpdateRefused when an undo waits for the reboot.
    """
    try:
        root = find_subvolume(places)
    except SIError as error:
        if wanted:
            _log.info("no snapshot, so there will be no --undo: %s", error.message)
        return Safety(None, takes=False)
    if root is None:
        return Safety(None, takes=False)
    if root.is_undone:
        raise UpdateRefused(
            "an undo waits for the next boot: what is changed now would be lost",
            hint="reboot, then update",
        )
    outside = _outside(places, items)
    if wanted and outside is not None:
        _log.info("no snapshot, so there will be no --undo: %s is another file system", outside)
    return Safety(root, takes=wanted and outside is None)


def undo_update(places: Places, *, is_dry_run: bool, yes: bool) -> None:
    """Return to what this machine was before the last update, at the next boot, or say so.

    Raises UndoImpossible, NotConfirmed, CommandFailed.
    """
    root = find_subvolume(places)
    if root is None:
        raise UndoImpossible("the root is no btrfs subvolume: no update has taken a snapshot")
    if root.is_undone:
        raise UndoImpossible("the last update is undone already", hint="reboot")
    found = root.find()
    if found is None:
        raise UndoImpossible(
            "there is nothing to undo: no snapshot of before an update",
            hint="si-updateclient --image NAME@N brings this machine back to an older version",
        )
    was = found.identity
    name = f"{was.image}@{was.version}" if was and was.version else "what it was before the update"
    if is_dry_run:
        print(f"would bring back {name}, without all that was written since {found.since}")
        return
    confirm(
        f"Bring this machine back to {name}? All that was written to the root file system since "
        f"{found.since} will be lost with it: logs, data, people's files.",
        yes=yes,
    )
    root.go_back()
    print(f"{name} from the next boot on; what is written until then will be lost")


def _outside(places: Places, items: Iterable[Item]) -> str | None:
    """A mount point with something to change at or below it."""
    mounts = find_mounts(places.root, Path("/proc/self/mountinfo"))
    points = [(path, path.encode("utf-8", "surrogateescape")[1:]) for path in mounts]
    for item in items:
        for path, point in points:
            if item.path == point or item.path.startswith(point + b"/"):
                return path
    return None
