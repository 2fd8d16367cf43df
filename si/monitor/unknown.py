"""MACs that asked to boot and that cluster.xml does not name.

Stage 9, watching. `si.serve` notes them, `si-monitor` lists them, so that an administrator can add
a machine by copying its MAC from there. At most MAX_MACS are kept, one line each, the ones asked
last; anyone in the networks can ask with any MAC, so the file must not grow with what they invent.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from si.config import Settings
from si.system.files import locked, replace_file

MAX_MACS = 256


class UnknownMac(msgspec.Struct, frozen=True):
    """One machine that nobody added."""

    mac: str
    ip: str
    first: datetime
    last: datetime
    count: int


_MACS = msgspec.json.Decoder(UnknownMac)


def note_unknown(settings: Settings, mac: str, ip: str, *, now: datetime | None = None) -> None:
    """Write down that `mac` (aa:bb:...) asked from `ip`."""
    moment = (now or datetime.now(UTC)).replace(microsecond=0)
    settings.clients.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(settings.clients):
        known = {entry.mac: entry for entry in read_unknown(settings)}
        old = known.pop(mac, None)
        first, count = (old.first, old.count) if old else (moment, 0)
        entries = [*known.values(), UnknownMac(mac, ip, first, moment, count + 1)]
        text = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries[-MAX_MACS:])
        replace_file(_file(settings), text, mode=0o600)


def read_unknown(settings: Settings) -> tuple[UnknownMac, ...]:
    """The MACs noted, the one that asked last at the end."""
    try:
        lines = _file(settings).read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    entries = []
    for line in lines:
        try:
            entries.append(_MACS.decode(line))
        except msgspec.MsgspecError:
            continue
    return tuple(entries)


def _file(settings: Settings) -> Path:
    return settings.clients / ".unknown.jsonl"
