"""The torrents of the versions that are published, by info-hash.

Stage 7, one server process. The store of versions goes in; tracker and seeder ask here, so that
both share the same packs and nothing else. A torrent counts when it is the one that the version's
manifest names; one that is not is told once and left out.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from si.config import Settings
from si.errors import SIError, VersionSpoiled
from si.names_check import VersionName
from si.version.store import TORRENT, Version, list_numbers, load_version, version_path
from si.version.torrent import read_info_hash

log = logging.getLogger(__name__)

_REREAD_AFTER_S: Final = 2.0

_Key = tuple[VersionName, int, int]
"""A version, with inode and time of its folder: the name of a removed image may come again."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A version whose pack may be shared. data: its torrent."""

    name: VersionName
    folder: Path
    info_hash: bytes
    data: bytes


class Published:
    """What `versions/` has. May be asked from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._known: dict[_Key, Shared | None] = {}
        self._read_at = float("-inf")

    def all(self) -> tuple[Shared, ...]:
        """Every version that can be shared, from the store as it is now."""
        with self._lock:
            return self._reread()

    def find(self, info_hash: bytes) -> Shared | None:
        """The version of this info-hash, unless it is gone. The store is not read for each
        question, so a version may be a few seconds old before it is found."""
        with self._lock:
            found = self._among(info_hash)
            if found is None and time.monotonic() - self._read_at >= _REREAD_AFTER_S:
                self._reread()
                found = self._among(info_hash)
        return found if found is not None and (found.folder / TORRENT).is_file() else None

    def _among(self, info_hash: bytes) -> Shared | None:
        shared = (one for one in self._known.values() if one and one.info_hash == info_hash)
        return next(shared, None)

    def _reread(self) -> tuple[Shared, ...]:
        self._read_at = time.monotonic()
        known, self._known = self._known, {}
        for name in list_published(self._settings):
            key = _key(self._settings, name)
            self._known[key] = known[key] if key in known else self._load(name)
        return tuple(one for one in self._known.values() if one is not None)

    def _load(self, name: VersionName) -> Shared | None:
        try:
            version = load_version(self._settings, name)
            data = read_torrent(version)
            return Shared(name, version.path, read_info_hash(data), data)
        except (OSError, SIError) as error:
            log.error("%s is not shared: %s", name, error)
            return None


def read_torrent(version: Version) -> bytes:
    """A version's torrent. Raises VersionSpoiled unless it is the one its manifest names."""
    path = version.path / TORRENT
    data = path.read_bytes()
    expected = version.head.torrent
    if (len(data), hashlib.sha256(data).hexdigest()) != (expected.size, expected.sha256):
        raise VersionSpoiled(f"{path} is not what was published")
    return data


def list_published(settings: Settings) -> Iterator[VersionName]:
    """Every version of every image, in order. Raises NameInvalid for a folder that is none."""
    images = settings.versions.iterdir() if settings.versions.is_dir() else ()
    for folder in sorted(images):
        if not folder.name.startswith("."):
            for number in list_numbers(settings, folder.name):
                yield VersionName(folder.name, number)


def _key(settings: Settings, name: VersionName) -> _Key:
    try:
        found = version_path(settings, name.image, name.number or 0).stat()
    except FileNotFoundError:
        return name, 0, 0
    return name, found.st_ino, found.st_mtime_ns
