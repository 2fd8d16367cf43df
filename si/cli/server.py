"""si-server: one process that serves boot files, flavors, scripts, images and takes reports."""

from __future__ import annotations

import dataclasses

import click
import msgspec

from si.cli.command import si_command
from si.config import Settings
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
@click.option("--only", type=ServiceList(), default="tftp,http,rsync", help="Serve only these.")
@click.option("--status", is_flag=True, help="Say what the running server serves, and end.")
def command(
    settings: Settings, *, listen: str | None, only: tuple[ServiceName, ...], status: bool
) -> None:
    """Serve clients by TFTP, HTTP and rsync until stopped."""
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


main = command.run
