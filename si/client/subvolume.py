"""The root of a machine as a btrfs subvolume: its snapshot, and the way back to it.

Stage 8, effects; runs on clients (Python 3.9). For a root of the name NAME there may be beside it:
NAME.si-undo, read-only, what it was before the last update; NAME.si-undo-open, what it was before
an update that has not come to its end, however often that was begun; and, after an undo,
NAME.si-undone, what it was until then. The root changes in one rename(2) of two names, so a machine
that loses its power boots the one or the other, whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from si.client.identity import Identity, parse_identity
from si.client.places import Places
from si.errors import CommandFailed, NoSpace, SIError, UndoImpossible
from si.system.exchange import exchange
from si.system.run import find_tool, run

BEFORE = ".si-undo"
OPEN = ".si-undo-open"
UNDONE = ".si-undone"
_NAMED = re.compile(r"(?:^|[, =])subvol=/?([^,\s]+)")
_COLUMNS = "SOURCE,FSTYPE,FSROOT"


class Snapshot(NamedTuple):
    """since: when it was taken, as btrfs says it; identity: of the machine then, None where it had
    none."""

    since: str
    identity: Identity | None


class Subvolume(NamedTuple):
    """The root of the machine. device: of its file system; name: its path from the top of that;
    mount: where the top is mounted while it is looked at."""

    places: Places
    device: str
    name: str
    mount: Path

    @property
    def is_undone(self) -> bool:
        """Whether the next boot starts another one in its place."""
        return self.name.endswith(UNDONE)

    def take(self) -> None:
        """Take the snapshot, unless that of an update that was cut off is there. Raises NoSpace."""
        with self._top() as top:
            _delete(top / (self.name + UNDONE), top)
            taken = top / (self.name + OPEN)
            if taken.exists():
                return
            try:
                _btrfs("subvolume", "snapshot", "-r", top / self.name, taken)
            except CommandFailed as error:
                raise NoSpace(
                    f"no snapshot could be taken before the update: {error.message}",
                    hint="make room on the root file system, or do without: --no-snapshot",
                ) from error

    def seal(self) -> None:
        """The update is done: its snapshot takes the place of the one before it."""
        with self._top() as top:
            _delete(top / (self.name + BEFORE), top)
            (top / (self.name + OPEN)).rename(top / (self.name + BEFORE))

    def drop(self) -> None:
        """Remove the snapshots; what is done next could not be undone with them."""
        with self._top() as top:
            for name in (OPEN, BEFORE):
                _delete(top / (self.name + name), top)

    def find(self) -> Snapshot | None:
        """The snapshot, if there is one."""
        with self._top() as top:
            tree = self._snapshot(top)
            if tree is None:
                return None
            shown = _btrfs("subvolume", "show", tree)
            found = re.search(r"(?m)^\s*Creation time:\s*(.+)$", shown)
            return Snapshot(found[1].strip() if found else "the last update", _identity(tree))

    def go_back(self) -> None:
        """Let what the snapshot holds be the root from the next boot on.

        The snapshots go last: whatever ends this before leaves them, and it can be done again.
        """
        with self._top() as top:
            undone, tree = top / (self.name + UNDONE), self._snapshot(top)
            assert tree is not None
            _delete(undone, top)
            _btrfs("subvolume", "snapshot", tree, undone)
            _btrfs("filesystem", "sync", top)
            exchange(top / self.name, undone)
            for name in (OPEN, BEFORE):
                _delete(top / (self.name + name), top)
            _btrfs("filesystem", "sync", top)

    def _snapshot(self, top: Path) -> Path | None:
        there = (top / (self.name + name) for name in (OPEN, BEFORE))
        return next((tree for tree in there if tree.exists()), None)

    @contextlib.contextmanager
    def _top(self) -> Iterator[Path]:
        """The top of the file system, mounted where nobody else looks."""
        if self.mount.is_mount():  # left by one that was killed
            run(["umount", self.mount])
        self.mount.mkdir(mode=0o700, parents=True, exist_ok=True)
        run(["mount", "-t", "btrfs", "-o", "subvolid=5", self.device, self.mount])
        try:
            yield self.mount
        finally:
            run(["umount", self.mount])
            self.mount.rmdir()


def find_subvolume(places: Places) -> Subvolume | None:
    """The root of `places`, None where that is no btrfs.

    Raises UndoImpossible, with the reason, where it is one that cannot be exchanged by its name.
    """
    found = run(
        ["findmnt", "--json", "--nofsroot", "--output", _COLUMNS, "--mountpoint", places.root],
        check=False,
    )
    mounts = json.loads(found.stdout)["filesystems"] if found.exit_code == 0 else []
    if not mounts or mounts[-1]["fstype"] != "btrfs":
        return None
    find_tool("btrfs", package="btrfs-progs")
    name = str(mounts[-1]["fsroot"]).lstrip("/")
    root = Subvolume(places, str(mounts[-1]["source"]), name, places.run / "si-btrfs")
    _check_name(root)
    _check_inner(root)
    return root


def _check_name(root: Subvolume) -> None:
    """A boot has to find the root by its name: that is what changes."""
    if not root.name:
        raise UndoImpossible("the root is the top of its btrfs, not a subvolume of it")
    wanted = root.name.removesuffix(UNDONE)
    sources = {"/etc/fstab": _root_options(root.places.root / "etc/fstab")}
    if root.places.root == Path("/"):
        sources["the kernel's arguments"] = Path("/proc/cmdline").read_text(errors="replace")
    for source, text in sources.items():
        named = _NAMED.search(text)
        if named is None or named[1] != wanted:
            raise UndoImpossible(f"{source} does not name the root's subvolume: subvol={wanted}")


def _root_options(fstab: Path) -> str:
    try:
        lines = fstab.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    fields = (line.split() for line in lines if not line.lstrip().startswith("#"))
    return next((each[3] for each in fields if len(each) > 3 and each[1] == "/"), "")


def _check_inner(root: Subvolume) -> None:
    """Subvolumes inside the root are in no snapshot of it. Empty ones are no loss."""
    prefix = f"{root.name}/"
    for path in _inner(root.places.root):
        inside = path[len(prefix) :] if path.startswith(prefix) else path
        with contextlib.suppress(FileNotFoundError), os.scandir(root.places.root / inside) as found:
            if next(found, None) is not None:
                raise UndoImpossible(f"/{inside} is a subvolume of its own, no snapshot has it")


def _inner(folder: Path) -> list[str]:
    """Subvolumes directly below the one at `folder`, by their paths from the top."""
    lines = _btrfs("subvolume", "list", "-o", folder).splitlines()
    return [line.partition(" path ")[2] for line in lines]


def _delete(subvolume: Path, top: Path) -> None:
    """Delete a subvolume, and those in it; nothing where there is none."""
    if subvolume.exists():
        for path in _inner(subvolume):
            _delete(top / path, top)
        _btrfs("subvolume", "delete", subvolume)


def _identity(tree: Path) -> Identity | None:
    file = Places(tree).identity
    try:
        return parse_identity(file.read_bytes(), str(file))
    except (OSError, SIError):
        return None


def _btrfs(*words: str | Path) -> str:
    return run(["btrfs", *words]).text
