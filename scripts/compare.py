#!/usr/bin/env python3
"""Compare two file trees in every attribute that a copy can lose.

    compare.py EXPECTED_DIR ACTUAL_DIR [--allow FILE] [--ran FILE] [--ahead] [--json]

Stands alone: the standard library, nothing of the product it judges. Run it as root, for only root
sees every attribute. ACTUAL_DIR may have other file systems mounted below. A folder lost+found in
the root of a file system is not compared. Exit status: 0 equal, 1 different, 2 wrong use.

FILE is a closed list of exceptions, `PATH<TAB>REASON` a line, exact paths beginning with /, at most
25. A path on it may differ in any way; what lies below it may not. The list of --ran is for what a
machine that ran has written since, where names may not be known beforehand: there `PATH/**` stands
for all below PATH.

--ahead is for a file system that lays out more than is written, and fills small holes with it, as
xfs does: a file may take twice the room then, and 64 KiB.

Not compared: atime and ctime, which no copy can keep; the size of anything but regular files; the
mode of symlinks, which have none.
"""

# Names are bytes here, for they need not be text, and pathlib takes only text.
# ruff: noqa: PTH115, PTH116, PTH123, PTH208

from __future__ import annotations

import argparse
import hashlib
import json
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_ALLOWED = 25
CHUNK = 1 << 20
BLOCK = 512
ROUNDING = 4096
"""Blocks of a file system: two of them may differ in how they round up."""
AHEAD = 65536
KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block device", stat.S_IFCHR: "character device",
}  # fmt: skip
ATTRIBUTES = (
    "presence", "type", "mode", "owner", "size", "mtime", "target", "device",
    "xattrs", "acl", "capability", "hardlinks", "content", "sparseness",
)  # fmt: skip

Inode = tuple[int, int]


class UsageError(Exception):
    """The command line or the list of exceptions is wrong."""


@dataclass
class Tree:
    """A tree's paths, relative and with a leading /, and who shares an inode with whom."""

    root: bytes
    entries: dict[bytes, os.stat_result] = field(default_factory=dict)
    groups: dict[Inode, list[bytes]] = field(default_factory=dict)
    lost: set[bytes] = field(default_factory=set)
    """Each lost+found in the root of a file system, and all below it."""

    def place(self, path: bytes) -> bytes:
        """Where `path` lies."""
        return self.root + path


@dataclass
class Outcome:
    """What was compared, and every difference: path -> attribute -> what."""

    ahead: bool = False
    """The file system of the actual tree lays out more than is written."""
    compared: Counter[str] = field(default_factory=Counter)
    differences: dict[bytes, dict[str, str]] = field(default_factory=dict)

    def note(self, path: bytes, attribute: str, expected: object, actual: object) -> None:
        """Count one comparison, and keep it when the two are not equal."""
        self.compared[attribute] += 1
        if expected != actual:
            text = f"expected {show(expected)}, found {show(actual)}"
            self.differences.setdefault(path, {})[attribute] = text


def main() -> int:
    """The program; its exit status."""
    parser = argparse.ArgumentParser(description="compare two file trees in every attribute")
    parser.add_argument("expected", metavar="EXPECTED_DIR")
    parser.add_argument("actual", metavar="ACTUAL_DIR")
    parser.add_argument("--allow", metavar="FILE", help="closed list of paths that may differ")
    parser.add_argument(
        "--ran", metavar="FILE", help="the same for a machine that ran; PATH/** too"
    )
    parser.add_argument("--ahead", action="store_true")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    try:
        allowed = read_allowed(arguments.allow) if arguments.allow else {}
        ran = read_allowed(arguments.ran) if arguments.ran else {}
        expected = read_tree(os.fsencode(arguments.expected))
        actual = read_tree(os.fsencode(arguments.actual))
    except (UsageError, OSError) as error:
        print(f"compare.py: error: {error}", file=sys.stderr)
        return 2
    outcome = compare(expected, actual, ahead=arguments.ahead)
    allowed |= {path: reason for path in outcome.differences for reason in reasons_for(path, ran)}
    printer = print_json if arguments.json else print_lines
    return printer(outcome, allowed)


def read_allowed(name: str) -> dict[bytes, str]:
    """Exact paths and the reason of each. Raises UsageError."""
    allowed: dict[bytes, str] = {}
    with open(name, "rb") as file:
        lines = [line.rstrip(b"\n") for line in file]
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        path, tab, reason = line.partition(b"\t")
        if not path.startswith(b"/") or not tab or not reason.strip():
            raise UsageError(f"{name}:{number}: want /PATH<TAB>REASON")
        if path in allowed:
            raise UsageError(f"{name}:{number}: {show(path)} stands there twice")
        allowed[path] = reason.strip().decode("utf-8", "replace")
    if len(allowed) > MAX_ALLOWED:
        raise UsageError(f"{name}: {len(allowed)} paths, more than {MAX_ALLOWED}")
    return allowed


def reasons_for(path: bytes, ran: dict[bytes, str]) -> list[str]:
    """Why a machine that ran may differ at `path`: no reason, or one."""
    for entry, reason in ran.items():
        below = entry.removesuffix(b"**")
        if path == entry or (below != entry and path.startswith(below)):
            return [reason]
    return []


def read_tree(root: bytes) -> Tree:
    """Every path below `root`, and `root` itself as "/"."""
    root = root.rstrip(b"/") or b"/"
    if not stat.S_ISDIR(os.stat(root).st_mode):
        raise UsageError(f"{show(root)} is not a folder")
    tree = Tree(b"" if root == b"/" else root)
    tops = {b"/"}
    for path, found in walk(tree.root, b"/", os.stat(root)):
        tree.entries[path] = found
        above = path.rpartition(b"/")[0] or b"/"
        if found.st_dev != tree.entries[above].st_dev:
            tops.add(path)
        if above in tree.lost or (path.endswith(b"/lost+found") and above in tops):
            tree.lost.add(path)
        if not stat.S_ISDIR(found.st_mode) and found.st_nlink > 1:
            tree.groups.setdefault((found.st_dev, found.st_ino), []).append(path)
    for names in tree.groups.values():
        names.sort()
    return tree


def walk(root: bytes, path: bytes, found: os.stat_result) -> Iterator[tuple[bytes, os.stat_result]]:
    """`path` and all below it, across file systems."""
    yield path, found
    if not stat.S_ISDIR(found.st_mode):
        return
    for name in sorted(os.listdir(root + path)):
        below = (b"" if path == b"/" else path) + b"/" + name
        yield from walk(root, below, os.lstat(root + below))


def compare(expected: Tree, actual: Tree, *, ahead: bool = False) -> Outcome:
    """Every attribute of every path in both; paths that one lacks."""
    outcome = Outcome(ahead)
    paths = expected.entries.keys() | actual.entries.keys()
    for path in sorted(paths - expected.lost - actual.lost):
        first, second = expected.entries.get(path), actual.entries.get(path)
        presence = "present" if first else "absent", "present" if second else "absent"
        outcome.note(path, "presence", *presence)
        if first and second:
            compare_path(outcome, path, expected, actual)
    return outcome


def compare_path(outcome: Outcome, path: bytes, expected: Tree, actual: Tree) -> None:
    """What two paths of one name have; contents only where the types are equal."""
    first, second = expected.entries[path], actual.entries[path]
    kind = stat.S_IFMT(first.st_mode)
    both = first, second
    outcome.note(path, "type", *(KINDS[stat.S_IFMT(found.st_mode)] for found in both))
    outcome.note(path, "owner", *(f"{found.st_uid}:{found.st_gid}" for found in both))
    outcome.note(path, "mtime", *(found.st_mtime_ns for found in both))
    if kind != stat.S_IFLNK:
        outcome.note(path, "mode", *(f"{stat.S_IMODE(found.st_mode):04o}" for found in both))
    compare_attributes(outcome, path, expected.place(path), actual.place(path))
    if kind != stat.S_IFDIR:
        outcome.note(path, "hardlinks", *(names_of(t, path) for t in (expected, actual)))
    if kind != stat.S_IFMT(second.st_mode):
        return
    if kind == stat.S_IFREG:
        compare_contents(outcome, path, expected, actual)
    elif kind == stat.S_IFLNK:
        outcome.note(path, "target", *(os.readlink(t.place(path)) for t in (expected, actual)))
    elif kind in (stat.S_IFBLK, stat.S_IFCHR):
        numbers = (f"{os.major(f.st_rdev)}:{os.minor(f.st_rdev)}" for f in both)
        outcome.note(path, "device", *numbers)


def compare_attributes(outcome: Outcome, path: bytes, first: bytes, second: bytes) -> None:
    """Extended attributes, with ACLs and capabilities counted apart, for they are lost apart."""
    one, two = attributes_of(first), attributes_of(second)
    outcome.note(path, "acl", *(split_acl(found) for found in (one, two)))
    outcome.note(path, "capability", *(found.pop("security.capability", None)
                                       for found in (one, two)))  # fmt: skip
    outcome.note(path, "xattrs", one, two)


def compare_contents(outcome: Outcome, path: bytes, expected: Tree, actual: Tree) -> None:
    """Size, bytes, and that the copy does not take more room than the original."""
    first, second = expected.entries[path], actual.entries[path]
    outcome.note(path, "size", first.st_size, second.st_size)
    outcome.note(path, "content", hash_of(expected.place(path)), hash_of(actual.place(path)))
    outcome.compared["sparseness"] += 1
    had, has = first.st_blocks * BLOCK, second.st_blocks * BLOCK
    room = room_for(first, had)
    if has > (2 * room + AHEAD if outcome.ahead else room):
        text = f"expected at most {had} bytes allocated, found {has}"
        outcome.differences.setdefault(path, {})["sparseness"] = text


def room_for(expected: os.stat_result, had: int) -> int:
    """Bytes a faithful copy may take. A file without holes may take all its size; another what
    the original took. On top, rounding to blocks, and one block for the map of extents and one
    for attributes."""
    whole = -(-expected.st_size // ROUNDING) * ROUNDING
    without_holes = had >= expected.st_size
    return (max(had, whole) if without_holes else had) + 2 * ROUNDING


def attributes_of(place: bytes) -> dict[str, bytes]:
    """All extended attributes that this user can see; of a symlink itself, not its target.

    Not those by which XFS shows root each ACL a second time.
    """
    return {
        name: os.getxattr(place, name, follow_symlinks=False)
        for name in os.listxattr(place, follow_symlinks=False)
        if not name.startswith("trusted.SGI_ACL_")
    }


def split_acl(attributes: dict[str, bytes]) -> dict[str, bytes]:
    """Take the ACLs out of `attributes`."""
    names = [name for name in attributes if name.startswith("system.posix_acl_")]
    return {name: attributes.pop(name) for name in names}


def names_of(tree: Tree, path: bytes) -> list[bytes]:
    """All names of the file at `path` within the tree, itself included."""
    found = tree.entries[path]
    return tree.groups.get((found.st_dev, found.st_ino), [path])


def hash_of(place: bytes) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(place, "rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
    return digest.hexdigest()


def show(value: object) -> str:
    """Anything on one line of plain ASCII; bytes that are no such text as \\xNN."""
    if isinstance(value, bytes):
        return "".join(
            chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02x}" for byte in value
        )
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={show(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(show(item) for item in value) + "]"
    return "nothing" if value is None else str(value)


def print_lines(outcome: Outcome, allowed: dict[bytes, str]) -> int:
    """Differences, allowed ones, counts, a verdict; the exit status."""
    bad = {path: what for path, what in outcome.differences.items() if path not in allowed}
    for path, what in bad.items():
        for attribute, text in what.items():
            print(f"{show(path)}: {attribute}: {text}")
    for path, reason in allowed.items():
        if path in outcome.differences:
            attributes = ", ".join(outcome.differences[path])
            print(f"allowed: {show(path)}: {attributes}: {reason}")
        else:
            print(f"note: {show(path)} did not differ, its exception is unneeded")
    counts = ", ".join(f"{name} {outcome.compared[name]}" for name in ATTRIBUTES)
    used = sum(path in outcome.differences for path in allowed)
    print(f"compared: {counts}")
    verdict = "identical" if not bad else f"different: {len(bad)} paths"
    print(f"{verdict}, {outcome.compared['presence']} paths compared, {used} exceptions used")
    return 1 if bad else 0


def print_json(outcome: Outcome, allowed: dict[bytes, str]) -> int:
    """The same as one object; the exit status."""
    bad = {path: what for path, what in outcome.differences.items() if path not in allowed}
    used = {path: outcome.differences[path] for path in allowed if path in outcome.differences}
    print(json.dumps({
        "identical": not bad,
        "compared": {name: outcome.compared[name] for name in ATTRIBUTES},
        "differences": {show(path): what for path, what in bad.items()},
        "allowed": {show(path): {"what": what, "reason": allowed[path]}
                    for path, what in used.items()},
        "unneeded": [show(path) for path in allowed if path not in used],
    }, indent=2))  # fmt: skip
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
