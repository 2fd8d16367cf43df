"""This machine's tree against a manifest: both are read in one order, side by side.

Stage 8, effects: reads; runs on clients (Python 3.9). Nothing of either is kept but what hard links
need, so a tree may have any number of paths. A directory that is missing, or is not the image's,
is one difference with all that is below it; what is protected is compared, but not looked into.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import NamedTuple

from si.client.ahead import Ahead, look_ahead
from si.client.alike import is_alike, pass_alike
from si.client.differences import CHANGED, EXTRA, MISSING, Difference, Leniency, agrees, compare
from si.client.live import Live, LiveTree
from si.client.rules import Protection, Rule
from si.version.record import FOLDER, Record, sort_key
from si.version.stream import ManifestReader

_CONTENT = 6
_NOTHING = b"\0"
_GONE = (errno.ENOENT, errno.ENODATA, errno.ENOTDIR)

_Inode = tuple[int, int]


class Unread(NamedTuple):
    """A file of which only the contents are still to be compared: with the SHA-256 `content`."""

    path: bytes
    place: bytes
    size: int
    content: str


class Scope(NamedTuple):
    """What is compared, and how. top: of the tree, b"" for the machine's own; churning:
    directories whose own time says nothing; overlaid: paths that an override has; coarse: devices
    with FAT; with_contents: files that agree otherwise are to be read as well."""

    top: bytes
    protection: Protection
    churning: frozenset[bytes] = frozenset()
    overlaid: frozenset[bytes] = frozenset()
    coarse: frozenset[int] = frozenset()
    with_contents: bool = False


def compare_trees(reader: ManifestReader, scope: Scope) -> Iterator[Difference | Unread]:
    """Every difference in the order of a manifest; with_contents: files to be read, among them.

    Raises ManifestInvalid, OSError.
    """
    if scope.with_contents:
        yield from _compare(reader, scope, None)
        return
    with look_ahead(reader, scope.top, is_alike) as ahead:
        yield from _compare(reader, scope, ahead)


def _compare(
    reader: ManifestReader, scope: Scope, ahead: Ahead | None
) -> Iterator[Difference | Unread]:
    comparison = _Comparison(reader, scope)
    entries, live = reader.entries(), LiveTree(scope.top, scope.protection)
    entry, found = next(entries, None), next(live, None)
    while entry is not None or found is not None:
        told: Difference | Unread | None
        if found is None or (entry is not None and _is_before(entry[0], found.path)):
            assert entry is not None
            told = comparison.only_wanted(*entry)
            entry = next(entries, None)
        elif entry is None or entry[0] != found.path:
            told = comparison.only_here(found)
            found = next(live, None)
        else:
            told = comparison.both(entry[1], found)
            if not scope.with_contents:
                pass_alike(entries, live, reader.first_names, ahead)
            entry, found = next(entries, None), next(live, None)
        if told is not None:
            yield told


def _is_before(path: bytes, other: bytes) -> bool:
    return path != other and sort_key(path) < sort_key(other)


class _Comparison:
    """What has to be remembered from path to path."""

    def __init__(self, reader: ManifestReader, scope: Scope) -> None:
        self._reader = reader
        self._scope = scope
        self._below = _NOTHING
        """What begins with this is not looked at."""
        self._inodes: dict[_Inode, bytes] = {}
        self._firsts: dict[bytes, _Inode] = {}
        self._unseen: dict[bytes, Record] = {}
        """First names that are not compared, or not there; the next name stands in for them."""

    def only_wanted(self, path: bytes, line: bytes) -> Difference | None:
        """A path that only the image has."""
        if path in self._reader.first_names:
            self._unseen[path] = self._reader.read(line)
        if path.startswith(self._below):
            return None
        is_folder = self._reader.read(line).kind == FOLDER
        if path in self._scope.overlaid:
            return None
        rules = self._scope.protection.rules_in(path.rpartition(b"/")[0])
        if is_folder:
            self._below = path + b"/"
        rule = rules.decide(path, is_folder=is_folder)
        return Difference(path, is_folder, (MISSING,), rule=rule)

    def only_here(self, live: Live) -> Difference | None:
        """A path that only this machine has."""
        if live.path in self._scope.overlaid:
            return None
        rule = live.rule
        if live.is_folder and rule is None:
            # It has to stay for what is protected in it, if anything is.
            rule = self._rule_inside(live)
            live.is_left_out = rule is None
        return Difference(live.path, live.is_folder, (EXTRA,), rule=rule)

    def both(self, line: bytes, live: Live) -> Difference | Unread | None:
        """A path that both have."""
        path, about = live.path, live.about
        inode = (about.st_dev, about.st_ino)
        is_overlaid = path in self._scope.overlaid
        if live.rule is not None:
            self._below = path + b"/"
        if path in self._reader.first_names:
            if is_overlaid or live.rule is not None:
                self._unseen[path] = self._reader.read(line)
            else:
                self._firsts[path] = inode
        if is_overlaid:
            return None
        try:
            if line.startswith(b"h "):
                return self._further_name(line, live, inode)
            return self._look_at(line, live, inode)
        except OSError as error:
            return _unreadable(live, error)

    def _look_at(self, line: bytes, live: Live, inode: _Inode) -> Difference | Unread | None:
        place = self._scope.top + live.path
        if live.about.st_nlink == 1 or live.is_folder:
            if agrees(line, live.about, place):
                return self._unread(line, live, place)
            return self._closely(self._reader.read(line), live, place)
        first = self._inodes.setdefault(inode, live.path)
        what = () if first == live.path else ("hard link",)
        return self._closely(self._reader.read(line), live, place, what)

    def _unread(self, line: bytes, live: Live, place: bytes) -> Unread | None:
        if not self._scope.with_contents or live.is_folder or live.rule is not None:
            return None
        content = line.split(b" ", _CONTENT + 1)[_CONTENT].decode("ascii", "replace")
        return Unread(live.path, place, live.about.st_size, content)

    def _further_name(self, line: bytes, live: Live, inode: _Inode) -> Difference | None:
        target = self._reader.read(line).target
        if target in self._unseen and live.rule is None:
            self._firsts[target] = inode
            self._inodes.setdefault(inode, live.path)
            return self._closely(self._unseen.pop(target), live, self._scope.top + live.path)
        if self._firsts.get(target) == inode:
            return None
        live.is_left_out = True
        return Difference(live.path, live.is_folder, (CHANGED,), ("hard link",), live.rule)

    def _closely(
        self, record: Record, live: Live, place: bytes, what: tuple[str, ...] = ()
    ) -> Difference | None:
        """Compare all of a path whose line is not just what is there."""
        scope = self._scope
        leniency = Leniency(
            is_coarse=live.about.st_dev in scope.coarse,
            ignores_time=record.kind == FOLDER and live.path in scope.churning,
            is_unread=live.rule is not None,
            reads_all=scope.with_contents,
        )
        classes, found = compare(record, live.about, place, leniency)
        if found == ("type",):
            live.is_left_out = True
            self._below = live.path + b"/"
        if what:
            classes = classes if CHANGED in classes else (CHANGED, *classes)
        if not classes:
            return None
        return Difference(live.path, live.is_folder, classes, (*what, *found), live.rule)

    def _rule_inside(self, live: Live) -> Rule | None:
        """A rule that protects anything below a directory that the image does not have."""
        top, protection = self._scope.top, self._scope.protection
        todo = [live.path]
        while todo:
            folder = todo.pop()
            rules = protection.rules_in(folder)
            with os.scandir(top + folder) as entries:
                for entry in entries:
                    path = folder + b"/" + entry.name
                    is_folder = entry.is_dir(follow_symlinks=False)
                    rule = rules.decide(path, is_folder=is_folder)
                    if rule is not None:
                        return rule
                    if is_folder:
                        todo.append(path)
        return None


def _unreadable(live: Live, error: OSError) -> Difference:
    if error.errno in _GONE:
        return Difference(live.path, live.is_folder, (MISSING,), rule=live.rule)
    return Difference(live.path, live.is_folder, (CHANGED,), (str(error.strerror),), live.rule)


def has_below(reader: ManifestReader, path: bytes) -> bool:
    """Whether the image has anything below `path` but what fsck puts there."""
    inside = path + b"/"
    after = sort_key(path) + b"\1"
    for found, _ in reader.entries():
        if found.startswith(inside) and not found.startswith(inside + b"lost+found"):
            return True
        if sort_key(found) > after:
            break
    return False
