"""What has to be done to make a tree its version again: differences in, changes in their order out.

Stage 8. Pure but for reading the manifest; runs on clients (Python 3.9). The comparison has told
what differs; here the manifest is gone through once more, for the records of that and for what
hangs on it: all that a missing directory holds, the further names of a file that is written anew,
and the directories whose times change when something in them does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Optional

from si.client.differences import CHANGED, EXTRA, MISSING, Difference
from si.client.rules import Protection
from si.version.record import FILE, FOLDER, HARD_LINK, SYMLINK, Record
from si.version.stream import ManifestReader

WRITE, LINK, DRESS, MAKE = "write", "link", "dress", "make"
"""A new file, link or device put in place of what is there; a further name given to a file; owner,
mode, attributes and time set; a directory made."""

_NOTHING = b"\0"
_LIBRARIES, _DATA, _PROGRAMS, _BOOT = range(4)


class Change(NamedTuple):
    """One path. action: WRITE, LINK, DRESS or MAKE; is_new: nothing is there yet; what: differs of
    what is there; source: of LINK, the name that it becomes another of; inside: the topmost
    directory that is new as well, b"" when there is none."""

    path: bytes
    action: str
    record: Record
    is_new: bool
    what: tuple[str, ...] = ()
    source: bytes = b""
    inside: bytes = b""


class Work(NamedTuple):
    """changes: in the order of the manifest; folders: directories that get their attributes and
    times at the end; extra: what the version does not have."""

    changes: tuple[Change, ...]
    folders: tuple[Record, ...]
    extra: tuple[Difference, ...]


def plan_changes(
    reader: ManifestReader,
    differences: Mapping[bytes, Difference],
    protection: Protection,
    overlaid: frozenset[bytes],
    absent: frozenset[bytes] = frozenset(),
) -> Work:
    """The work that `differences` (by path, none of them protected) ask for.

    overlaid: paths that an override has, so that they are not the image's business; absent: those
    of them that are no directory here, and so must be made where the image has something in them.
    Raises ManifestInvalid.
    """
    planner = _Planner(reader, differences, protection, overlaid, absent)
    for path, line in reader.entries():
        planner.look_at(path, line)
    return planner.finish()


def order_of_placing(change: Change) -> tuple[int, bool]:
    """What is put in place earlier sorts lower: libraries before the programs that need them, a
    link after what it may point to, and what the machine boots from last."""
    return _rank(change), change.record.kind == SYMLINK


def _rank(change: Change) -> int:
    path, record = change.path, change.record
    name = path.rpartition(b"/")[2]
    if path.startswith(b"/boot/"):
        return _BOOT
    if record.kind == FOLDER or name.endswith(b".so") or b".so." in name:
        return _LIBRARIES
    if record.kind == FILE:
        return _PROGRAMS if record.mode & 0o111 else _DATA
    return _PROGRAMS if record.kind == SYMLINK and b"bin/" in path else _DATA


class _First(NamedTuple):
    """The name that stands for a file with several names: the first that nothing protects.

    record: the file's, as the manifest has it; name: None where each so far is protected.
    """

    record: Record
    name: Optional[bytes]  # noqa: UP045 - evaluated, by Python 3.9 too
    is_written: bool


class _Planner:
    def __init__(
        self,
        reader: ManifestReader,
        differences: Mapping[bytes, Difference],
        protection: Protection,
        overlaid: frozenset[bytes],
        absent: frozenset[bytes],
    ) -> None:
        self._reader = reader
        self._differences = differences
        self._protection = protection
        self._overlaid = overlaid
        self._absent = absent
        self._changes: list[Change] = []
        self._touched = {_parent(path) for path, one in differences.items() if _is_extra(one)}
        self._folders: dict[bytes, bytes] = {}
        """Lines of all directories, by path."""
        self._firsts: dict[bytes, _First] = {}
        self._new = b""
        """The topmost directory that is made."""
        self._left = _NOTHING
        """What begins with this is protected, in a directory that is made."""

    def look_at(self, path: bytes, line: bytes) -> None:
        """The next path of the manifest."""
        if line.startswith(b"d "):
            self._folders[path] = line
        is_first = path in self._reader.first_names
        is_new = bool(self._new) and path.startswith(self._new + b"/")
        difference = self._differences.get(path)
        if path in self._absent and line.startswith(b"d "):
            difference = Difference(path, True, (MISSING,))
        if not (is_new or is_first or difference or line.startswith(b"h ")):
            return
        record = self._reader.read(line)
        if self._is_left_alone(record, is_new=is_new):
            if is_first:
                self._firsts[path] = _First(record, None, False)
        elif record.kind == HARD_LINK:
            self._further_name(record, difference, is_new=is_new)
        else:
            is_written = self._plan(record, difference, is_new=is_new)
            if is_first:
                self._firsts[path] = _First(record, path, is_written)

    def finish(self) -> Work:
        """The whole."""
        for path, difference in self._differences.items():
            if not _is_extra(difference) and path in self._folders:
                self._touched.add(path)
        found = [path for path in self._touched if path in self._folders]
        folders = (self._reader.read(self._folders[path]) for path in sorted(found))
        extra = tuple(one for one in self._differences.values() if _is_extra(one))
        kept = tuple(folder for folder in folders if folder.path not in self._overlaid)
        return Work(tuple(self._changes), kept, extra)

    def _further_name(self, record: Record, difference: Difference | None, *, is_new: bool) -> None:
        first = self._firsts[record.target]
        if first.name is None:
            own = first.record._replace(path=record.path)
            is_written = self._plan(own, difference, is_new=is_new)
            self._firsts[record.target] = _First(first.record, record.path, is_written)
        elif first.is_written or difference or is_new:
            is_missing = difference is not None and MISSING in difference.classes
            is_new = is_new or is_missing
            self._add(LINK, record, difference, is_new=is_new, source=first.name)

    def _plan(self, record: Record, difference: Difference | None, *, is_new: bool) -> bool:
        """Plan a path by itself. Gives whether another file will be there."""
        if difference is None and not is_new:
            return False
        what = () if difference is None else difference.what
        is_made = is_new or difference is None or MISSING in difference.classes
        if record.kind == FOLDER:
            if is_made or "type" in what:
                self._add(MAKE, record, difference, is_new=is_made)
                self._touched.add(record.path)
                self._new = self._new if is_new else record.path
            else:
                self._add(DRESS, record, difference, is_new=False)
            return False
        if not is_made and record.kind == FILE and set(what) <= {"time"}:
            self._add(DRESS, record, difference, is_new=False)
            return False
        self._add(WRITE, record, difference, is_new=is_made)
        return True

    def _add(
        self,
        action: str,
        record: Record,
        difference: Difference | None,
        *,
        is_new: bool,
        source: bytes = b"",
    ) -> None:
        inside = self._new if record.path.startswith(self._new + b"/") else b""
        what: tuple[str, ...] = ("hard link",) if source else ()
        if difference is not None and not is_new and not source:
            what = difference.what + tuple(
                name for name in difference.classes if name not in (CHANGED, MISSING)
            )
        self._changes.append(Change(record.path, action, record, is_new, what, source, inside))
        if action != DRESS:
            self._touched.add(_parent(record.path))

    def _is_left_alone(self, record: Record, *, is_new: bool) -> bool:
        path = record.path
        is_overlaid = path in self._overlaid and path not in self._absent
        if is_overlaid or path.startswith(self._left):
            return True
        if not is_new:
            # What differs has been asked already; of the others only names of one file come here.
            return path not in self._differences and self._holds(path)
        is_folder = record.kind == FOLDER
        rule = self._protection.rules_in(path.rpartition(b"/")[0]).decide(path, is_folder=is_folder)
        if rule is not None and is_folder:
            self._left = path + b"/"
        return rule is not None

    def _holds(self, path: bytes) -> bool:
        return self._protection.holder(path, is_folder=False) is not None


def _is_extra(difference: Difference) -> bool:
    return EXTRA in difference.classes


def _parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0] or b"/"
