"""What audits of many clients say: a row a client, the table, the exit code.

Stage 8, running clients. Pure. In goes what `si-audit --json --summary` printed on each client,
which is believed no more than anything else that comes from there.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import msgspec

from si.errors import ClientUnknown, ConfigInvalid, NameInvalid
from si.fleet.outcome import Ending, Outcome
from si.names_check import check_name
from si.terminal import align_columns, one_line

EXIT_DRIFT = 4
_NO_COMMAND = 127
_COLUMNS = ("client", "version", "drift", "state", "detail")
_DETAIL_WIDTH = 100

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class State(StrEnum):
    """Where a client stands."""

    CLEAN = "clean"
    DRIFT = "drift"
    UNREACHABLE = "unreachable"
    FAILED = "failed"
    """It was reached, and its audit could not be made."""
    STRANGER = "not a client of ours"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One client. version: what it was compared with, NAME@N; drift: how many paths differ."""

    client: str
    state: State
    version: str | None = None
    drift: int | None = None
    protected: int | None = None
    classes: dict[str, int] = {}
    detail: str = ""


class _Answer(msgspec.Struct):
    client: str
    image: str
    version: Annotated[int, msgspec.Meta(ge=1, le=10**9)]
    summary: dict[str, _Count]


def audit_command(*, image: str | None, excludes: Sequence[str], with_contents: bool) -> str:
    """The line for the client's shell."""
    words = ["si-audit", "--json", "--summary", "--quiet"]
    words += ["--image", image] if image else []
    words += [f"--exclude={path}" for path in excludes]
    words += ["--full"] if with_contents else []
    return shlex.join(words)


def read_audit(outcome: Outcome) -> Row:
    """The row of a client that was asked."""
    name = outcome.client
    if outcome.ending is Ending.UNREACHABLE:
        return Row(client=name, state=State.UNREACHABLE, detail=outcome.reason)
    if outcome.exit_code in (_NO_COMMAND, ClientUnknown.exit_code, ConfigInvalid.exit_code):
        return Row(client=name, state=State.STRANGER, detail=outcome.account)
    if outcome.exit_code not in (0, EXIT_DRIFT):
        return Row(client=name, state=State.FAILED, detail=outcome.account)
    try:
        answer = msgspec.json.decode(outcome.stdout, type=_Answer)
        check_name("image", answer.image)
    except (msgspec.DecodeError, UnicodeDecodeError, NameInvalid) as error:
        return Row(client=name, state=State.FAILED, detail=f"its answer is no audit: {error}")
    if answer.client != name:
        return Row(client=name, state=State.STRANGER, detail=f"it calls itself {answer.client}")
    return _read_summary(answer, has_drift=outcome.exit_code == EXIT_DRIFT)


def stranger(name: str) -> Row:
    """The row of a name that cluster.xml does not have; nobody was asked."""
    return Row(client=name, state=State.STRANGER, detail="not in cluster.xml")


def failed(rows: Sequence[Row]) -> tuple[str, ...]:
    """Clients of which nothing is known."""
    return tuple(row.client for row in rows if row.state not in (State.CLEAN, State.DRIFT))


def render_table(rows: Sequence[Row]) -> str:
    """All rows for people, those of equal state beside each other in no order but by name."""
    cells = [
        (
            row.client,
            row.version or "-",
            "-" if row.drift is None else str(row.drift),
            row.state,
            one_line(row.detail, _DETAIL_WIDTH),
        )
        for row in rows
    ]
    return align_columns([_COLUMNS, *cells])


def dump_rows(rows: Sequence[Row]) -> str:
    """All rows as one JSON object."""
    return json.dumps({"clients": msgspec.to_builtins(rows)}, indent=1)


def render_sum(rows: Sequence[Row]) -> str:
    """`97 clean, 2 drift, 1 unreachable`."""
    counts = Counter(row.state for row in rows)
    return ", ".join(f"{counts[state]} {state}" for state in State if counts[state])


def _read_summary(answer: _Answer, *, has_drift: bool) -> Row:
    counts = dict(answer.summary)
    drift, protected = counts.pop("differ", None), counts.pop("protected", 0)
    if drift is None or has_drift != (drift > 0):
        return Row(client=answer.client, state=State.FAILED, detail="its answer contradicts itself")
    return Row(
        client=answer.client,
        state=State.DRIFT if has_drift else State.CLEAN,
        version=f"{answer.image}@{answer.version}",
        drift=drift,
        protected=protected,
        classes=counts,
        detail=", ".join(f"{count} {name}" for name, count in counts.items()),
    )
