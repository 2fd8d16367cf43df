"""What the commands for many clients share: who and how options, progress, results."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from si.cluster import Client
from si.config import Settings
from si.fleet.everywhere import failed_range, known_clients
from si.fleet.merge import merge_outputs, split_output
from si.fleet.outcome import Ending, Outcome

DEFAULT_FANOUT = 32
MAX_FANOUT = 256
"""Each client takes three file descriptors, and a process may mostly have 1024."""
CONNECT_TIMEOUT_S = 15
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


class Duration(click.ParamType):  # type: ignore[type-arg]
    """`90`, `90s`, `30m`, `2h`: seconds."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds; an error of usage for anything else."""
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"([0-9]{1,6})([smh]?)", str(value))
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is no time like 90s, 30m or 2h", param, ctx)
        return float(int(found[1]) * _UNITS[found[2]])


def ssh_options(*, timeout_s: int | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--fanout, --timeout, --connect-timeout and --user."""
    limit = f"[{timeout_s}s]" if timeout_s else "[no limit]"
    options = [
        click.option(
            "--fanout",
            type=click.IntRange(1, MAX_FANOUT),
            metavar="N",
            default=DEFAULT_FANOUT,
            help=f"How many clients at once [{DEFAULT_FANOUT}].",
        ),
        click.option(
            "--timeout",
            "timeout_s",
            type=Duration(),
            metavar="TIME",
            default=timeout_s,
            help=f"Time for each client, like 90s or 30m {limit}.",
        ),
        click.option(
            "--connect-timeout",
            type=click.IntRange(1, 3600),
            metavar="S",
            default=CONNECT_TIMEOUT_S,
            help=f"Seconds until a client counts as unreachable [{CONNECT_TIMEOUT_S}].",
        ),
        click.option("--user", metavar="USER", help="Log in as this user [ssh's configuration]."),
    ]
    return _stack(options)


def client_options() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--clients and --retry-failed."""
    return _stack(
        [
            click.option("--clients", "range_text", metavar="RANGE", help="Which clients."),
            click.option(
                "--retry-failed", is_flag=True, help="Those that failed the last time instead."
            ),
        ]
    )


def chosen_clients(
    settings: Settings, command: str, range_text: str | None, *, retry_failed: bool
) -> tuple[Client, ...]:
    """The clients that one of the two options names."""
    if (range_text is None) != retry_failed:
        raise click.UsageError("give one of --clients and --retry-failed")
    return known_clients(
        settings, failed_range(settings, command) if range_text is None else range_text
    )


class Tally:
    """Counts ends, and shows the count on a terminal while clients are still at work."""

    def __init__(self, clients: int, *, fine: tuple[int, ...] = (0,)) -> None:
        self._fine = fine
        self.outcomes: list[Outcome] = []
        self._clients = clients
        self._is_shown = sys.stderr.isatty()

    @property
    def failed(self) -> list[str]:
        """Names of those that did not end well, in the order of their names."""
        return sorted(o.client for o in self.outcomes if o.exit_code not in self._fine)

    def add(self, outcome: Outcome) -> None:
        """One more has ended."""
        self.outcomes.append(outcome)
        self.show()

    def show(self) -> None:
        """Draw the count anew."""
        if self._is_shown:
            failed = f", {len(self.failed)} failed" if self.failed else ""
            click.echo(
                f"\r{len(self.outcomes)} of {self._clients} clients{failed}\x1b[K",
                err=True,
                nl=False,
            )

    def clear(self) -> None:
        """Take the count away."""
        if self._is_shown:
            click.echo("\r\x1b[K", err=True, nl=False)


def show_outputs(outcomes: Sequence[Outcome]) -> None:
    """Standard output of all on standard output; their errors, and ours, on standard error."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.client)
    for line in merge_outputs(
        {o.client: split_output(o.stdout, dropped=o.dropped) for o in ordered}
    ):
        click.echo(line)
    for line in merge_outputs({o.client: split_output(o.stderr) for o in ordered}):
        click.echo(line, err=True)
    reasons = {o.client: (o.reason,) for o in ordered if o.ending is not Ending.DONE}
    for line in merge_outputs(reasons):
        click.echo(f"failed: {line}", err=True)


def _stack(options: list[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
