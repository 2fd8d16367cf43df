"""si-updateclient: bring this machine to its image, but for what is protected.

Stage 8, effects; runs on clients (Python 3.9). Asks the server what this client should be, makes
the plan, refuses what would break the machine, asks, and does it: the image first, then each
override. What is not atomic is at least repeatable: an update that was cut off is finished by
running it again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Union

from si.client.ask import Progress, confirm
from si.client.bootmenu import make_menu, mark_menu_pending
from si.client.download import Link
from si.client.estimate import LastUpdate, estimate
from si.client.explain import explain_path
from si.client.files import note_holder, take_lock
from si.client.identity import Identity, load_identity, write_identity
from si.client.last_update import load_last_update, write_last_update
from si.client.places import Places
from si.client.plan import Fetched, Plan
from si.client.rules import Protection
from si.client.run_hooks import POST_UPDATE, PRE_UPDATE, run_hooks
from si.client.server import Update
from si.client.services import Services, find_services, restart_services
from si.client.space import check_space
from si.client.undo import plan_safety, undo_update
from si.client.update_report import question, show_done, show_plan
from si.client.wanted import Answer, Wanted, ask_server
from si.errors import PrivilegeMissing, UpdateRefused

if TYPE_CHECKING:
    from si.client.live_plan import LiveSource
    from si.client.version_plan import VersionSource

    Source = Union[LiveSource, VersionSource]

EXIT_DIFFERS = 4
_VITAL = frozenset((b"etc/passwd", b"usr", b"bin", b"sbin", b"lib"))

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UpdateOptions:
    """What was asked for. is_live: the editable image, by rsync, in place of a version."""

    wanted: Wanted
    excludes: tuple[str, ...] = ()
    is_live: bool = False
    is_dry_run: bool = False
    yes: bool = False
    as_json: bool = False
    with_boot_menu: bool = True
    with_space_check: bool = True
    with_snapshot: bool = True
    restarts_services: bool = False
    explained: str | None = None
    """A path of which only the protection is wanted."""


class _Done(NamedTuple):
    """services: that still run what is no longer there; fetched: how the files came."""

    services: Services = Services()
    fetched: tuple[Fetched, ...] = ()


def undo_client(places: Places, *, is_dry_run: bool, yes: bool) -> int:
    """Return to what the machine was before the last update, or show that; gives the exit code.

    Raises PrivilegeMissing, ClientBusy, UndoImpossible, NotConfirmed, CommandFailed.
    """
    if os.geteuid() != 0:
        raise PrivilegeMissing("undoing an update needs root", hint="run it as root, or with sudo")
    with take_lock(places.update_lock, what="si-updateclient") as lock:
        note_holder(lock, f"another si-updateclient is at work here (process {os.getpid()})")
        undo_update(places, is_dry_run=is_dry_run, yes=yes)
    return EXIT_DIFFERS if is_dry_run else 0


def update_client(places: Places, options: UpdateOptions) -> int:
    """Do, or show, the update; gives the exit code: 0, or 4 when a dry run found differences.

    Raises PrivilegeMissing, ClientBusy, ConfigInvalid, ServerUnreachable, ClientUnknown,
    ImageNotFound, VersionNotFound, VersionSpoiled, ManifestInvalid, UpdateRefused, NoSpace,
    NotConfirmed, ToolMissing, CommandFailed.
    """
    if os.geteuid() != 0:
        raise PrivilegeMissing("updating needs root", hint="run it as root, or with sudo")
    with take_lock(places.update_lock, what="si-updateclient") as lock:
        note_holder(lock, f"another si-updateclient is at work here (process {os.getpid()})")
        identity = load_identity(places.identity)
        answer = _ask(identity, options)
        link = Link()
        with _open_source(places, answer, options, link) as source:
            if options.explained is not None:
                protection = Protection(source.guarding.rules)
                print(explain_path(places, protection, options.explained))
                return 0
            plan = source.make_plan(with_boot_menu=options.with_boot_menu)
            if options.is_dry_run:
                expected = estimate(plan.cost(), link.rate, load_last_update(places.last_update))
                show_plan(plan, answer.update, expected, as_json=options.as_json)
                return EXIT_DIFFERS if plan.items or plan.needs_menu else 0
            done = _bring(places, plan, answer.update, options, link)
            _remember(places, identity, answer, plan)
        show_done(plan, answer.update, done.fetched, as_json=options.as_json)
        _renew(done.services, options)
    return 0


def _ask(identity: Identity | None, options: UpdateOptions) -> Answer:
    image = options.wanted.image
    if options.is_live and image is not None and "@" in image:
        raise UpdateRefused(
            f"{image}: --live brings an image as it is now, not one of its versions",
            hint=f"--image {image.partition('@')[0]}, or no --live",
        )
    return ask_server(identity, options.wanted)


@contextlib.contextmanager
def _open_source(
    places: Places, answer: Answer, options: UpdateOptions, link: Link
) -> Iterator[Source]:
    # Each way imports what it needs: a no-op spends most of its time on imports.
    if options.is_live:
        from si.client.live_plan import LiveSource

        yield LiveSource(places, answer.update, options.excludes)
        return
    from si.client.published import open_answer
    from si.client.version_plan import VersionSource

    with open_answer(places, answer, link) as reader:
        yield VersionSource(places, answer, reader, options.excludes)


def _bring(places: Places, plan: Plan, update: Update, options: UpdateOptions, link: Link) -> _Done:
    """Do what the plan says."""
    _refuse_ruin(plan)
    plan.check()
    if options.with_space_check:
        check_space(plan.items, places.root, keeps_old=plan.keeps_old)
    if not plan.items and not plan.needs_menu:
        return _Done()
    safety = plan_safety(places, plan.items, wanted=options.with_snapshot)
    confirm(question(plan), yes=options.yes)
    safety.secure()
    run_hooks(places, PRE_UPDATE, update, plan.items, version=plan.version)
    fetched = _apply(plan, places, link)
    safety.keep()
    run_hooks(places, POST_UPDATE, update, plan.items, version=plan.version)
    is_machine = places.root == Path("/")
    services = find_services(Path("/proc"), plan.items) if is_machine else Services()
    return _Done(services, fetched)


def _renew(services: Services, options: UpdateOptions) -> None:
    """Restart services, or say which run what is no longer there."""
    if services.to_reboot:
        _log.info("only a reboot renews %s", ", ".join(services.to_reboot))
    if options.restarts_services:
        restart_services(services)
    elif services.stale:
        _log.info("not restarted, and running what was replaced: %s", ", ".join(services.stale))


def _refuse_ruin(plan: Plan) -> None:
    """Raises UpdateRefused when the "image" is no system at all: an emptied or wrong directory."""
    lost = sorted(item.path for item in plan.items if item.kind == "remove" and item.path in _VITAL)
    if lost:
        raise UpdateRefused(
            f"image {plan.name} has no /{lost[0].decode()}: this machine would not survive",
            hint="look at the image on the server; --dry-run lists what it would do here",
        )


def _apply(plan: Plan, places: Places, link: Link) -> tuple[Fetched, ...]:
    """Do it and note how long it took, then make the boot menu."""
    if plan.needs_menu:
        mark_menu_pending(places)
    progress = Progress(len(plan.items))
    begun = time.monotonic()
    try:
        fetched = plan.perform(progress.step)
    finally:
        progress.clear()
    _note_pace(places, plan, fetched, link, time.monotonic() - begun)
    if plan.needs_menu:
        _log.info("%s; a reboot starts what is new in /boot", make_menu(places))
    return fetched


def _note_pace(
    places: Places, plan: Plan, fetched: Sequence[Fetched], link: Link, took_s: float
) -> None:
    """Keep for the next estimate what this update moved, and how long it took."""
    if not plan.items or not places.etc.is_dir():
        return
    cost = plan.cost()
    if fetched:
        cost = cost._replace(fetched=sum(one.size for one in fetched))
    before = load_last_update(places.last_update)
    rate = link.rate or (before.link if before else None)
    write_last_update(places.last_update, LastUpdate(cost, took_s, rate))


def _remember(places: Places, identity: Identity | None, answer: Answer, plan: Plan) -> None:
    """Note in client.json what this machine is now."""
    if identity is None:
        return
    update = answer.update
    now = dataclasses.replace(
        identity, image=update.image, version=plan.version, captured=update.captured
    )
    if now != identity:
        write_identity(places.identity, now)
