"""si-scaling(7) shows what the simulator says."""

from __future__ import annotations

from scripts.simulate.__main__ import PAGE
from scripts.simulate.costs import load_costs
from scripts.simulate.fit import Fitted, load_bench
from scripts.simulate.report import blocks, fill_page
from scripts.simulate.runs import (
    AT_ONCE,
    COUNTS,
    LOADS,
    TRACKED_UPLINKS,
    load_runs,
    run_growth,
    run_queue,
    run_tracked,
)


def test_the_page_shows_the_runs(fitted: Fitted) -> None:
    bench = load_bench()
    page = PAGE.read_text()
    found = blocks(bench, fitted, load_costs(), load_runs())
    for name in found:
        assert f".. simulated: {name}\n" in page
    assert fill_page(page, found) == page
    assert fill_page(page, {name: ["-"] for name in found}).count("\n::\n\n    -\n") == len(found)


def test_the_runs_are_those_of_this_model(fitted: Fitted) -> None:
    """All of them take minutes, which `make simulate` takes; here are those of seconds."""
    runs = load_runs()
    assert [(one.pack_gb, one.clients) for one in runs.growth] == [
        (int(load.pack / 1e9), clients) for load in LOADS for clients in COUNTS
    ]
    costs = load_costs()
    small = [one for one in runs.growth if one.clients <= 40]
    assert small == [
        run_growth(fitted, costs, load, clients)
        for load in LOADS for clients in COUNTS if clients <= 40
    ]  # fmt: skip
    assert runs.queue == tuple(run_queue(at_once) for at_once in AT_ONCE)
    assert runs.tracked[0] == run_tracked(fitted, TRACKED_UPLINKS[0])
