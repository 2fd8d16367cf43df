"""The version before the one that is being made: what it has, and what can be taken over from it.

Stage 3. In: an image's latest version; out: its lines and its pack's frames. Believed only when the
site signed it: a version that was spoiled on the disk must not spoil the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from si.config import Settings
from si.errors import SIError, VersionSpoiled
from si.names_check import VersionName
from si.version.diff import Changes, compare_lines, without_place
from si.version.frames import OldPack
from si.version.manifest import Lists, parse_lists
from si.version.pack import read_old
from si.version.plan import PACKER
from si.version.record import FILE, describe
from si.version.scan import Scan
from si.version.signature import check_signature
from si.version.store import (
    MANIFEST,
    PACK,
    SIGNATURE,
    Version,
    list_numbers,
    load_version,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Before:
    """A version: its head, and its lines."""

    version: Version
    lists: Lists

    def compare(self, lines: Sequence[bytes]) -> Changes:
        """What differs, going by lines of a manifest without their places."""
        return compare_lines(map(without_place, self.lists.lines), lines)

    def compare_known(self, scan: Scan) -> Changes | None:
        """What differs in a tree, when all contents are known; None when files must be read."""
        if any(one.record.kind == FILE and not one.record.content for one in scan.found):
            return None
        return self.compare([describe(one.record) for one in scan.found])

    def has_script(self, script: bytes | None) -> bool:
        """Whether the version was published with this master script."""
        head = self.version.head
        if script is None or head.script is None:
            return script is None and head.script is None
        return hashlib.sha256(script).hexdigest() == head.script.sha256


def load_signed(settings: Settings, name: VersionName) -> Before:
    """A version whose manifest is as it was signed.

    Raises VersionNotFound, VersionSpoiled, ManifestInvalid.
    """
    version = load_version(settings, name)
    path = version.path / MANIFEST
    try:
        data, signature = path.read_bytes(), (version.path / SIGNATURE).read_bytes()
    except OSError as error:
        raise VersionSpoiled(f"{version.name}: {error.filename}: {error.strerror}") from None
    check_signature(settings, str(path), data, signature)
    return Before(version, parse_lists(data, str(path)))


def load_before(settings: Settings, image: str) -> Before | None:
    """The latest version; None when there is none, or when it is spoiled, which is logged."""
    numbers = list_numbers(settings, image)
    if not numbers:
        return None
    name = VersionName(image, numbers[-1])
    try:
        return load_signed(settings, name)
    except SIError as error:
        log.warning("nothing is taken over from %s: %s", name, error)
        return None


@contextlib.contextmanager
def open_old(before: Before | None) -> Iterator[OldPack]:
    """The frames of the version before, its pack open; none when they were cut by other rules."""
    if before is None or before.version.head.packer != PACKER:
        yield OldPack()
        return
    try:
        descriptor = os.open(before.version.path / PACK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        log.warning("nothing is taken over from %s: %s", before.version.name, error)
        yield OldPack()
        return
    try:
        yield read_old(descriptor, before.lists.frames, before.lists.lines)
    finally:
        os.close(descriptor)
