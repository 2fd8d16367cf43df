"""last-update.json: what the last update on this machine moved, and how long it took.

Stage 8, effects; runs on clients (Python 3.9). Only estimates rest on it, so one that cannot be
read is as good as none.
"""

from __future__ import annotations

import json
from pathlib import Path

from si.client.estimate import Cost, LastUpdate
from si.client.fields import load_fields
from si.client.files import kept_times, write_atomically
from si.errors import ConfigInvalid

_FORMAT = 1
_MAX_BYTES = 4096


def load_last_update(file: Path) -> LastUpdate | None:
    """What stands in `file`, None when there is nothing of use."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_MAX_BYTES + 1)
        return parse_last_update(text, str(file))
    except (OSError, ConfigInvalid):
        return None


def parse_last_update(text: str | bytes, source: str) -> LastUpdate:
    """Read the text of a last-update.json. Raises ConfigInvalid."""
    fields = load_fields(text, source, error=ConfigInvalid, max_bytes=_MAX_BYTES)
    if fields.integer("format") != _FORMAT:
        raise ConfigInvalid(f"{source}: this version reads format {_FORMAT} only")
    cost = Cost(
        fields.integer("fetched_bytes"), fields.integer("written_bytes"), fields.integer("paths")
    )
    took_ms = fields.integer("took_ms")
    link = fields.optional_integer("link_bytes_per_s", least=1)
    fields.finish()
    return LastUpdate(cost, took_ms / 1000, None if link is None else float(link))


def write_last_update(file: Path, last: LastUpdate) -> None:
    """Replace it in one step, and leave its directory's time as it was."""
    data = {
        "format": _FORMAT,
        "fetched_bytes": last.cost.fetched,
        "written_bytes": last.cost.written,
        "paths": last.cost.paths,
        "took_ms": round(last.took_s * 1000),
        "link_bytes_per_s": None if last.link is None else max(1, round(last.link)),
    }
    with kept_times(file.parent):
        write_atomically(file, (json.dumps(data) + "\n").encode(), mode=0o644)
