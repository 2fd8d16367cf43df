"""`si-mvimage`: rename an image."""

from __future__ import annotations

import click

from si.boot.armed import refuse_armed
from si.cli.command import si_command
from si.cli.told import tell_who_is_given
from si.config import Settings
from si.image.store import move_image
from si.image.swap import sweep_old_trees
from si.names_check import VersionName
from si.serve.rsyncd import write_rsyncd_conf
from si.version.carry import carry_versions
from si.version.store import remove_versions


@si_command("si-mvimage")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
def command(settings: Settings, *, source: str, destination: str) -> None:
    """Rename image SRC to DST, with its layout, master script, override and versions.

    Refused while a client is armed with SRC. Clients that cluster.xml still gives it are named.
    """
    refuse_armed(settings, VersionName(source, None))
    sweep_old_trees(settings)

    def carry() -> None:
        carry_versions(settings, source, destination)

    image = move_image(settings, source, destination, beside=carry)
    remove_versions(settings, source)
    write_rsyncd_conf(settings)
    click.echo(f"image {source} is now {image.name}, at {image.path}")
    tell_who_is_given(settings, source)


main = command.run
