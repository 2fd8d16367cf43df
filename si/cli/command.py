"""What every server command shares: its standard options and the one boundary for errors.

A command module decorates one function with `si_command` and names it `command`, and
`main = command.run` is the console script.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from si import __version__
from si.client.boundary import EXIT_UNREAD, forget_reader
from si.config import Settings, load_settings
from si.errors import DocumentInvalid, NotConfirmed, SIError

EXIT_INTERNAL = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class SICommand(click.Command):
    """A click command that ends with this product's messages and exit codes."""

    def run(self) -> None:
        """Entry point of the console script: never returns."""
        sys.exit(run_command(self, sys.argv[1:]))


def si_command(name: str) -> Callable[[Callable[..., int | None]], SICommand]:
    """Make `function(settings, **options)` the command `name` with the standard options.

    The function's docstring is the help; it returns an exit code, None for 0.
    """

    def decorate(function: Callable[..., int | None]) -> SICommand:
        @functools.wraps(function)
        def call(
            *,
            config: Path | None,
            root: Path,
            verbose: int,
            quiet: bool,
            debug: bool,
            **options: Any,
        ) -> int:
            _set_up_logging(verbose=verbose, quiet=quiet, debug=debug)
            settings: Settings = load_settings(root=root, config=config)
            with _told_to_a_reader():
                return function(settings, **options) or 0

        decorated = _standard_options(call)
        return click.command(
            name=name, cls=SICommand, context_settings={"help_option_names": ["-h", "--help"]}
        )(decorated)

    return decorate


@contextlib.contextmanager
def _told_to_a_reader() -> Iterator[None]:
    """End quietly when nobody reads our output any more.

    click would end so, with exit code 1, on every broken pipe, that of a peer as well.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        if forget_reader():
            raise click.exceptions.Exit(EXIT_UNREAD) from error
        raise ConnectionError("a peer that we still spoke to went away") from error


def run_command(command: click.Command, arguments: list[str]) -> int:
    """Run `command`, print what went wrong the way users know it, and give the exit code."""
    name = command.name or "si"
    debug = "--debug" in arguments
    try:
        result = command.main(arguments, prog_name=name, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"{name}: interrupted", err=True)
        return EXIT_INTERRUPTED
    except SIError as error:
        return _tell(name, error, debug=debug)
    except Exception as error:
        return _tell_fault(name, error, debug=debug)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed. Raises NotConfirmed on no, or without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotConfirmed(f"not confirmed: {question}", hint="answer beforehand with --yes")
    if not click.confirm(question, err=True):
        raise NotConfirmed("not confirmed, nothing was changed")


def _tell(name: str, error: SIError, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    if isinstance(error, DocumentInvalid):
        for problem in error.problems:
            click.echo(str(problem), err=True)
    click.echo(f"{name}: error: {error.message}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)
    return error.exit_code


def _tell_fault(name: str, error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"{name}: internal fault: {type(error).__name__}: {error}", err=True)
    if not debug:
        click.echo("hint: run it again with --debug and report what it prints", err=True)
    return EXIT_INTERNAL


def _set_up_logging(*, verbose: int, quiet: bool, debug: bool) -> None:
    level = logging.INFO
    if verbose or debug:
        level = logging.DEBUG
    if quiet:
        level = logging.ERROR
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr, force=True)


def _standard_options(function: Callable[..., Any]) -> Callable[..., Any]:
    path = click.Path(path_type=Path)
    options = [
        click.option(
            "--config",
            type=path,
            default=lambda: os.environ.get("SI_CONFIG"),
            help="Settings file [/etc/systemimager/si.toml, else $SI_CONFIG].",
        ),
        click.option(
            "--root",
            type=path,
            default=lambda: os.environ.get("SI_ROOT") or "/",
            help="Move every default path below this directory [$SI_ROOT, else /].",
        ),
        click.option("-v", "--verbose", count=True, help="Say more."),
        click.option("-q", "--quiet", is_flag=True, help="Say only errors."),
        click.option("--debug", is_flag=True, help="Show a traceback with an error."),
        click.version_option(__version__, message="%(prog)s %(version)s"),
    ]
    for option in reversed(options):
        function = option(function)
    return function
