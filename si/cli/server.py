"""si-server: one process that serves boot files, flavors, scripts, images and takes reports."""

from __future__ import annotations

import dataclasses

import click
import msgspec

from si.cli.command import si_command
from si.config import Settings
from si.errors import VersionSpoiled
from si.serve.check import check_store
from si.serve.client_line import client_line
from si.serve.server import ServiceName, serve
from si.serve.status import read_status


class ServiceList(click.ParamType[tuple[ServiceName, ...]]):
    """Names of services with commas between them."""

    name = "LIST"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[ServiceName, ...]:
        """Give the services in the order in which they are started."""
        if isinstance(value, tuple):
            return value
        wanted = [word.strip() for word in value.split(",")]
        unknown = [word for word in wanted if word not in list(ServiceName)]
        if unknown:
            names = ", ".join(ServiceName)
            self.fail(f"{unknown[0]!r} is not served; there are {names}", param, ctx)
        return tuple(name for name in ServiceName if name in wanted)


@si_command("si-server")
@click.option("--listen", metavar="ADDR", help="Address to listen on [server.listen].")
@click.option("--only", type=ServiceList(), default=",".join(ServiceName), help="Serve only these.")
@click.option("--check", is_flag=True, help="Read and check every published version, and end.")
@click.option(
    "--client-line", "line", is_flag=True, help="Print what fetches the client commands, and end."
)
@click.option("--status", is_flag=True, help="Say what the running server serves, and end.")
def command(
    settings: Settings,
    *,
    listen: str | None,
    only: tuple[ServiceName, ...],
    check: bool,
    line: bool,
    status: bool,
) -> None:
    """Serve clients by TFTP, HTTP, rsync and BitTorrent until stopped."""
    if check:
        _check(settings)
        return
    if line:
        click.echo(client_line(settings))
        return
    if status:
        running = read_status(settings)
        for service in running.services:
            click.echo(str(service))
        click.echo(f"process {running.pid}, since {running.started:%Y-%m-%dT%H:%M:%SZ}")
        return
    if listen is not None:
        server = msgspec.structs.replace(settings.server, listen=listen)
        settings = dataclasses.replace(settings, server=server)
    serve(settings, only, say=click.echo)


def _check(settings: Settings) -> None:
    """Print a line for each version. Raises VersionSpoiled."""
    spoiled = checked = 0
    for name, error in check_store(settings):
        checked += 1
        spoiled += error is not None
        click.echo(f"{name}: as it was published" if error is None else error.message)
    if spoiled:
        raise VersionSpoiled(
            f"{spoiled} of {checked} versions are not what was published",
            hint="remove them (si-rmimage NAME@N), or bring their files back from a copy",
        )
    click.echo(f"{checked} versions checked")


main = command.run
