"""`si-chroot`: enter an image, or run one command in it."""

from __future__ import annotations

import sys

import click

from si.cli.command import si_command
from si.cli.publish import publish
from si.config import Settings
from si.image.chroot import enter_image
from si.image.lock import lock_image


@si_command("si-chroot")
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--publish", "wanted", is_flag=True, help="Publish the image afterwards.")
@click.option("--no-publish", "unwanted", is_flag=True, help="Do not ask whether to publish it.")
def command(
    settings: Settings, *, name: str, command: tuple[str, ...], wanted: bool, unwanted: bool
) -> int:
    """Enter image NAME, or run `-- COMMAND...` in it, with /proc, /sys, /dev and name resolution.

    Mounts and processes are private to it and end with it, however it ends. No services are
    started. The exit code is the command's. On a terminal you are asked at the end whether the
    image is to be published.
    """
    if wanted and unwanted:
        raise click.UsageError("give either --publish or --no-publish")
    code = enter_image(settings, name, command)
    if wanted and code != 0:
        click.echo(f"si-chroot: the exit code is {code}: {name} is not published", err=True)
    elif wanted or (not unwanted and _is_asked_for(name)):
        with lock_image(settings, name) as held:
            publish(settings, held)
    return code


def _is_asked_for(name: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return click.confirm(f"publish {name} as it is now?", default=False, err=True)


main = command.run
