"""si-psh: a command on many clients, equal lines of their output merged."""

from __future__ import annotations

import click

from si.cli.command import si_command
from si.cli.many import Tally, chosen_clients, client_options, show_outputs, ssh_options
from si.config import Settings
from si.fleet.everywhere import Pace, find_way, report_failures, run_everywhere
from si.fleet.reach import command_words


@si_command("si-psh")
@client_options()
@ssh_options(timeout_s=None)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    settings: Settings,
    *,
    command: tuple[str, ...],
    range_text: str | None,
    retry_failed: bool,
    fanout: int,
    timeout_s: float | None,
    connect_timeout: int,
    user: str | None,
) -> None:
    """Run COMMAND, a line for the shell there, on many clients by ssh.

    What they print is shown when all have ended, equal lines once with the clients that said them.
    Options of this command stand before COMMAND.
    """
    clients = chosen_clients(settings, "si-psh", range_text, retry_failed=retry_failed)
    way = find_way(settings, user=user, connect_timeout_s=connect_timeout)
    line = " ".join(command)
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
        show_outputs(tally.outcomes)
    report_failures(settings, "si-psh", tally.outcomes, tally.failed)


command.allow_interspersed_args = False
main = command.run
