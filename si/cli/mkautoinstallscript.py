"""`si-mkautoinstallscript`: layout to master script."""

from __future__ import annotations

from pathlib import Path

import click

from si.cli.command import si_command
from si.config import Settings
from si.script.steps import PostInstall
from si.script.store import install_script, make_script, write_script


@si_command("si-mkautoinstallscript")
@click.option("--image", required=True, help="The image that the script installs.")
@click.option(
    "--layout",
    "layout_file",
    type=click.Path(path_type=Path),
    help="Layout document [layouts/IMAGE.xml].",
)
@click.option(
    "--post-install",
    type=click.Choice([action.value for action in PostInstall]),
    default=PostInstall.REBOOT.value,
    show_default=True,
    help="What a client does when its disk is written.",
)
@click.option("--output", help="Where to write it, - for standard output [scripts/IMAGE.master].")
@click.option("--force", is_flag=True, help="Overwrite a script that was changed by hand.")
def command(
    settings: Settings,
    *,
    image: str,
    layout_file: Path | None,
    post_install: str,
    output: str | None,
    force: bool,
) -> None:
    """Make the master script of an image from its layout."""
    made = make_script(
        settings, image, layout_file=layout_file, post_install=PostInstall(post_install)
    )
    for warning in made.warnings:
        click.echo(f"{warning.file}:{warning.line}: warning: {warning.message}", err=True)
    if output == "-":
        click.echo(made.text, nl=False)
        return
    if output is None:
        path = install_script(settings, image, made.text, force=force)
    else:
        path = Path(output)
        write_script(path, made.text, force=force)
    click.echo(f"{path}: master script of image {image}")


main = command.run
