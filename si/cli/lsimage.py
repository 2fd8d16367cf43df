"""`si-lsimage`: which images there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from si.cli.command import si_command
from si.config import Settings
from si.image.lock import lock_holder
from si.image.store import Image, layout_path, list_images, load_image, script_path

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_COLUMNS = ("IMAGE", "ARCH", "CAPTURED", "GOLDEN CLIENT", "SIZE", "LAYOUT", "SCRIPT", "HELD BY")


@si_command("si-lsimage")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list with one object an image.")
def command(settings: Settings, *, name: str | None, as_json: bool) -> None:
    """List all images, or image NAME alone.

    Size is that of the files as captured; nothing is known of a tree that was made by hand.
    """
    images = list_images(settings) if name is None else (load_image(settings, name),)
    if as_json:
        click.echo(json.dumps([_describe(settings, image) for image in images], indent=1))
        return
    rows = [_row(settings, image) for image in images]
    if not rows:
        click.echo(f"no images in {settings.images}", err=True)
        return
    table = [_COLUMNS, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def format_size(size: int) -> str:
    """A number of bytes for people, like "1.5 GiB"."""
    number, unit = float(size), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.0f} B" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def _describe(settings: Settings, image: Image) -> dict[str, Any]:
    return {
        "name": image.name,
        "path": str(image.path),
        "arch": image.arch or None,
        "captured": image.captured,
        "golden_client": image.golden_client or None,
        "bytes": image.bytes,
        "paths": image.paths,
        "layout": _existing(layout_path(settings, image.name)),
        "script": _existing(script_path(settings, image.name)),
        "held_by": lock_holder(settings, image.name),
    }


def _existing(path: Path) -> str | None:
    return str(path) if path.exists() else None


def _row(settings: Settings, image: Image) -> tuple[str, ...]:
    about = _describe(settings, image)
    return (
        image.name,
        image.arch or "-",
        image.captured or "by hand",
        image.golden_client or "-",
        "-" if image.bytes is None else format_size(image.bytes),
        "yes" if about["layout"] else "no",
        "yes" if about["script"] else "no",
        about["held_by"] or "-",
    )


main = command.run
