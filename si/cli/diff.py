"""`si-diff`: what differs between two versions, or a version and the tree."""

from __future__ import annotations

import json

import click

from si.cli.command import si_command
from si.config import Settings
from si.errors import NameInvalid
from si.names_check import VersionName, parse_version_name
from si.version.before import load_signed
from si.version.diff import Changes, without_place
from si.version.publish import compare_with_tree
from si.version.record import escape


@si_command("si-diff")
@click.argument("old", metavar="NAME@A")
@click.argument("new", metavar="[NAME@B]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(settings: Settings, *, old: str, new: str | None, as_json: bool) -> None:
    """Say which paths version NAME@B has added, removed or changed against NAME@A.

    Without NAME@B, the tree of image NAME as it is now is compared: what publishing would bring.
    """
    one = parse_version_name(old)
    if one.number is None:
        raise NameInvalid(f"{old!r} names no version", hint=f"like {old}@1; si-lsimage lists them")
    other = None if new is None else parse_version_name(new)
    changes = _compare(settings, one, other)
    if as_json:
        told = {"old": str(one), "new": str(other or one.image), **describe_changes(changes)}
        click.echo(json.dumps(told, indent=1))
        return
    for line in render_changes(changes):
        click.echo(line)
    if not changes.any:
        click.echo(f"{one} and {other or f'the tree of {one.image}'} are equal", err=True)


def render_changes(changes: Changes) -> list[str]:
    """One line a path: + added, - removed, ~ changed and in what. Odd bytes are shown as %XX."""
    lines = [(path, f"+ {_show(path)}") for path in changes.added]
    lines += [(path, f"- {_show(path)}") for path in changes.removed]
    lines += [(path, f"~ {_show(path)} ({', '.join(what)})") for path, what in changes.changed]
    return [line for _, line in sorted(lines)]


def describe_changes(changes: Changes) -> dict[str, object]:
    """The same for scripts."""
    return {
        "added": [_show(path) for path in changes.added],
        "removed": [_show(path) for path in changes.removed],
        "changed": [{"path": _show(path), "what": list(what)} for path, what in changes.changed],
    }


def _compare(settings: Settings, one: VersionName, other: VersionName | None) -> Changes:
    version = load_signed(settings, one)
    if other is None:
        return compare_with_tree(settings, version, one.image)
    if other.number is None:
        return compare_with_tree(settings, version, other.image)
    lines = load_signed(settings, other).lists.lines
    return version.compare([without_place(line) for line in lines])


def _show(path: bytes) -> str:
    return escape(path).decode()


main = command.run
