"""si-pushupdate: bring many clients to their image, batch after batch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import click
from click.core import ParameterSource

from si.cli.command import confirm, si_command
from si.cli.many import Duration, Tally, chosen_clients, client_options, ssh_options
from si.cluster import Client
from si.cluster.ranges import fold_names
from si.config import Settings
from si.errors import ClientsFailed
from si.fleet.everywhere import (
    Pace,
    find_way,
    known_clients,
    remember_failed,
    report_failures,
    run_everywhere,
)
from si.fleet.journal import Journal, begin_push, take_up_push
from si.fleet.outcome import Ending, Outcome
from si.fleet.push import Push, Update, update_command
from si.fleet.reach import Way, command_words
from si.fleet.rollout import Plan, Step, batches, parse_batch
from si.names_check import parse_version_name

_NAME = "si-pushupdate"
_TIMEOUT_S = 7200
_EXIT_DIFFERS = 4
_WITH_RESUME = frozenset({"resume", "yes", "root", "config", "verbose", "quiet", "debug"})


@si_command(_NAME)
@client_options()
@click.option("--image", metavar="NAME[@N]", help="Bring them to this [as installed].")
@click.option("--server", metavar="ADDR", help="Image server that they ask [as installed].")
@click.option("--transport", metavar="NAME", help="How files travel [si-updateclient's default].")
@click.option("--live", is_flag=True, help="To the image as it stands, by rsync.")
@click.option("--exclude", "excludes", metavar="PATH", multiple=True, help="Leave this alone too.")
@click.option("--no-bootloader", is_flag=True, help="Do not bring the boot loader along.")
@click.option("--batch", metavar="SIZE", help="So many at a time: a number, or 10% of them [all].")
@click.option(
    "--max-failures", type=click.IntRange(0), metavar="N",
    help="End when more than N have failed [0 with --batch, else no limit].",
)  # fmt: skip
@click.option("--check", metavar="COMMAND", help="Must end with 0 on a client after its update.")
@click.option("--drain", metavar="COMMAND", help="Run here before a client, $SI_CLIENT.")
@click.option("--undrain", metavar="COMMAND", help="Run here after a client that passed.")
@click.option("--spread", type=Duration(), metavar="TIME", help="Space the starts over this time.")
@click.option("--dry-run", is_flag=True, help="Say what would change; exit code 4 if anything.")
@click.option("--resume", metavar="N", type=click.IntRange(0), is_flag=False, flag_value=0,
              help="Go on with push N, or with the last one that is not through.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
@ssh_options(timeout_s=_TIMEOUT_S)
def command(settings: Settings, **given: Any) -> int:
    """Run si-updateclient on many clients by ssh, and tell how each ended.

    With --batch the next clients begin when all before them are through: drained, updated, checked,
    undrained. What is stopped, or killed, goes on with --resume.
    """
    if given["resume"] is not None:
        _refuse_more_than_resume()
        number = given["resume"] or None
        return _push(settings, take_up_push(settings, number), yes=given["yes"])
    update = _read_update(given)
    clients = chosen_clients(
        settings, _NAME, given["range_text"], retry_failed=given["retry_failed"]
    )
    way = find_way(settings, user=given["user"], connect_timeout_s=given["connect_timeout"])
    if update.is_dry_run:
        return _dry_run(settings, clients, way, update, Pace(given["fanout"], given["timeout_s"]))
    plan = _make_plan([client.name for client in clients], update, given)
    confirm(_question(plan, plan.clients), yes=given["yes"])
    return _push(settings, begin_push(settings, plan), yes=True)


def _refuse_more_than_resume() -> None:
    context = click.get_current_context()
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is ParameterSource.COMMANDLINE and name not in _WITH_RESUME:
            raise click.UsageError("--resume goes on as the push was begun: give it alone")


def _read_update(given: dict[str, Any]) -> Update:
    image = given["image"]
    return Update(
        image=str(parse_version_name(image)) if image is not None else None,
        server=given["server"],
        transport=given["transport"],
        is_live=given["live"],
        excludes=given["excludes"],
        with_bootloader=not given["no_bootloader"],
        is_dry_run=given["dry_run"],
    )


def _make_plan(names: Sequence[str], update: Update, given: dict[str, Any]) -> Plan:
    try:
        size = parse_batch(given["batch"], len(names)) if given["batch"] else len(names)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    most = given["max_failures"]
    return Plan(
        clients=tuple(names),
        update=update_command(update),
        check=given["check"],
        drain=given["drain"],
        undrain=given["undrain"],
        batch=size,
        max_failures=0 if most is None and given["batch"] else most,
        fanout=given["fanout"],
        timeout_s=given["timeout_s"],
        spread_s=given["spread"] or 0,
        user=given["user"],
        connect_timeout_s=given["connect_timeout"],
    )


def _question(plan: Plan, names: Sequence[str]) -> str:
    count = batches(names, plan.batch)
    rolling = f", in {count} batches of {plan.batch}" if count > 1 else ""
    noun = "client" if len(names) == 1 else "clients"
    return f"Run `{plan.update}` on {len(names)} {noun} ({fold_names(names)}){rolling}?"


def _dry_run(
    settings: Settings, clients: Sequence[Client], way: Way, update: Update, pace: Pace
) -> int:
    line = update_command(update)
    tally = Tally(len(clients), fine=(0, _EXIT_DIFFERS))

    def on_end(outcome: Outcome) -> None:
        tally.clear()
        tally.add(outcome)
        would = {0: "nothing would change", _EXIT_DIFFERS: "would change"}
        told = would.get(outcome.exit_code if outcome.exit_code is not None else -1)
        said = f": {outcome.last_words}" if told and outcome.last_words else ""
        click.echo(f"{outcome.client}: " + (told or f"failed: {outcome.account}") + said)

    try:
        run_everywhere(clients, lambda client: command_words(way, client, line), pace, on_end)
    finally:
        tally.clear()
    report_failures(settings, _NAME, tally.outcomes, tally.failed)
    differs = any(outcome.exit_code == _EXIT_DIFFERS for outcome in tally.outcomes)
    return _EXIT_DIFFERS if differs else 0


def _push(settings: Settings, held: AbstractContextManager[Journal], *, yes: bool) -> int:
    with held as journal:
        plan, done = journal.plan, set(journal.standing.done)
        left = [name for name in plan.clients if name not in done]
        if not left:
            click.echo(f"push {journal.number}: all clients are through", err=True)
            return 0
        confirm(_question(plan, left), yes=yes)
        clients = known_clients(settings, fold_names(left))
        way = find_way(settings, user=plan.user, connect_timeout_s=plan.connect_timeout_s)
        tally = Tally(len(left))

        def on_end(outcome: Outcome, step: Step) -> None:
            tally.clear()
            tally.add(outcome)
            click.echo(_line(outcome, step))

        def on_stop(count: int) -> None:
            tally.clear()
            noun = "client is" if count == 1 else "clients are"
            click.echo(f"{count} {noun} still at work; Ctrl-C once more leaves them", err=True)

        click.echo(f"push {journal.number}: {len(left)} of {len(plan.clients)} clients", err=True)
        push = Push(journal, clients, way, on_end)
        try:
            push.run(on_stop)
        finally:
            tally.clear()
            remember_failed(settings, _NAME, sorted(push.rollout.failed))
            waiting = (*push.rollout.at_work, *push.rollout.waiting)
            if waiting:
                click.echo(_how_to_go_on(journal.number, waiting), err=True)
        _raise_failures(journal, push)
    return 0


def _line(outcome: Outcome, step: Step) -> str:
    if outcome.ending is Ending.DONE:
        return f"{outcome.client}: done" + (f": {outcome.last_words}" if outcome.last_words else "")
    return f"{outcome.client}: failed at {step}: {outcome.account}"


def _how_to_go_on(number: int, left: Sequence[str]) -> str:
    return f"not through: {fold_names(left)}; si-pushupdate --resume {number} goes on"


def _raise_failures(journal: Journal, push: Push) -> None:
    failed = sorted(push.rollout.failed)
    if not failed:
        return
    drained = " (left drained)" if journal.plan.drain else ""
    raise ClientsFailed(
        f"{len(failed)} of {len(journal.plan.clients)} clients failed: "
        f"{fold_names(failed)}{drained}",
        hint=f"si-pushupdate --resume {journal.number} does these and what is left, "
        "--retry-failed only these",
    )


main = command.run
