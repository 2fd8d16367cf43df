"""si-pcp: files and directories to many clients."""

from __future__ import annotations

import click

from si.cli.command import si_command
from si.cli.many import Tally, chosen_clients, client_options, show_outputs, ssh_options
from si.config import Settings
from si.fleet.everywhere import Pace, find_way, report_failures, run_everywhere
from si.fleet.outcome import of_copy
from si.fleet.reach import copy_words
from si.system.rsync import require_rsync


@si_command("si-pcp")
@client_options()
@ssh_options(timeout_s=None)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True,
                type=click.Path(exists=True))  # fmt: skip
@click.argument("destination")
def command(
    settings: Settings,
    *,
    sources: tuple[str, ...],
    destination: str,
    range_text: str | None,
    retry_failed: bool,
    fanout: int,
    timeout_s: float | None,
    connect_timeout: int,
    user: str | None,
) -> None:
    """Copy files and directories of this machine to DESTINATION on many clients, by rsync and ssh.

    As rsync does: a directory that is named with a slash at its end stands for what is in it, and
    nothing is deleted. Owners, modes, times, links, ACLs and attributes are kept.
    """
    require_rsync()
    clients = chosen_clients(settings, "si-pcp", range_text, retry_failed=retry_failed)
    way = find_way(settings, user=user, connect_timeout_s=connect_timeout)
    tally = Tally(len(clients))
    try:
        run_everywhere(
            clients,
            lambda client: copy_words(way, client, sources, destination),
            Pace(fanout, timeout_s),
            lambda outcome: tally.add(of_copy(outcome)),
        )
    finally:
        tally.clear()
        show_outputs(tally.outcomes)
    report_failures(settings, "si-pcp", tally.outcomes, tally.failed)


main = command.run
