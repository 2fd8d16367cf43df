"""`si-rollback`: make an older version the current one."""

from __future__ import annotations

import click

from si.cli.command import si_command
from si.config import Settings
from si.errors import NameInvalid
from si.image.lock import lock_image
from si.names_check import parse_version_name
from si.version.store import load_version, roll_back
from si.version.verify import check_version


@si_command("si-rollback")
@click.argument("name", metavar="NAME@N")
def command(settings: Settings, *, name: str) -> None:
    """Make version NAME@N the current one: what clients install and update to from now on.

    Every byte of it is checked first. The tree of the image stays as it is, and the next version
    that is published becomes the current one.
    """
    wanted = parse_version_name(name)
    if wanted.number is None:
        raise NameInvalid(f"{name!r} names no version", hint=f"like {name}@1")
    with lock_image(settings, wanted.image) as held:
        check_version(settings, load_version(settings, wanted))
        roll_back(settings, held, wanted.number)
    click.echo(f"{wanted} is the current version of {wanted.image}")


main = command.run
