"""`si-publish`: freeze an image as its next version."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import click

from si.boot.armed import armed_numbers
from si.cli.command import si_command
from si.cli.lsimage import format_size
from si.config import Settings
from si.image.lock import HeldImage, lock_image
from si.version.diff import Changes
from si.version.manifest import MAX_MESSAGE
from si.version.publish import Published, publish_version
from si.version.record import escape

log = logging.getLogger(__name__)

_MOST_NAMES = 12


@si_command("si-publish")
@click.argument("name")
@click.option("--message", default="", metavar="TEXT", help="What this version is about.")
@click.option("--full", is_flag=True, help="Read every file; trust nothing that is remembered.")
def command(settings: Settings, *, name: str, message: str, full: bool) -> None:
    """Freeze image NAME as its next version NAME@N, which becomes the current one.

    What changed since the version before is shown. When nothing did, no version is made.
    """
    if len(message) > MAX_MESSAGE:
        raise click.UsageError(f"--message takes at most {MAX_MESSAGE} characters")
    with lock_image(settings, name) as held:
        publish(settings, held, message=message, full=full)


def publish(
    settings: Settings, held: HeldImage, *, message: str = "", full: bool = False
) -> Published:
    """Publish an image that is held, and say what came of it."""
    done = publish_version(
        settings,
        held,
        message=message,
        full=full,
        needed=lambda: armed_numbers(settings, held.name),
        on_progress=_progress(),
    )
    version, head = done.version, done.version.head
    if not done.made:
        click.echo(f"nothing changed since {version.name}")
        if not version.current:
            click.echo(f"next: si-rollback {version.name} makes it the current version")
    else:
        size, packed = format_size(head.files_bytes), format_size(head.pack_size)
        taken = f", {format_size(done.copied_bytes)} of it taken over" if done.copied_bytes else ""
        click.echo(f"{version.name}: {head.paths} paths, {size}; the pack is {packed}{taken}")
        if done.changes is not None:
            click.echo(f"  changed   {count_changes(done.changes)}")
        for number in done.removed:
            click.echo(f"  removed   {version.name.image}@{number}, which is older than are kept")
    if done.sockets:
        names = ", ".join(escape(path).decode() for path in done.sockets[:_MOST_NAMES])
        more = len(done.sockets) - _MOST_NAMES
        names += f" and {more} more" if more > 0 else ""
        click.echo(f"si-publish: warning: sockets are not carried: {names}", err=True)
    return done


def count_changes(changes: Changes) -> str:
    """Like "3 paths changed, 1 added, none removed"."""
    counts = (len(changes.changed), len(changes.added), len(changes.removed))
    changed, added, removed = (str(count or "none") for count in counts)
    noun = "path" if counts[0] == 1 else "paths"
    return f"{changed if counts[0] else 'no'} {noun} changed, {added} added, {removed} removed"


def _progress() -> Callable[[int, int], None]:
    if not sys.stderr.isatty() or not log.isEnabledFor(logging.INFO):
        return lambda _done, _total: None
    shown = -1

    def show(done: int, total: int) -> None:
        nonlocal shown
        percent = 100 * done // max(total, 1)
        if percent != shown:
            shown = percent
            click.echo(f"\r{format_size(done)}, {percent}%\x1b[K", err=True, nl=done >= total)

    return show


main = command.run
