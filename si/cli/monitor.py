"""si-monitor: where every client stands, install logs, MACs that nobody added."""

from __future__ import annotations

import sys
import time

import click

from si.cli.command import si_command
from si.config import Settings
from si.monitor.overview import (
    Overview,
    console_log,
    dump_overview,
    look,
    render_table,
)
from si.terminal import escape_controls

_EVERY_S = 2.0


@si_command("si-monitor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--watch", is_flag=True, help="Keep showing the table.")
@click.option("--log", "client", metavar="CLIENT", help="Print the console log of an install.")
def command(settings: Settings, *, as_json: bool, watch: bool, client: str | None) -> None:
    """Show where every client stands, from what the clients reported."""
    if sum((as_json, watch, client is not None)) > 1:
        raise click.UsageError("--json, --watch and --log exclude each other")
    if client is not None:
        _print_log(settings, client)
    elif as_json:
        click.echo(dump_overview(look(settings)))
    elif watch:
        _watch(settings)
    else:
        click.echo(render_table(look(settings)), nl=False)


def _print_log(settings: Settings, client: str) -> None:
    data = console_log(settings, client)
    if data is None:
        click.echo(f"si-monitor: no console log of {client} yet", err=True)
        return
    if sys.stdout.isatty():
        click.echo(escape_controls(data), nl=False)
    else:
        sys.stdout.buffer.write(data)


def _watch(settings: Settings) -> None:
    shown: Overview | None = None
    while True:
        now = look(settings)
        if sys.stdout.isatty():
            click.clear()
            click.echo(render_table(now))
        elif now != shown:
            click.echo(render_table(now))
        shown = now
        time.sleep(_EVERY_S)


main = command.run
