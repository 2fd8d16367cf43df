"""Find out by a version's manifest what an update would change, and do it with the version's pack.

Stage 8, effects; runs on clients (Python 3.9). The server gives two files and stretches of a third,
which any web server could; what differs is found here. Overrides come by rsync, after the image:
they are not in any version.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from si.client.apply import Job, apply
from si.client.bootmenu import is_menu_pending, touches_boot
from si.client.changes import WRITE, Change, Work, plan_changes
from si.client.comparison import Scope, compare_trees
from si.client.differences import Difference
from si.client.estimate import Cost
from si.client.folders import Folders, list_below, look_at
from si.client.frames import join_frames, wanted_frames
from si.client.guard import Guarding
from si.client.immutable import refuse_immutable
from si.client.itemize import Item, quote_path
from si.client.live_plan import lay_over
from si.client.overlaid import Overlaid, list_overrides, preview_overrides
from si.client.places import Places
from si.client.plan import Fetched, Plan, Step
from si.client.published import version_url
from si.client.removal import Removal, list_removals, remove_trees
from si.client.rules import Protection
from si.client.scope import guard_against, make_scope, top_of
from si.client.staging import PREFIX
from si.client.supply import Origin
from si.client.wanted import Answer
from si.errors import UpdateRefused
from si.version.record import FILE, FOLDER
from si.version.stream import ManifestReader


class VersionSource:
    """A version whose manifest is open, for the tree of `places`."""

    def __init__(
        self, places: Places, answer: Answer, reader: ManifestReader, excludes: Sequence[str]
    ) -> None:
        self._places = places
        self._answer = answer
        self._reader = reader
        self._excludes = excludes

    @cached_property
    def guarding(self) -> Guarding:
        """All rules of what is left alone. Raises ConfigInvalid."""
        return guard_against(self._places, self._reader, self._excludes)

    def make_plan(self, *, with_boot_menu: bool) -> Plan:
        """The plan for bringing the tree to the version.

        Raises ConfigInvalid, ManifestInvalid, UpdateRefused, and where there are overrides
        ServerUnreachable, CommandFailed.
        """
        places = self._places
        overlaid = list_overrides(self._answer.update, self.guarding)
        scope = make_scope(places, self.guarding, overlaid)
        work = self._find_work(scope, frozenset(_absent_folders(overlaid, scope.top)))
        with Folders(scope.top) as folders:
            removals = tuple(_list_extra(folders, work))
            covered = tuple(_list_covered(folders, work, scope.protection))
        items = [_as_item(change) for change in work.changes]
        items += [_as_removal(removal) for removal in (*removals, *covered)]
        laid_over = preview_overrides(overlaid, places.root)
        items += laid_over
        by_path = {item.path: item for item in items}
        items = [by_path[path] for path in sorted(by_path)]
        name = self._answer.version
        needs_menu = with_boot_menu and (touches_boot(items) or is_menu_pending(places))
        job = self._job(scope, work, removals)
        return Plan(
            name=str(name),
            version=name.number,
            items=tuple(items),
            needs_menu=needs_menu,
            keeps_old=True,
            cost=lambda: Cost(
                _packed_bytes(job) + _data_bytes(laid_over), _data_bytes(items), len(items)
            ),
            perform=lambda step: _perform(job, overlaid, places.root, step),
            check=lambda: _check(job),
        )

    def _find_work(self, scope: Scope, absent: frozenset[bytes]) -> Work:
        differences: dict[bytes, Difference] = {}
        for found in compare_trees(self._reader, scope):
            assert isinstance(found, Difference)
            if found.rule is None:
                differences[found.path] = found
        if not differences:
            return Work((), (), ())
        return plan_changes(self._reader, differences, scope.protection, scope.overlaid, absent)

    def _job(self, scope: Scope, work: Work, removals: tuple[Removal, ...]) -> Job:
        return Job(
            top=top_of(self._places),
            origin=Origin(
                base=version_url(self._answer.server, self._answer.version),
                number=self._reader.head.number,
                frames=self._reader.frames if work.changes else (),
                held=self._answer.held,
                site_key=self._places.site_key,
            ),
            changes=work.changes,
            removals=removals,
            folders=work.folders,
            coarse=scope.coarse,
        )


def _packed_bytes(job: Job) -> int:
    """What of the pack has to come, where nothing smaller serves. Raises ManifestInvalid."""
    frames = job.origin.frames
    written = (change.record for change in job.changes if change.action == WRITE)
    wanted = wanted_frames((each for each in written if each.kind == FILE), frames)
    return sum(stretch.end - stretch.begin for stretch in join_frames(wanted, frames))


def _data_bytes(items: Iterable[Item]) -> int:
    return sum(item.size for item in items if item.is_data)


def _perform(job: Job, overlaid: Overlaid, root: Path, step: Step) -> tuple[Fetched, ...]:
    fetched = apply(job, step)
    lay_over(overlaid.passes, root, step)
    return fetched


def _check(job: Job) -> None:
    """Refuse what could not be done, and clear away what an update that was cut off has left."""
    with Folders(job.top) as folders:
        refuse_immutable(folders, _changed_paths(job))
        left = [one.path for one in job.removals if _name(one.path).startswith(PREFIX)]
        remove_trees(folders, left)


def _changed_paths(job: Job) -> Iterator[bytes]:
    """All that is here and is written to or loses its name, directories among them."""
    new = {change.path for change in job.changes if change.is_new}
    paths = {change.path for change in job.changes}
    paths.update(removal.path for removal in job.removals)
    paths.update(folder.path for folder in job.folders)
    yield from sorted(paths - new)


def _list_extra(folders: Folders, work: Work) -> Iterator[Removal]:
    for difference in work.extra:
        yield from list_removals(folders, difference.path)


def _list_covered(folders: Folders, work: Work, protection: Protection) -> Iterator[Removal]:
    """What is in directories that will be something else.

    Raises UpdateRefused where anything of that is protected.
    """
    for change in work.changes:
        if change.action != WRITE or "type" not in change.what or not _is_folder(folders, change):
            continue
        for path, is_folder in list_below(folders.folder(change.path), change.path):
            rules = protection.rules_in(path.rpartition(b"/")[0])
            rule = rules.decide(path, is_folder=is_folder)
            if rule is not None:
                raise UpdateRefused(
                    f"{quote_path(change.path)} is no directory in the version, but "
                    f"{quote_path(path)} in it is protected by {rule}",
                    hint="move it away, or protect the directory as well",
                )
            yield Removal(path, is_folder)


def _as_item(change: Change) -> Item:
    is_data = change.action == WRITE and change.record.kind == FILE
    return Item(
        path=change.path[1:] or b".",
        kind="add" if change.is_new else "change",
        what=() if change.is_new else change.what,
        is_directory=change.record.kind == FOLDER,
        is_data=is_data,
        size=change.record.packed if is_data else 0,
    )


def _as_removal(removal: Removal) -> Item:
    return Item(removal.path[1:], "remove", is_directory=removal.is_folder)


def _is_folder(folders: Folders, change: Change) -> bool:
    about = look_at(folders.place(change.path))
    return about is not None and stat.S_ISDIR(about.st_mode)


def _absent_folders(overlaid: Overlaid, top: bytes) -> Iterator[bytes]:
    """Directories of overrides that are none here."""
    for items in overlaid.held:
        for item in items:
            place = top + b"/" + item.path
            if item.is_directory and (os.path.islink(place) or not os.path.isdir(place)):  # noqa: PTH112, PTH114 - bytes
                yield b"/" + item.path


def _name(path: bytes) -> bytes:
    return os.path.basename(path)  # noqa: PTH119 - bytes
