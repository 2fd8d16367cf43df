"""All clients at one glance, for people and for `--json`.

Stage 9, watching. In go cluster.xml and what lies below clients/, out come rows. Text that came
from clients is shown with its control characters escaped: a log must not drive a terminal.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Literal

import msgspec

from si.cluster import load_cluster
from si.config import Settings
from si.monitor.events import client_directory, client_state, clients_with_folder
from si.monitor.state import State
from si.monitor.unknown import UnknownMac, read_unknown
from si.names_check import check_name
from si.terminal import align_columns, escape_controls, one_line

_COLUMNS = ("client", "state", "phase", "try", "since", "image", "detail")
_DETAIL_WIDTH = 60
_NO_CLIENTS = "no clients yet: si-client add NAME --mac MAC\n"
_UNKNOWN = "\nasked to boot, but unknown (si-client add NAME --mac MAC):\n"
_EXHAUSTED = "no attempts left, it boots its own disk"


class Row(msgspec.Struct, frozen=True):
    """One client."""

    client: str
    state: State
    phase: str | None
    attempts: int
    since: datetime | None
    image: str | None
    version: int | None
    captured: str | None
    detail: str
    mac: str | None
    next_boot: Literal["install", "disk"]
    """What a boot from the network starts."""
    out_of_attempts: bool
    """Armed and not written, but its installs began too often: it boots its own disk."""


class Overview(msgspec.Struct, frozen=True):
    """Everything that si-monitor shows."""

    clients: tuple[Row, ...]
    unknown: tuple[UnknownMac, ...]


def look(settings: Settings, *, now: datetime | None = None) -> Overview:
    """Every client of cluster.xml, and those that were armed and then taken out of it.

    Raises DocumentInvalid for a faulty cluster.xml.
    """
    moment = now or datetime.now(UTC)
    cluster = load_cluster(settings)
    macs = {client.name: client.mac for client in cluster.clients}
    names = sorted({*macs, *clients_with_folder(settings)})
    rows = tuple(_row(settings, name, macs.get(name), moment) for name in names)
    known = {mac for mac in macs.values() if mac}
    strangers = tuple(entry for entry in read_unknown(settings) if entry.mac not in known)
    return Overview(rows, strangers)


def render_table(overview: Overview, *, now: datetime | None = None) -> str:
    """The overview as text."""
    moment = now or datetime.now(UTC)
    rows = [_cells(row, moment) for row in overview.clients]
    text = (
        align_columns([_COLUMNS, *rows])
        if rows
        else "no clients yet: si-client add NAME --mac MAC\n"
    )
    if overview.unknown:
        asked = [
            (entry.mac, entry.ip, f"{_age(entry.last, moment)} ago", f"{entry.count}x")
            for entry in overview.unknown
        ]
        text += "\nasked to boot, but unknown (si-client add NAME --mac MAC):\n" + align_columns(
            asked
        )
    return text


def dump_overview(overview: Overview) -> str:
    """The overview as JSON."""
    return json.dumps(msgspec.to_builtins(overview), indent=1)


def console_log(settings: Settings, client: str) -> bytes | None:
    """The console log of the client's last install; None before it sent any.

    Raises ClientUnknown for a name that neither cluster.xml nor an arming knows.
    """
    name = check_name("client", client)
    if name not in clients_with_folder(settings):
        name = load_cluster(settings).client(name).name
    try:
        return (client_directory(settings, name) / "console.log").read_bytes()
    except FileNotFoundError:
        return None


def _row(settings: Settings, name: str, mac: str | None, now: datetime) -> Row:
    state = client_state(settings, name, now=now)
    return Row(
        client=name,
        state=state.state,
        phase=state.phase,
        attempts=state.attempts,
        since=state.since,
        image=state.image,
        version=state.version,
        captured=state.captured,
        detail=state.detail,
        mac=mac,
        next_boot="install" if state.may_install else "disk",
        out_of_attempts=state.armed and not state.may_install,
    )


def _cells(row: Row, now: datetime) -> tuple[str, ...]:
    detail = row.detail
    if row.out_of_attempts:
        detail = f"{_EXHAUSTED}; {detail}" if detail else _EXHAUSTED
    return (
        row.client,
        row.state,
        row.phase or "-",
        str(row.attempts),
        _age(row.since, now) if row.since else "-",
        escape_controls(_what(row).encode("utf-8", "replace")),
        one_line(detail, _DETAIL_WIDTH),
    )


def _what(row: Row) -> str:
    """NAME@N, or NAME for an image that was no version."""
    return (row.image or "-") + (f"@{row.version}" if row.version else "")


def _age(moment: datetime, now: datetime) -> str:
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
