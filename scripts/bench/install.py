"""What one install costs beside firmware, kernel boot and the transfer of the image."""

from __future__ import annotations

import json
import re
from pathlib import Path

from scripts.bench.row import Row
from scripts.lab.report import Report
from scripts.lab.scenario import Story
from scripts.lab.site import Site

CLIENT = "web1"
BOUND_S = 15


def install_rows(folder: Path) -> list[Row]:
    """Row install-share: from BOEL's first line to "written", without the phase "image"."""
    with Story(folder / "install", Report(), clients=(CLIENT,)) as story:
        story.play_install()
        share, total, image = _times(story.site)
    peer = f"of {total:.1f} s, image {image:.1f} s"
    return [Row("install-share", round(share, 2), "s", BOUND_S, peer, (round(share, 2),))]


def _times(site: Site) -> tuple[float, float, float]:
    """Seconds without the image, in all, and of the image, by the client's own clock."""
    events = site.var / f"clients/{CLIENT}/events.jsonl"
    told = [json.loads(line) for line in events.read_text().splitlines()]
    uptime = {event["phase"]: event["uptime_s"] for event in told if event["uptime_s"]}
    log = (site.var / f"clients/{CLIENT}/console.log").read_text(errors="replace")
    first = re.search(r"boel: \[([0-9.]+)\]", log)
    assert first is not None, "the install log has no line of BOEL"
    total = uptime["written"] - float(first.group(1))
    image = uptime["overrides"] - uptime["image"]
    return total - image, total, image
