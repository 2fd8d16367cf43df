"""`si-cpimage`: copy an image."""

from __future__ import annotations

import click

from si.cli.command import si_command
from si.config import Settings
from si.image.store import copy_image
from si.image.swap import sweep_old_trees
from si.serve.rsyncd import write_rsyncd_conf
from si.version.carry import carry_versions


@si_command("si-cpimage")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
def command(settings: Settings, *, source: str, destination: str) -> None:
    """Copy image SRC to the new image DST, with its layout, script, override and versions.

    Every attribute is kept; on a file system that can share blocks the copy costs no space.
    """
    sweep_old_trees(settings)

    def carry() -> None:
        carry_versions(settings, source, destination)

    image = copy_image(settings, source, destination, beside=carry)
    write_rsyncd_conf(settings)
    click.echo(f"image {source} is copied to {image.name}, at {image.path}")


main = command.run
