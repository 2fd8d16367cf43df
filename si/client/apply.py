"""Do an update: make all that is new beside its place, then rename it, then remove.

Stage 8, effects; runs on clients (Python 3.9). The order is what keeps a machine alive that is
stopped on the way: nothing has its name before everything was fetched and checked; libraries get
theirs before programs, and what the machine boots from last; removals come after that. Times and
modes of directories come at the very end, for all that goes before changes them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from si.client.changes import DRESS, LINK, MAKE, WRITE, Change, order_of_placing
from si.client.folders import Folders, Place
from si.client.intake import Intake
from si.client.plan import Fetched
from si.client.removal import Removal, remove, remove_trees
from si.client.staging import Staging, doing
from si.client.supply import Origin
from si.system.run import run
from si.version.record import FILE, FOLDER, Record


class Job(NamedTuple):
    """What is done. top: of the tree, b"" for the machine's own; origin: of the bytes; folders:
    directories as they are in the end; coarse: devices of file systems that keep only times."""

    top: bytes
    origin: Origin
    changes: Sequence[Change]
    removals: Sequence[Removal]
    folders: Sequence[Record]
    coarse: frozenset[int]


def apply(job: Job, step: Callable[[], None]) -> tuple[Fetched, ...]:
    """Do it; `step` is called for each path. Gives how the files came.

    Raises ToolMissing, ServerUnreachable, VersionNotFound, VersionSpoiled, ManifestInvalid,
    NoSpace, UpdateRefused.
    """
    with Folders(job.top) as folders:
        staging = Staging(folders, job.coarse)
        try:
            fetched = _stage(job, staging, folders, step)
            _write_down(job, folders)
            _place(job, staging, folders)
        except BaseException:
            staging.undo()
            raise
        with doing(b"/"):
            remove_trees(folders, staging.retired)
        for removal in job.removals:
            with doing(removal.path):
                remove(folders, removal)
            step()
        for record in reversed(job.folders):
            with doing(record.path):
                staging.dress(Place(folders.folder(record.path), b""), record)
    return fetched


def _stage(
    job: Job, staging: Staging, folders: Folders, step: Callable[[], None]
) -> tuple[Fetched, ...]:
    made = [change for change in job.changes if change.action == MAKE]
    written = [change for change in job.changes if change.action == WRITE]
    empty = [change for change in written if not _has_bytes(change)]
    for change in (*made, *empty):
        with doing(change.path):
            staging.make(change, None)
        step()
    full = [change for change in written if _has_bytes(change)]
    return tuple(Intake(job.origin, folders, staging, step).bring(full))


def _write_down(job: Job, folders: Folders) -> None:
    """Get what was made onto the disks: names must not be there before their contents are."""
    written = {
        os.fstat(folders.place(change.path).folder).st_dev: change.path
        for change in job.changes
        if change.action == WRITE and not change.inside
    }
    tops = [os.fsdecode(job.top + path.rpartition(b"/")[0] + b"/") for path in written.values()]
    if any(change.inside for change in job.changes) and not tops:
        tops = [os.fsdecode(job.top + b"/")]
    if tops:
        run(["sync", "--file-system", *tops])


def _place(job: Job, staging: Staging, folders: Folders) -> None:
    made = [c for c in job.changes if c.action in (MAKE, WRITE) and not c.inside]
    for change in sorted(made, key=order_of_placing):
        with doing(change.path):
            staging.put(change)
    for change in job.changes:
        with doing(change.path):
            if change.action == LINK:
                staging.link(change)
            elif change.action == DRESS and change.record.kind != FOLDER:
                staging.dress(folders.place(change.path), change.record)


def _has_bytes(change: Change) -> bool:
    return change.record.kind == FILE and change.record.packed > 0
