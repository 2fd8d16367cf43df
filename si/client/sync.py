"""si-updateclient: bring this machine to its image, but for what is protected.

Stage 8, effects; runs on clients (Python 3.9). Asks the server what this client should be, makes
the plan, refuses what would break the machine, asks, and does it: the image first, then each
override. What is not atomic is at least repeatable: an update that was cut off is finished by
running it again.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections import Counter
from dataclasses import dataclass

from si.client.ask import Progress, confirm
from si.client.bootmenu import make_menu, mark_menu_pending
from si.client.explain import explain_path
from si.client.files import kept_attributes, note_holder, take_lock
from si.client.identity import Identity, load_identity, write_identity
from si.client.itemize import Item, describe_item, quote_path
from si.client.passes import perform
from si.client.places import Places
from si.client.plan import Plan, guard_tree, make_plan
from si.client.rules import Protection
from si.client.server import Update
from si.client.space import check_space, format_size
from si.client.wanted import Wanted, ask_server
from si.errors import PrivilegeMissing, UpdateRefused

EXIT_DIFFERS = 4
_VITAL = frozenset((b"etc/passwd", b"usr", b"bin", b"sbin", b"lib"))

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UpdateOptions:
    """What was asked for."""

    wanted: Wanted
    excludes: tuple[str, ...] = ()
    is_dry_run: bool = False
    yes: bool = False
    as_json: bool = False
    with_boot_menu: bool = True
    with_space_check: bool = True
    explained: str | None = None
    """A path of which only the protection is wanted."""


def update_client(places: Places, options: UpdateOptions) -> int:
    """Do, or show, the update; gives the exit code: 0, or 4 when a dry run found differences.

    Raises PrivilegeMissing, ClientBusy, ConfigInvalid, ServerUnreachable, ClientUnknown,
    ImageNotFound, UpdateRefused, NoSpace, NotConfirmed, CommandFailed.
    """
    if os.geteuid() != 0:
        raise PrivilegeMissing("updating needs root", hint="run it as root, or with sudo")
    with take_lock(places.update_lock, what="si-updateclient") as lock:
        note_holder(lock, f"another si-updateclient is at work here (process {os.getpid()})")
        identity = load_identity(places.identity)
        update = _ask_for_image(identity, options.wanted)
        if options.explained is not None:
            protection = Protection(guard_tree(places, update, options.excludes).rules)
            print(explain_path(places, protection, options.explained))
            return 0
        plan = make_plan(
            places, update, excludes=options.excludes, with_boot_menu=options.with_boot_menu
        )
        if options.is_dry_run:
            _show(plan, options)
            return EXIT_DIFFERS if plan.items or plan.needs_menu else 0
        _refuse_ruin(plan)
        if options.with_space_check:
            check_space(plan.items, places.root)
        if plan.items or plan.needs_menu:
            confirm(_question(plan), yes=options.yes)
            _apply(plan, places)
        _remember(places, identity, update)
        _show(plan, options)
    return 0


def _ask_for_image(identity: Identity | None, wanted: Wanted) -> Update:
    if wanted.image is not None and "@" in wanted.image:
        raise UpdateRefused(
            f"{wanted.image}: rsync brings an image as it is now, not one of its versions",
            hint=f"--image {wanted.image.partition('@')[0]}",
        )
    return ask_server(identity, wanted).update


def _refuse_ruin(plan: Plan) -> None:
    """Raises UpdateRefused when the "image" is no system at all: an emptied or wrong directory."""
    lost = sorted(item.path for item in plan.items if item.kind == "remove" and item.path in _VITAL)
    if lost:
        raise UpdateRefused(
            f"image {plan.update.image} has no /{lost[0].decode()}: this machine would not survive",
            hint="look at the image on the server; --dry-run lists what it would do here",
        )


def _question(plan: Plan) -> str:
    removed = sum(item.kind == "remove" for item in plan.items)
    return (
        f"Bring this machine to {plan.update.image}: {len(plan.items)} paths differ, "
        f"{removed} of them will be removed (--dry-run lists them). Go on?"
    )


def _apply(plan: Plan, places: Places) -> None:
    """Run the passes, then make the boot menu."""
    if plan.needs_menu:
        mark_menu_pending(places)
    progress = Progress(len(plan.items))

    def count(_: Item) -> None:
        progress.step()

    try:
        perform(plan.passes[0], places.root, count)
        for work in plan.passes[1:]:
            # An override's own top directory says nothing about `/`.
            with kept_attributes(places.root):
                perform(work, places.root, count)
    finally:
        progress.clear()
    if plan.needs_menu:
        _log.info("%s; a reboot starts what is new in /boot", make_menu(places))


def _remember(places: Places, identity: Identity | None, update: Update) -> None:
    """Note in client.json what this machine is now."""
    if identity is None:
        return
    now = dataclasses.replace(identity, image=update.image, version=None, captured=update.captured)
    if now != identity:
        write_identity(places.identity, now)


def _show(plan: Plan, options: UpdateOptions) -> None:
    if options.as_json:
        print(json.dumps(_as_data(plan, is_dry_run=options.is_dry_run), indent=1))
        return
    if options.is_dry_run:
        for item in plan.items:
            print(describe_item(item))
        if plan.needs_menu:
            print("the boot menu would be made anew")
        _log.info("%s", _summary(plan, is_dry_run=True))
    else:
        print(_summary(plan, is_dry_run=False))


def _summary(plan: Plan, *, is_dry_run: bool) -> str:
    update = plan.update
    image = f"{update.image}, captured {update.captured}"
    if not plan.items:
        return f"nothing differs from {image}"
    kinds = Counter(item.kind for item in plan.items)
    size = format_size(sum(item.size for item in plan.items if item.is_data))
    tense = "would be " if is_dry_run else ""
    return (
        f"{image}: {tense}{kinds['add']} added, {kinds['change']} changed, "
        f"{kinds['remove']} removed, {size} of files"
    )


def _as_data(plan: Plan, *, is_dry_run: bool) -> dict[str, object]:
    return {
        "client": plan.update.client,
        "image": plan.update.image,
        "captured": plan.update.captured,
        "overrides": list(plan.update.overrides),
        "dry_run": is_dry_run,
        "boot_menu": plan.needs_menu,
        "changes": [
            {
                "path": quote_path(b"/" + item.path if item.path != b"." else b"/"),
                "change": item.kind,
                "what": list(item.what),
                "directory": item.is_directory,
            }
            for item in plan.items
        ],
    }
