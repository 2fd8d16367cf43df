"""What an update would do or did, for people and for programs.

Stage 8, effects: prints; runs on clients (Python 3.9).
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence

from si.client.itemize import describe_item, quote_path
from si.client.plan import Fetched, Plan
from si.client.server import Update
from si.client.space import format_size

_log = logging.getLogger(__name__)


def show(
    plan: Plan, update: Update, fetched: Sequence[Fetched], *, is_dry_run: bool, as_json: bool
) -> None:
    """Print the plan: what would change line by line, or in a line what did and how it came."""
    if as_json:
        print(json.dumps(_as_data(plan, update, fetched, is_dry_run=is_dry_run), indent=1))
        return
    if is_dry_run:
        for item in plan.items:
            print(describe_item(item))
        if plan.needs_menu:
            print("the boot menu would be made anew")
        _log.info("%s", _summary(plan, is_dry_run=True))
    else:
        print(_summary(plan, is_dry_run=False) + _told_ways(fetched))


def question(plan: Plan) -> str:
    """What is asked before it is done."""
    removed = sum(item.kind == "remove" for item in plan.items)
    return (
        f"Bring this machine to {plan.name}: {len(plan.items)} paths differ, "
        f"{removed} of them will be removed (--dry-run lists them). Go on?"
    )


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


def _as_data(
    plan: Plan, update: Update, fetched: Sequence[Fetched], *, is_dry_run: bool
) -> dict[str, object]:
    return {
        "client": update.client,
        "image": update.image,
        "version": plan.version,
        "captured": update.captured,
        "overrides": list(update.overrides),
        "dry_run": is_dry_run,
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
