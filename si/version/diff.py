"""What differs between two versions, or a version and a tree.

Stage 3. Pure; Python 3.9 and the standard library only. In: lines of two manifests; out: `Changes`.
Lines are compared first, and only those that differ are read: most are equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from si.version.record import HARD_LINK, Record, parse_line, sort_key


class Change(NamedTuple):
    """A path that both have, and what of it differs: "contents", "mode", ..."""

    path: bytes
    what: tuple[str, ...]


class Changes(NamedTuple):
    """Paths in the order of a manifest."""

    added: tuple[bytes, ...]
    removed: tuple[bytes, ...]
    changed: tuple[Change, ...]

    @property
    def any(self) -> bool:
        """Whether there is a difference at all."""
        return bool(self.added or self.removed or self.changed)


def without_place(line: bytes) -> bytes:
    """A line of a manifest without the place in the pack."""
    return line.rpartition(b" ")[0]


def compare_lines(old: Iterable[bytes], new: Iterable[bytes]) -> Changes:
    """Compare lines that have no place. Raises ManifestInvalid for one that is none."""
    before, after = set(old), set(new)
    was = _read(before - after)
    now = _read(after - before)
    changed = [
        Change(path, _differences(was[path], now[path]))
        for path in sorted(was.keys() & now.keys(), key=sort_key)
    ]
    return Changes(
        added=tuple(sorted(now.keys() - was.keys(), key=sort_key)),
        removed=tuple(sorted(was.keys() - now.keys(), key=sort_key)),
        changed=tuple(changed),
    )


def _read(lines: Iterable[bytes]) -> dict[bytes, Record]:
    records = (parse_line(line + b" 0:0") for line in lines)
    return {record.path: record for record in records}


def _differences(one: Record, other: Record) -> tuple[str, ...]:
    if one.kind != other.kind and HARD_LINK not in (one.kind, other.kind):
        return ("type",)
    told = {
        "links": one.kind != other.kind or (one.kind == HARD_LINK and one.target != other.target),
        "contents": one.kind == other.kind
        and (one.content, one.size) != (other.content, other.size),
        "target": one.kind != HARD_LINK and one.kind == other.kind and one.target != other.target,
        "device": one.device != other.device,
        "mode": one.mode != other.mode,
        "owner": (one.uid, one.gid) != (other.uid, other.gid),
        "time": one.mtime_ns != other.mtime_ns,
        "attributes": one.kind == other.kind and one.xattrs != other.xattrs,
        "holes": one.kind == other.kind and one.extents != other.extents,
    }
    return tuple(name for name, differs in told.items() if differs)
