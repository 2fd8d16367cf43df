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
from si.version.before import load_signed
from si.version.publish import compare_with_tree
from si.version.store import Version, current_number, list_versions
from si.version.tree import TREE
from si.version.verify import check_version

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_VERSION_COLUMNS = ("VERSION", "PUBLISHED", "PATHS", "SIZE", "PACK", "MESSAGE")
_COLUMNS = (
    "IMAGE",
    "VERSION",
    "ARCH",
    "CAPTURED",
    "GOLDEN CLIENT",
    "SIZE",
    "LAYOUT",
    "SCRIPT",
    "HELD BY",
)


@si_command("si-lsimage")
@click.argument("name", required=False)
@click.option("--versions", is_flag=True, help="List versions instead, and what is unpublished.")
@click.option("--check", is_flag=True, help="With --versions: check every byte of each.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list with one object an item.")
def command(
    settings: Settings, *, name: str | None, versions: bool, check: bool, as_json: bool
) -> None:
    """List all images, or image NAME alone; with --versions, their versions.

    Size is that of the files as captured; nothing is known of a tree that was made by hand.
    """
    if check and not versions:
        raise click.UsageError("--check goes with --versions")
    images = list_images(settings) if name is None else (load_image(settings, name),)
    if versions:
        _list_versions(settings, images, check=check, as_json=as_json)
        return
    if as_json:
        click.echo(json.dumps([_describe(settings, image) for image in images], indent=1))
        return
    rows = [_row(settings, image) for image in images]
    if not rows:
        click.echo(f"no images in {settings.images}", err=True)
        return
    _print_table(_COLUMNS, rows)


def _print_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    table = [columns, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(columns))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _list_versions(
    settings: Settings, images: tuple[Image, ...], *, check: bool, as_json: bool
) -> None:
    listed = [(image, list_versions(settings, image.name)) for image in images]
    if check:
        for version in (version for _, found in listed for version in found):
            check_version(settings, version)
    if as_json:
        told = [_describe_version(version) for _, found in listed for version in found]
        click.echo(json.dumps(told, indent=1))
        return
    rows = [_version_row(version) for _, found in listed for version in found]
    if rows:
        _print_table(_VERSION_COLUMNS, rows)
    for image, found in listed:
        if not found:
            click.echo(f"{image.name} was never published", err=True)
            continue
        latest = load_signed(settings, found[-1].name)
        changes = compare_with_tree(settings, latest, image.name)
        if changes.any:
            click.echo(
                f"{image.name}: the tree differs from {found[-1].name}; si-diff says in what"
            )


def _describe_version(version: Version) -> dict[str, Any]:
    head = version.head
    return {
        "name": str(version.name),
        "image": version.name.image,
        "number": version.name.number,
        "current": version.current,
        "path": str(version.path),
        "published": head.published,
        "message": head.message,
        "paths": head.paths,
        "bytes": head.files_bytes,
        "pack_bytes": head.pack_size,
        "tree": _existing(version.path / TREE),
    }


def _version_row(version: Version) -> tuple[str, ...]:
    head = version.head
    return (
        f"{version.name}{' (current)' if version.current else ''}",
        head.published,
        str(head.paths),
        format_size(head.files_bytes),
        format_size(head.pack_size),
        "".join(c if c.isprintable() else "?" for c in head.message) or "-",
    )


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
        "version": current_number(settings, image.name),
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
        str(about["version"] or "-"),
        image.arch or "-",
        image.captured or "by hand",
        image.golden_client or "-",
        "-" if image.bytes is None else format_size(image.bytes),
        "yes" if about["layout"] else "no",
        "yes" if about["script"] else "no",
        about["held_by"] or "-",
    )


main = command.run
