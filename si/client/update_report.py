"""What an update would do or did, for people and for programs.

Stage 8, effects: prints; runs on clients (Python 3.9).
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence

from si.client.estimate import Estimate
from si.client.itemize import describe_item, quote_path
from si.client.plan import Fetched, Plan
from si.client.server import Update
from si.client.space import format_size

_log = logging.getLogger(__name__)


def show_done(plan: Plan, update: Update, fetched: Sequence[Fetched], *, as_json: bool) -> None:
    """Print in a line what was changed and how it came, or all of it as JSON."""
    if as_json:
        print(json.dumps({**_as_data(plan, update, fetched), "dry_run": False}, indent=1))
    else:
        print(_summary(plan, is_dry_run=False) + _told_ways(fetched))


def show_plan(plan: Plan, update: Update, expected: Estimate, *, as_json: bool) -> None:
    """Print what would change, line by line or as JSON, and how long that would take."""
    if as_json:
        data = {**_as_data(plan, update, ()), "dry_run": True}
        data["expected"] = _expected_data(expected)
        print(json.dumps(data, indent=1))
    else:
        for item in plan.items:
            print(describe_item(item))
        if plan.needs_menu:
            print("the boot menu would be made anew")
        _log.info("%s", _summary(plan, is_dry_run=True))
        if plan.items:
            _log.info("%s", describe_expected(expected))


def question(plan: Plan) -> str:
    """What is asked before it is done."""
    removed = sum(item.kind == "remove" for item in plan.items)
    return (
        f"Bring this machine to {plan.name}: {len(plan.items)} paths differ, "
        f"{removed} of them will be removed (--dry-run lists them). Go on?"
    )


def describe_expected(expected: Estimate) -> str:
    """How long it will take, and what that rests on."""
    cost = expected.cost
    text = (
        f"about {format_seconds(expected.seconds)}: at most {format_size(cost.fetched)} to fetch "
        f"at {format_size(round(expected.link))}/s ({expected.link_source}), "
        f"{format_size(cost.written)} to write, {cost.paths} paths"
    )
    if expected.miss is not None:
        text += f"; the last update took {expected.miss:.2g} times what was reckoned, so will this"
    return text


def format_seconds(seconds: float) -> str:
    """A duration for people, no more exact than an estimate can be: `8 s`, `3 min`, `2.5 h`."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _expected_data(expected: Estimate) -> dict[str, object]:
    return {
        "seconds": round(expected.seconds, 1),
        "fetch_bytes": expected.cost.fetched,
        "write_bytes": expected.cost.written,
        "paths": expected.cost.paths,
        "link_bytes_per_s": round(expected.link),
        "link_source": expected.link_source,
        "last_update_ratio": None if expected.miss is None else round(expected.miss, 2),
    }


def _summary(plan: Plan, *, is_dry_run: bool) -> str:
    if not plan.items:
        return f"nothing differs from {plan.name}"
    kinds = Counter(item.kind for item in plan.items)
    size = format_size(sum(item.size for item in plan.items if item.is_data))
    tense = "would be " if is_dry_run else ""
    return (
        f"{plan.name}: {tense}{kinds['add']} added, {kinds['change']} changed, "
        f"{kinds['remove']} removed, {size} of files"
    )


def _told_ways(fetched: Sequence[Fetched]) -> str:
    if not fetched:
        return ""
    ways = ", ".join(f"{one.files} by {one.way}" for one in fetched)
    return f" ({ways}; {format_size(sum(one.size for one in fetched))} fetched)"


def _as_data(plan: Plan, update: Update, fetched: Sequence[Fetched]) -> dict[str, object]:
    return {
        "client": update.client,
        "image": update.image,
        "version": plan.version,
        "captured": update.captured,
        "overrides": list(update.overrides),
        "boot_menu": plan.needs_menu,
        "fetched": [{"way": one.way, "files": one.files, "bytes": one.size} for one in fetched],
        "changes": [
            {
                "path": quote_path(b"/" + item.path if item.path != b"." else b"/"),
                "change": item.kind,
                "what": list(item.what),
                "directory": item.is_directory,
            }
            for item in plan.items
        ],
    }
