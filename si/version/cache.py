"""What the last publishing knew of each file, so that an unchanged one is not read again.

Stage 3. In and out: `versions/NAME/cache`, which is no part of any version: without it, or with a
spoiled one, everything is read. A file is known by path, inode, size, mtime and ctime. A capture
links unchanged files into a new tree and removes the old one, which changes their ctimes, so after
a capture the ctime does not count; the inode does, and a capture gives each changed file a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from si.image.metadata import RECORD, read_inside
from si.system.files import replace_file
from si.version.record import FILE
from si.version.scan import Found, Scan

_FORMAT = 1
_RACE_NS = 200_000_000
"""Longer than any tick of a kernel's clock: within it a file can be written twice at one ctime."""
_MAX_RECORD = 64 * 1024


class _Known(msgspec.Struct, frozen=True, array_like=True):
    inode: int
    mtime_ns: int
    ctime_ns: int
    size: int
    content: bytes


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    capture: str
    paths: list[bytes]
    known: list[_Known]


@dataclass(frozen=True, slots=True)
class Cache:
    """Contents of files by path. capture: of which capture the tree was, "" for none."""

    capture: str = ""
    known: dict[bytes, _Known] = field(default_factory=dict)

    def content_of(self, found: Found, capture: str) -> str:
        """SHA-256 of a file in a tree of `capture`, hex; "" when it must be read."""
        known, stamp = self.known.get(found.record.path), found.stamp
        if (
            known is None
            or known.inode != stamp.inode
            or known.mtime_ns != stamp.mtime_ns
            or known.size != stamp.size
        ):
            return ""
        if known.ctime_ns != stamp.ctime_ns and capture == self.capture:
            return ""
        return known.content.hex()


def with_contents(scan: Scan, cache: Cache, capture: str) -> Scan:
    """The scan of a tree of `capture`, with the contents that are known."""
    if not cache.known:
        return scan
    found = []
    for one in scan.found:
        content = cache.content_of(one, capture) if one.record.kind == FILE else ""
        found.append(Found(one.record._replace(content=content), one.stamp) if content else one)
    return Scan(scan.root, found, scan.sockets)


def capture_of(tree: Path) -> str:
    """What tells one capture of an image from another; "" for a tree that was made by hand."""
    text = read_inside(tree, RECORD, max_bytes=_MAX_RECORD)
    return "" if text is None else hashlib.sha256(text).hexdigest()


def load_cache(path: Path) -> Cache:
    """What was stored; empty when there is nothing, or nothing that can be read."""
    try:
        stored = msgspec.msgpack.decode(path.read_bytes(), type=_Stored)
    except (OSError, msgspec.DecodeError):
        return Cache()
    if stored.format != _FORMAT or len(stored.paths) != len(stored.known):
        return Cache()
    return Cache(stored.capture, dict(zip(stored.paths, stored.known, strict=True)))


def store_cache(
    path: Path, capture: str, found: Iterable[tuple[Found, str]], *, began_ns: int
) -> None:
    """Keep the content of each file; not of those that changed just before they were read, at
    `began_ns` of the clock, since they may have been changed once more within the same tick."""
    paths: list[bytes] = []
    known: list[_Known] = []
    latest = began_ns - _RACE_NS
    for one, content in found:
        stamp = one.stamp
        if one.record.kind == FILE and stamp.ctime_ns < latest:
            paths.append(one.record.path)
            digest = bytes.fromhex(content)
            known.append(_Known(stamp.inode, stamp.mtime_ns, stamp.ctime_ns, stamp.size, digest))
    stored = _Stored(_FORMAT, capture, paths, known)
    replace_file(path, msgspec.msgpack.encode(stored), mode=0o600)
