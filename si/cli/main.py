"""`si NAME ...` is the same command as `si-NAME ...`."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from si import __version__
from si.cli.command import run_command

COMMANDS = (
    "chroot",
    "client",
    "cpimage",
    "diff",
    "getimage",
    "lint",
    "lsimage",
    "mkautoinstallscript",
    "mkbootpackage",
    "mkclientnetboot",
    "mkdhcpserver",
    "monitor",
    "mvimage",
    "pcp",
    "psh",
    "publish",
    "pushupdate",
    "rmimage",
    "rollback",
    "server",
)
CLIENT_COMMANDS = ("audit", "prepareclient", "updateclient")
_HERE_TOO = ("audit",)
"""Of these, what the server can do for many clients as well."""


def main() -> None:
    """Find the command that the first word names and run it with the rest."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        names = "\n".join(f"  {name}" for name in sorted(COMMANDS + CLIENT_COMMANDS))
        click.echo(f"Usage: si COMMAND [OPTIONS]\n\nCommands (each is also si-COMMAND):\n{names}")
        sys.exit(0 if words else 2)
    if words[0] == "--version":
        click.echo(f"si {__version__}")
        sys.exit(0)
    name = words[0]
    if name in CLIENT_COMMANDS:
        sys.argv = [f"si-{name}", *words[1:]]
        if name in _HERE_TOO:
            import_module(f"si.cli.{name}").main()
        getattr(import_module("si.client.main"), name)()
    if name not in COMMANDS:
        click.echo(f"si: error: no command {name!r}\nhint: si --help lists them", err=True)
        sys.exit(2)
    module = import_module(f"si.cli.{name}")
    sys.exit(run_command(module.command, words[1:]))
