"""One command for many clients: who they are, run it, say who failed.

Stage 8, running clients; effects: starts ssh and rsync, remembers who failed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from si.cluster import Client, load_cluster
from si.cluster.ranges import expand_range, fold_names
from si.config import Settings
from si.errors import ClientsFailed, ClientUnknown, RangeInvalid, SIError
from si.fleet.outcome import KEY_HINT, Outcome
from si.fleet.reach import Way
from si.system.fanout import Ended, FanOut, Job
from si.system.files import replace_file
from si.system.run import find_tool

log = logging.getLogger(__name__)

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """How many clients at once, and how long each may take (None: as long as it likes)."""

    fanout: int
    timeout_s: float | None = None


def known_clients(settings: Settings, range_text: str) -> tuple[Client, ...]:
    """The clients that a RANGE names. Raises RangeInvalid, NameInvalid, DocumentInvalid, and
    ClientUnknown for names that cluster.xml does not have, before anything is done to any."""
    known, unknown = sort_clients(settings, range_text)
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise ClientUnknown(
            f"not in {settings.cluster_xml}: {fold_names(unknown[:_SHOWN])}{more}",
            hint="si-client list shows the known ones, si-client add makes more known",
        )
    return known


def sort_clients(settings: Settings, range_text: str) -> tuple[tuple[Client, ...], tuple[str, ...]]:
    """Those of a RANGE that cluster.xml has, and the names that it does not have."""
    cluster = load_cluster(settings)
    known: list[Client] = []
    unknown: list[str] = []
    for name in cluster.expand(range_text):
        try:
            known.append(cluster.client(name))
        except ClientUnknown:
            unknown.append(name)
    return tuple(dict.fromkeys(known)), tuple(unknown)


def find_way(settings: Settings, *, user: str | None, connect_timeout_s: int) -> Way:
    """How clients are reached from here. Raises ToolMissing where there is no ssh."""
    find_tool("ssh", package="openssh-client")
    config = settings.ssh_config
    return Way(config if config.exists() else None, user, connect_timeout_s)


def run_everywhere(
    clients: Sequence[Client],
    words: Callable[[Client], tuple[str, ...]],
    pace: Pace,
    on_end: Callable[[Outcome], None],
) -> None:
    """Run `words(client)` for each, in their order, and give each end to `on_end`."""

    waiting = iter(clients)

    def take() -> Job | None:
        client = next(waiting, None)
        return None if client is None else Job(client.name, words(client), pace.timeout_s)

    def then(job: Job, ended: Ended) -> None:
        on_end(outcome_of(job, ended))

    FanOut(take, then, fanout=pace.fanout).run()


def outcome_of(job: Job, ended: Ended) -> Outcome:
    """The end of a process as that of what it did on its client."""
    return Outcome(job.key, ended.exit_code, ended.stdout, ended.stderr, ended.dropped)


def report_failures(
    settings: Settings, command: str, outcomes: Sequence[Outcome], failed: Sequence[str]
) -> None:
    """Remember who failed, and raise ClientsFailed when anybody did."""
    remember_failed(settings, command, failed)
    if not failed:
        return
    keys = any(outcome.is_key_refused for outcome in outcomes)
    raise ClientsFailed(
        f"{len(failed)} of {len(outcomes)} clients failed: {fold_names(failed)}",
        hint=KEY_HINT if keys else f"{command} --retry-failed does it again for these",
    )


def remember_failed(settings: Settings, command: str, failed: Sequence[str]) -> None:
    """Note for --retry-failed of `command` who failed this time, where we may write."""
    text = "".join(f"{name}\n" for name in failed)
    try:
        replace_file(_failed_file(settings, command), text.encode(), mode=0o600)
    except SIError as error:
        if failed:
            log.warning("--retry-failed will not know who failed: %s", error.message)


def failed_range(settings: Settings, command: str) -> str:
    """Who failed the last time, as a RANGE. Raises RangeInvalid when nobody did."""
    text = ""
    with contextlib.suppress(FileNotFoundError):
        text = _failed_file(settings, command).read_text(encoding="utf-8", errors="replace")
    if not text.strip():
        raise RangeInvalid(f"no client failed in the last {command}", hint="name some: --clients")
    return fold_names(expand_range(text))


def _failed_file(settings: Settings, command: str) -> Path:
    return settings.fleet / f"{command}.failed"
