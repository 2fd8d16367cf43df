"""Bring a golden client's tree into the store without ever touching the tree that stands.

Stage 2. In: an `Offer` and the rules of what stays out; out: `images/NAME`, exchanged in one
step, and a `CaptureReport`. A first capture is one rsync into an empty staging tree. A later one
begins with a dry run against the present image and ends there when nothing changed.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from si.config import Settings
from si.errors import FactsInvalid, ImageInUse, NoSpace
from si.image.excludes import DBUS_MACHINE_ID, Excludes, make_excludes, read_mounts
from si.image.lock import HeldImage, make_store
from si.image.metadata import Record, write_record
from si.image.offer import Offer
from si.image.probe import check_store
from si.image.pull import Changes, Comparison, Pull, fill, rules_file
from si.image.source import Directory, GoldenClient, Source
from si.image.store import Image, load_image
from si.image.swap import partial_paths, remove_tree, retire, sweep_old_trees
from si.image.usage import refuse_mounts
from si.system.exchange import exchange
from si.system.rsync import Progress, Transfer
from si.system.run import DEVNULL, run, start


@dataclass(frozen=True, slots=True)
class CaptureReport:
    """changed: whether a new tree stands. changes: against the image that stood before, None for
    a first capture. total_bytes, paths: of the tree; transferred_bytes: what travelled. left_out:
    paths of the golden client's identity that exist and were not copied; mounts: (point, type)
    whose contents were not; own_rules: the administrator's excludes."""

    image: Image
    changed: bool
    changes: Changes | None
    seconds: float
    transferred_bytes: int
    total_bytes: int
    paths: int
    warnings: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()
    own_rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EarlyComparison:
    """A comparison that was begun under excludes that were only likely."""

    excludes: Excludes
    comparison: Comparison


@contextlib.contextmanager
def compare_early(
    settings: Settings, held: HeldImage, source: Source, *, own_rules: Sequence[str] = ()
) -> Iterator[EarlyComparison | None]:
    """Begin comparing with the image that stands while the golden client is still being asked.

    It goes by the mounts that the image's own facts name, which are nearly always those of the
    golden client still; `capture_image` begins anew when they are not. For a capture of a machine
    where nothing changed, that makes the questions before it cost no time of their own.
    """
    path = settings.images / held.name
    facts = None
    if isinstance(source, GoldenClient) and path.is_dir() and not path.is_symlink():
        with contextlib.suppress(FactsInvalid):
            facts = load_image(settings, held.name).facts
    if facts is None:
        yield None
        return
    excludes = make_excludes(
        read_mounts(facts.findmnt),
        facts.swaps,
        own=own_rules,
        dbus_id_is_link=(path / DBUS_MACHINE_ID.lstrip("/")).is_symlink(),
    )
    with rules_file(excludes) as rules:
        comparison = Comparison(Pull(settings, held.name, source, rules))
        try:
            yield EarlyComparison(excludes, comparison)
        finally:
            comparison.cancel()


def capture_image(
    settings: Settings,
    held: HeldImage,
    offer: Offer,
    *,
    own_rules: Sequence[str] = (),
    early: EarlyComparison | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> CaptureReport:
    """Make image `held.name` the tree that `offer` is about.

    own_rules: the administrator's excludes in rsync syntax. early: see `compare_early`. Raises
    StoreCannotKeep, NoSpace, CaptureFailed, ImageInUse, PrivilegeMissing; after any of them the
    image that stood before still stands.
    """
    began = time.monotonic()
    check_store(settings)
    excludes = make_excludes(
        offer.mounts,
        offer.swaps,
        own=(*_store_itself(settings, offer.source), *own_rules),
        dbus_id_is_link=offer.dbus_id_is_link,
    )
    fits = early is not None and early.excludes == excludes
    with rules_file(excludes) as rules:
        pull = Pull(settings, held.name, offer.source, rules, on_progress)
        changes, done = _bring(
            pull,
            offer,
            comparison=early.comparison if early is not None and fits else None,
            know_size=not own_rules,
        )
    report = _report(settings, held.name, changes, done, seconds=time.monotonic() - began)
    return replace(
        report,
        left_out=offer.identity,
        mounts=excludes.mounts,
        own_rules=tuple(own_rules),
    )


def signal_complete(source: Source) -> None:
    """Tell a golden client that all has arrived, so that it ends its offer.

    Neither waited for nor checked: the offer ends by its own time-out too.
    """
    if isinstance(source, GoldenClient) and source.completion is not None:
        words = ["rsync", *source.options, source.completion]
        start(words, stdout=DEVNULL, stderr=DEVNULL, new_session=True)


def _bring(
    pull: Pull, offer: Offer, *, comparison: Comparison | None, know_size: bool
) -> tuple[Changes | None, Transfer]:
    settings, changes = pull.settings, None
    if pull.image.is_symlink():
        raise ImageInUse(f"{pull.image} is a symbolic link, not an image")
    if pull.image.exists():
        refuse_mounts(pull.image, pull.name)
        changes, compared = (comparison or Comparison(pull)).finish()
        if not changes.any:
            if load_image(settings, pull.name).captured is None:
                write_record(pull.image, _record_of(pull.name, offer, compared))
            return changes, compared
        _check_space(settings, compared.transferred_bytes, 0)
    elif know_size and offer.facts is not None and not _is_resumed(pull):
        _check_space(settings, offer.facts.used_bytes, offer.facts.inodes)
    done = fill(pull)
    write_record(pull.staging, _record_of(pull.name, offer, done))
    _put_in_place(pull)
    return changes, done


def _report(
    settings: Settings, name: str, changes: Changes | None, done: Transfer, *, seconds: float
) -> CaptureReport:
    """What rsync's figures tell; what was left out is not among them."""
    changed = changes is None or changes.any
    still_read = sweep_old_trees(settings)
    return CaptureReport(
        image=load_image(settings, name),
        changed=changed,
        changes=changes,
        seconds=seconds,
        transferred_bytes=done.transferred_bytes if changed else 0,
        total_bytes=done.total_bytes,
        paths=done.paths,
        warnings=(
            *_tell_vanished(done.vanished),
            *(f"{old} is still being read; a later command removes it" for old in still_read),
        ),
    )


def _is_resumed(pull: Pull) -> bool:
    return pull.staging.exists() or bool(partial_paths(pull.settings, pull.name))


def _record_of(name: str, offer: Offer, done: Transfer) -> Record:
    now = datetime.datetime.now(datetime.UTC)
    return Record(
        image=name,
        captured=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        golden_client=offer.source.name,
        arch="" if offer.facts is None else offer.facts.arch,
        bytes=done.total_bytes,
        paths=done.paths,
    )


def _put_in_place(pull: Pull) -> None:
    """Give the staging tree the image's name. The data of a tree that replaces another are on
    the disk first; after a first capture there is nothing to lose but time."""
    if pull.image.exists():
        refuse_mounts(pull.image, pull.name)
        run(["sync", "--file-system", pull.staging])
        exchange(pull.staging, pull.image)
        retire(pull.staging, pull.name)
    else:
        pull.staging.rename(pull.image)
    for partial in partial_paths(pull.settings, pull.name):
        remove_tree(pull.settings, partial)


def _check_space(settings: Settings, need_bytes: int, need_inodes: int) -> None:
    free = os.statvfs(make_store(settings))
    room = free.f_bavail * free.f_frsize
    if need_bytes > room:
        raise NoSpace(
            f"{settings.images} has {room:,} bytes free, the capture needs {need_bytes:,}",
            hint="make room, leave something out with --exclude, or move the store",
        )
    if free.f_files and need_inodes > free.f_favail:
        raise NoSpace(
            f"{settings.images} has {free.f_favail:,} inodes free, the capture needs "
            f"{need_inodes:,}",
            hint="make room, or put the store on a file system with more inodes",
        )


def _tell_vanished(vanished: tuple[str, ...]) -> tuple[str, ...]:
    if not vanished:
        return ()
    more = f" and {len(vanished) - 5} more" if len(vanished) > 5 else ""
    return (f"vanished while they were copied: {', '.join(vanished[:5])}{more}",)


def _store_itself(settings: Settings, source: Source) -> tuple[str, ...]:
    """A capture of this very machine must not copy the store into itself."""
    if not isinstance(source, Directory):
        return ()
    tree, store = source.path.resolve(), settings.images.resolve()
    return (f"/{store.relative_to(tree)}/*",) if store.is_relative_to(tree) else ()
