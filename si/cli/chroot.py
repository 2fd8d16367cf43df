"""`si-chroot`: enter an image, or run one command in it."""

from __future__ import annotations

import click

from si.cli.command import si_command
from si.config import Settings
from si.image.chroot import enter_image


@si_command("si-chroot")
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def command(settings: Settings, *, name: str, command: tuple[str, ...]) -> int:
    """Enter image NAME, or run `-- COMMAND...` in it, with /proc, /sys, /dev and name resolution.

    Mounts and processes are private to it and end with it, however it ends. No services are
    started. The exit code is the command's.
    """
    return enter_image(settings, name, command)


main = command.run
