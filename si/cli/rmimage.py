"""`si-rmimage`: remove an image."""

from __future__ import annotations

import click

from si.boot.armed import refuse_armed
from si.cli.command import confirm, si_command
from si.cli.told import tell_who_is_given
from si.config import Settings
from si.image.lock import lock_image
from si.image.store import (
    layout_path,
    load_image,
    override_path,
    remove_image,
    script_path,
)
from si.image.swap import leftovers, sweep_old_trees
from si.names_check import VersionName, check_name, parse_version_name
from si.serve.rsyncd import write_rsyncd_conf
from si.version.store import load_version, remove_version, remove_versions, versions_path


@si_command("si-rmimage")
@click.argument("name", metavar="NAME[@N]")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(settings: Settings, *, name: str, yes: bool) -> None:
    """Remove image NAME with its layout, master script, override and versions; or version NAME@N.

    An image that is in use (clients armed with it, installs that read it, mounts in it, another
    command) is not removed, nor is the current version of an image. What a capture that failed
    has left to resume from goes with the image.
    """
    wanted = parse_version_name(name)
    if wanted.number is not None:
        _remove_version(settings, wanted, wanted.number, yes=yes)
        return
    refuse_armed(settings, wanted)
    paths = [*leftovers(settings, check_name("image", name))]
    if not paths or (settings.images / name).exists():
        beside = (layout_path, script_path, override_path, versions_path)
        paths.append(load_image(settings, name).path)
        paths += [place(settings, name) for place in beside]
    for path in paths:
        if path.exists():
            click.echo(f"remove {path}")
    confirm(f"remove image {name}?", yes=yes)
    sweep_old_trees(settings)
    remove_image(settings, name, beside=lambda: remove_versions(settings, name))
    write_rsyncd_conf(settings)
    click.echo(f"image {name} is gone")
    tell_who_is_given(settings, name)


def _remove_version(settings: Settings, name: VersionName, number: int, *, yes: bool) -> None:
    version = load_version(settings, name)
    refuse_armed(settings, name)
    click.echo(f"remove {version.path}")
    confirm(f"remove version {name}?", yes=yes)
    with lock_image(settings, name.image) as held:
        remove_version(settings, held, number)
    click.echo(f"version {name} is gone")


main = command.run
