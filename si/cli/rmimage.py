"""`si-rmimage`: remove an image."""

from __future__ import annotations

import click

from si.cli.command import confirm, si_command
from si.config import Settings
from si.image.store import (
    layout_path,
    load_image,
    override_path,
    remove_image,
    script_path,
)
from si.image.swap import leftovers, sweep_old_trees
from si.names_check import check_name
from si.serve.rsyncd import write_rsyncd_conf


@si_command("si-rmimage")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(settings: Settings, *, name: str, yes: bool) -> None:
    """Remove image NAME with its layout, master script and override.

    An image that is in use (installs that read it, mounts in it, another command) is not removed.
    What a capture that failed has left to resume from goes too.
    """
    paths = [*leftovers(settings, check_name("image", name))]
    if not paths or (settings.images / name).exists():
        paths.append(load_image(settings, name).path)
        paths += [place(settings, name) for place in (layout_path, script_path, override_path)]
    for path in paths:
        if path.exists():
            click.echo(f"remove {path}")
    confirm(f"remove image {name}?", yes=yes)
    sweep_old_trees(settings)
    remove_image(settings, name)
    write_rsyncd_conf(settings)
    click.echo(f"image {name} is gone")


main = command.run
