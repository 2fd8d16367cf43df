"""The client commands and their options.

Stage: none. Runs on clients (Python 3.9). One file holds all commands (`si.boot.clientapp` makes
it): `python3 si-client.pyz prepareclient --server S`. Python compiles anew whatever it imports from
such a file, so each command imports its own modules, and no other's, when it is run.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from si import __version__
from si.client.arguments import (
    add_doing,
    add_explain,
    add_wanted,
    make_parser,
    port,
    seconds,
)
from si.client.boundary import EXIT_USAGE, Arguments, run_command
from si.client.places import Places
from si.errors import PrivilegeMissing, UpdateRefused

_Command = Callable[[Sequence[str]], int]


def prepareclient() -> None:
    """Console script si-prepareclient."""
    sys.exit(run_prepareclient(sys.argv[1:]))


def updateclient() -> None:
    """Console script si-updateclient."""
    sys.exit(run_updateclient(sys.argv[1:]))


def audit() -> None:
    """Console script si-audit."""
    sys.exit(run_audit(sys.argv[1:]))


def main() -> None:
    """The one-file program: the first word says which command."""
    sys.exit(dispatch(sys.argv[1:]))


def dispatch(words: Sequence[str]) -> int:
    """Run the command that the first word names, and give its exit code."""
    commands: dict[str, _Command] = {
        "prepareclient": run_prepareclient,
        "updateclient": run_updateclient,
        "audit": run_audit,
        "install": run_install,
        "report": run_report,
    }
    name = words[0].removeprefix("si-") if words else ""
    if name in commands:
        return commands[name](words[1:])
    if name == "--version":
        print(f"si-client {__version__}")
        return 0
    usage = f"usage: si-client.pyz {{{','.join(commands)}}} [OPTION]..."
    if name in ("-h", "--help"):
        print(f"{usage}\n`si-client.pyz COMMAND --help` lists the options of each.")
        return 0
    print(usage, file=sys.stderr)
    return EXIT_USAGE


def run_prepareclient(words: Sequence[str]) -> int:
    """si-prepareclient."""
    from si.client.prepare import PrepareOptions, prepare_client

    def call(places: Places, given: Arguments) -> int:
        options = PrepareOptions(
            server=given.server,
            transport=given.transport,
            exclude_file=given.exclude_file,
            port=given.port,
            timeout_s=given.timeout,
            is_dry_run=given.dry_run,
            yes=given.yes,
            stays_in_foreground=given.foreground,
        )
        return prepare_client(places, options)

    return run_command(_prepare_parser(), words, call)


def _prepare_parser() -> argparse.ArgumentParser:
    from si.client.offer import DEFAULT_PORT, DEFAULT_TIMEOUT_S

    parser = make_parser(
        "si-prepareclient", "Make this machine a golden client and offer its tree to the server."
    )
    parser.add_argument("--server", required=True, metavar="ADDR", help="the image server")
    parser.add_argument(
        "--transport",
        choices=("rsync", "ssh"),
        default="rsync",
        help="how the server gets the tree: a daemon here, or by ssh [rsync]",
    )
    parser.add_argument(
        "--exclude-file", type=Path, metavar="F", help="rsync patterns of what is not offered"
    )
    parser.add_argument(
        "--port", type=port, default=DEFAULT_PORT, help=f"port of the offer [{DEFAULT_PORT}]"
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help=f"seconds until the offer ends when nobody is connected [{DEFAULT_TIMEOUT_S}]",
    )
    parser.add_argument("--foreground", action="store_true", help="stay until the offer ends")
    add_doing(parser, "show what would be recorded and written, write nothing")
    return parser


def run_updateclient(words: Sequence[str]) -> int:
    """si-updateclient."""
    from si.client.sync import UpdateOptions, undo_client, update_client
    from si.client.wanted import Wanted

    def call(places: Places, given: Arguments) -> int:
        if given.undo:
            if given.image or given.live or given.explain or given.json:
                raise UpdateRefused("--undo returns to the last snapshot, and to nothing else")
            return undo_client(places, is_dry_run=given.dry_run, yes=given.yes)
        if given.transport not in (None, "rsync" if given.live else "http"):
            raise UpdateRefused(
                f"--transport {given.transport}: a version comes by http, a live image by rsync",
                hint="leave it out, or add --live for rsync",
            )
        options = UpdateOptions(
            wanted=Wanted(given.server, given.client, given.image),
            excludes=tuple(given.exclude),
            is_live=given.live,
            is_dry_run=given.dry_run,
            yes=given.yes,
            as_json=given.json,
            with_boot_menu=not given.no_bootloader,
            with_space_check=not given.no_space_check,
            with_snapshot=not given.no_snapshot,
            restarts_services=given.restart_services,
            explained=given.explain,
        )
        return update_client(places, options)

    return run_command(_update_parser(), words, call)


def _update_parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "si-updateclient",
        "Bring this machine to its image, except for what updateclient.local.exclude protects.",
    )
    add_wanted(parser, "NAME[@N]")
    parser.add_argument(
        "--live",
        action="store_true",
        help="bring it to the editable image as it is now, by rsync, in place of a version",
    )
    parser.add_argument(
        "--transport",
        choices=("http", "rsync"),
        help="[http for a version, rsync for --live: there is no other yet]",
    )
    add_explain(parser)
    parser.add_argument(
        "--undo", action="store_true", help="return to what was before the last update, and end"
    )
    _add_care(parser)
    parser.add_argument(
        "--restart-services",
        action="store_true",
        help="restart the services that run what was replaced",
    )
    parser.add_argument("--json", action="store_true", help="print what changes as JSON")
    add_doing(parser, "list what would change; exit code 4 if anything would")
    return parser


def _add_care(parser: argparse.ArgumentParser) -> None:
    """What an update does to be on the safe side, declined."""
    left_out = {
        "--no-bootloader": "do not make the boot menu anew",
        "--no-space-check": "go on where space seems too small",
        "--no-snapshot": "take no snapshot of the root before it changes",
    }
    for name, told in left_out.items():
        parser.add_argument(name, action="store_true", help=told)


def run_audit(words: Sequence[str]) -> int:
    """si-audit."""
    from si.client.audit import AuditOptions, audit_client
    from si.client.wanted import Wanted

    parser = make_parser("si-audit", "Say what of this machine differs from its image.")
    add_wanted(parser, "NAME[@N]")
    parser.add_argument("--full", action="store_true", help="read every file, too")
    parser.add_argument(
        "--protected", action="store_true", help="list what differs and is protected as well"
    )
    add_explain(parser)
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    parser.add_argument("--summary", action="store_true", help="print only how many differ")

    def call(places: Places, given: Arguments) -> int:
        options = AuditOptions(
            wanted=Wanted(given.server, given.client, given.image),
            excludes=tuple(given.exclude),
            with_contents=given.full,
            as_json=given.json,
            with_protected=given.protected,
            only_sum=given.summary,
            explained=given.explain,
        )
        return audit_client(places, options)

    return run_command(parser, words, call)


def run_install(words: Sequence[str]) -> int:
    """install: the end of the line that `si-server --client-line` prints."""
    from si.client.install import COMMANDS, install_commands

    parser = make_parser("si-client.pyz install", "Put the client commands onto this machine.")
    parser.add_argument(
        "--site-key", type=Path, metavar="FILE", help="versions are signed with this key, trust it"
    )

    def call(places: Places, given: Arguments) -> int:
        install_commands(places, given.site_key)
        print(f"installed {', '.join(f'si-{word}' for word in COMMANDS)}, {__version__}")
        return 0

    return run_command(parser, words, call)


def run_report(words: Sequence[str]) -> int:
    """report: what si-report.service runs."""
    from si.client.report import report_installed

    parser = make_parser("si-report", "Tell the server that this installed system runs.")

    def call(places: Places, _: Arguments) -> int:
        if os.geteuid() != 0:
            raise PrivilegeMissing("reporting needs root: client.json holds this client's token")
        report_installed(places)
        return 0

    return run_command(parser, words, call)
