"""si-audit --clients: are these machines their images? Without --clients it is the client's own."""

from __future__ import annotations

import sys

import click

from si.cli.command import si_command
from si.cli.many import Tally, ssh_options
from si.client.main import audit as audit_this_machine
from si.cluster.ranges import fold_names
from si.config import Settings
from si.errors import ClientsFailed
from si.fleet.audit import (
    EXIT_DRIFT,
    State,
    audit_command,
    dump_rows,
    failed,
    read_audit,
    render_sum,
    render_table,
    stranger,
)
from si.fleet.everywhere import Pace, find_way, run_everywhere, sort_clients
from si.fleet.reach import command_words

_TIMEOUT_S = 1800


@si_command("si-audit")
@click.option("--clients", "range_text", metavar="RANGE", required=True, help="Which clients.")
@click.option("--image", metavar="NAME[@N]", help="Compare with this [what each was installed as].")
@click.option("--exclude", "excludes", metavar="PATH", multiple=True, help="Leave this alone too.")
@click.option("--full", is_flag=True, help="Read every file, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@ssh_options(timeout_s=_TIMEOUT_S)
def command(
    settings: Settings,
    *,
    range_text: str,
    image: str | None,
    excludes: tuple[str, ...],
    full: bool,
    as_json: bool,
    fanout: int,
    timeout_s: float,
    connect_timeout: int,
    user: str | None,
) -> int:
    """On the image server: audit many clients by ssh and show a table of them."""
    way = find_way(settings, user=user, connect_timeout_s=connect_timeout)
    clients, strangers = sort_clients(settings, range_text)
    line = audit_command(image=image, excludes=excludes, with_contents=full)
    tally = Tally(len(clients))
    try:
        run_everywhere(
            clients,
            lambda client: command_words(way, client, line),
            Pace(fanout, timeout_s),
            tally.add,
        )
    finally:
        tally.clear()
    rows = [*map(read_audit, tally.outcomes), *map(stranger, strangers)]
    rows.sort(key=lambda row: row.client)
    click.echo(dump_rows(rows) if as_json else render_table(rows), nl=as_json)
    click.echo(render_sum(rows), err=True)
    lost = failed(rows)
    if lost:
        raise ClientsFailed(f"{len(lost)} of {len(rows)} clients not audited: {fold_names(lost)}")
    return EXIT_DRIFT if any(row.state is State.DRIFT for row in rows) else 0


def main() -> None:
    """Console script: the server's form where --clients is given, else the client's."""
    words = sys.argv[1:]
    if any(word == "--clients" or word.startswith("--clients=") for word in words):
        command.run()
    try:
        audit_this_machine()
    finally:
        if {"-h", "--help"} & set(words):
            click.echo()
            command.main(["--help"], prog_name="si-audit --clients RANGE", standalone_mode=False)
