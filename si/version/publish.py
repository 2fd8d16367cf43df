"""Freeze an image's tree as its next version.

Stage 3. In: an image that this process holds; out: `versions/NAME/N`, which appears in one step
when all of it is on the disk, and a `Published` report. Everything is filled in a hidden folder
beside it: a publishing that is killed leaves nothing but that, which the next one removes.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from si.config import Settings
from si.errors import NoSpace, PrivilegeMissing, SIError
from si.image.lock import HeldImage
from si.image.store import load_image, script_path
from si.image.usage import refuse_mounts
from si.names_check import VersionName
from si.version.before import Before, load_before, open_old
from si.version.block_pack import make_blocks
from si.version.cache import Cache, capture_of, load_cache, store_cache, with_contents
from si.version.delta_pack import Contents, make_delta
from si.version.diff import Changes, without_place
from si.version.frames import FrameMaker, OldPack
from si.version.manifest import FileSum, Head, render_manifest
from si.version.pack import Packed, write_pack
from si.version.plan import PACKER
from si.version.record import FILE
from si.version.scan import Scan, changed_since, look_again, scan_tree, tree_changed
from si.version.signature import ensure_site_key, sign
from si.version.store import (
    MANIFEST,
    PACK,
    SCRIPT,
    SIGNATURE,
    TORRENT,
    Version,
    cache_path,
    flush,
    load_version,
    make_folder,
    next_number,
    prune_versions,
    staging_path,
    sweep,
    version_path,
)
from si.version.torrent import make_torrent

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Published:
    """version: the new one, or the latest when `made` is false because nothing had changed.
    changes: against the version before, None for a first one. copied_bytes: of the pack, what was
    taken over from the version before. sockets: paths that no version can carry. removed: numbers
    of old versions that the settings do not keep."""

    version: Version
    made: bool
    changes: Changes | None
    copied_bytes: int
    sockets: tuple[bytes, ...]
    removed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Work:
    """A publishing under way."""

    settings: Settings
    image: str
    message: str
    scan: Scan
    script: bytes | None
    before: Before | None
    on_progress: Progress


def publish_version(
    settings: Settings,
    held: HeldImage,
    *,
    message: str = "",
    full: bool = False,
    needed: Callable[[], Collection[int]] = tuple,
    on_progress: Progress = lambda _done, _total: None,
) -> Published:
    """Publish image `held.name` as it is now.

    full: read every file and make every frame, whatever is remembered. needed: the numbers of old
    versions that somebody waits for, which stay. on_progress: called with bytes of the tree, done
    and in all. Raises ImageNotFound, ImageInUse (mounts in it),
    TreeChanged, CannotCarry, NoSpace, PrivilegeMissing; there is no new version then.
    """
    began_ns = time.time_ns()
    tree = load_image(settings, held.name).path
    refuse_mounts(tree, held.name)
    with _told_plainly(settings):
        make_folder(settings, held.name)
        sweep(settings, held.name)
        ensure_site_key(settings)
        before = None if full else load_before(settings, held.name)
        cache = Cache() if full else load_cache(cache_path(settings, held.name))
        capture = capture_of(tree)
        scan = with_contents(scan_tree(os.fsencode(tree)), cache, capture)
        script = _read_script(settings, held.name)
        work = _Work(settings, held.name, message, scan, script, before, on_progress)
        unchanged = _nothing_to_do(work)
        if unchanged is not None:
            return unchanged
        packed, number, changes = _make(work)
        pairs = zip(scan.found, packed.contents, strict=True)
        try:
            store_cache(cache_path(settings, held.name), capture, pairs, began_ns=began_ns)
        except SIError as error:  # the version stands; only the next one takes longer
            log.warning("the next publishing reads all files: %s", error)
        removed = prune_versions(settings, held, needed())
    version = load_version(settings, VersionName(held.name, number))
    made = before is None or before.version.head.number != number
    return Published(version, made, changes, packed.copied_bytes, scan.sockets, removed)


def compare_with_tree(settings: Settings, version: Before, name: str) -> Changes:
    """What differs between a version and the tree of image `name` as it is now."""
    tree = load_image(settings, name).path
    cache = load_cache(cache_path(settings, name))
    with _told_plainly(settings):
        scan = with_contents(scan_tree(os.fsencode(tree)), cache, capture_of(tree))
        maker = FrameMaker(scan, OldPack())
        for position, one in enumerate(scan.found):
            if one.record.kind == FILE and not one.record.content:
                content = maker.hash_file(one.record)
                scan.found[position] = one._replace(record=one.record._replace(content=content))
        changes = version.compare_known(scan)
    assert changes is not None, "all contents are known now"
    return changes


def _nothing_to_do(work: _Work) -> Published | None:
    """The report, when no file has to be read to see that nothing changed."""
    before = work.before
    if before is None or not before.has_script(work.script):
        return None
    changes = before.compare_known(work.scan)
    if changes is None or changes.any:
        return None
    return Published(before.version, False, changes, 0, work.scan.sockets, ())


def _make(work: _Work) -> tuple[Packed, int, Changes | None]:
    """Fill the version and give it its name; its number, or that of the version before when it
    turns out that nothing changed."""
    before, settings = work.before, work.settings
    with _staging(settings, work.image) as staging:
        packed = _pack(work, staging / PACK)
        changes = None
        if before is not None:
            changes = before.compare([*map(without_place, packed.lines)])
            if not changes.any and before.has_script(work.script):
                _check_unchanged(work.scan, packed)
                return packed, before.version.head.number, changes
        number = next_number(settings, work.image)
        _complete(work, staging, packed, number)
        staging.rename(version_path(settings, work.image, number))
        flush(staging.parent)
    return packed, number, changes


def _pack(work: _Work, path: Path) -> Packed:
    total = work.scan.unpacked
    done = 0

    def count(unpacked: int) -> None:
        nonlocal done
        done += unpacked
        work.on_progress(min(done, total), total)

    with open_old(work.before) as old:
        return write_pack(path, work.scan, old, on_bytes=count)


def _complete(work: _Work, staging: Path, packed: Packed, number: int) -> None:
    """Write what belongs to the pack, and see to it that all of it is on the disk."""
    pack = staging / PACK
    with ThreadPoolExecutor(max_workers=1) as disk:
        flushed = disk.submit(flush, pack)
        files = {TORRENT: make_torrent(PACK, packed.size, packed.pieces)}
        if work.script is not None:
            files[SCRIPT] = work.script
        head = Head(
            image=work.image,
            number=number,
            published=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            message=work.message,
            torrent=_sum(files[TORRENT]),
            script=None if work.script is None else _sum(work.script),
            pack_size=packed.size,
            packer=PACKER,
            paths=len(packed.lines),
            files_bytes=work.scan.unpacked,
        )
        files[MANIFEST] = render_manifest(head, packed.frames, packed.lines)
        files[SIGNATURE] = sign(work.settings, files[MANIFEST])
        for name, data in files.items():
            (staging / name).write_bytes(data)
        _make_shortcuts(work, pack, packed, number)
        _check_unchanged(work.scan, packed)
        flushed.result()
    for path in staging.iterdir():
        if path != pack:
            flush(path)
    flush(staging)


def _make_shortcuts(work: _Work, pack: Path, packed: Packed, number: int) -> None:
    """Write what spares updates frames of the pack."""
    settings, before = work.settings, work.before
    new = Contents(number, packed.frames, packed.lines)
    make_blocks(settings, pack, new, None if before is None else before.version.path)
    if before is not None:
        old = Contents(before.version.head.number, before.lists.frames, before.lists.lines)
        make_delta(settings, pack, old, new)


def _sum(data: bytes) -> FileSum:
    return FileSum(len(data), hashlib.sha256(data).hexdigest())


def _check_unchanged(scan: Scan, packed: Packed) -> None:
    """Raise TreeChanged unless every path is still what it was before the first was read.

    A file whose ctime alone is another is read again: somewhere a link to it went, or its bytes
    were changed and its time was set back.
    """
    maker = FrameMaker(scan, OldPack())
    changed = []
    contents = None
    for found in changed_since(scan):
        if not look_again(scan, found):
            changed.append(found.record.path)
        elif found.record.kind == FILE:
            if contents is None:
                paths = (one.record.path for one in scan.found)
                contents = dict(zip(paths, packed.contents, strict=True))
            if maker.hash_file(found.record) != contents[found.record.path]:
                changed.append(found.record.path)
    if changed:
        raise tree_changed(changed)


def _read_script(settings: Settings, image: str) -> bytes | None:
    try:
        return script_path(settings, image).read_bytes()
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _staging(settings: Settings, image: str) -> Iterator[Path]:
    """A hidden folder that is gone afterwards, unless it was given another name."""
    staging = staging_path(settings, image)
    staging.mkdir(mode=0o750)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def _told_plainly(settings: Settings) -> Iterator[None]:
    """Turn what the system refuses into errors that say what to do."""
    try:
        yield
    except OSError as error:
        told = f"{error.filename or settings.versions}: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(
                f"{settings.versions} is full; no version was made",
                hint="make room (si-rmimage NAME@N), then publish again",
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise PrivilegeMissing(told, hint="run it as root") from None
        raise
