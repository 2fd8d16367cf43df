"""The model against what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.simulate.costs import load_costs, read_curve
from scripts.simulate.fit import FITTED_ON, Fitted, Measured, fit, load_bench, predict

WITHIN = 0.15
BENCH = load_bench()


@pytest.mark.parametrize("clients", [8, 16])
def test_what_was_not_fitted_is_predicted(clients: int, fitted: Fitted) -> None:
    assert clients not in FITTED_ON
    measured = BENCH.row(clients)
    model = predict(BENCH, fitted, clients)
    assert model.torrent_s == pytest.approx(measured.torrent_s, rel=WITHIN)
    assert model.rsync_s == pytest.approx(measured.rsync_s, rel=WITHIN)
    assert model.sent_packs == pytest.approx(measured.sent_packs, rel=WITHIN)


def test_rows_that_are_not_fitted_change_nothing(fitted: Fitted) -> None:
    odd = tuple(
        row if row.clients in FITTED_ON else Measured(row.clients, 1.0, 1.0, 1.0)
        for row in BENCH.rows
    )
    assert fit(replace(BENCH, rows=odd)) == fitted


def test_slower_peers_are_fitted_as_slower(fitted: Fitted) -> None:
    slower = tuple(replace(row, torrent_s=2 * row.torrent_s) for row in BENCH.rows)
    habits = fit(replace(BENCH, rows=slower)).habits
    assert habits.overhead == pytest.approx(2 * fitted.habits.overhead)


def test_costs_between_the_measured_points() -> None:
    curve = [(100.0, 1.0), (1000.0, 10.0)]
    assert [read_curve(curve, at) for at in (0, 50, 100, 550, 1000, 2000)] == pytest.approx(
        [0, 0.5, 1, 5.5, 10, 20]
    )
    costs = load_costs()
    assert costs.join_s(10_000) > costs.install_s()
    assert costs.waiting_share(8000) > 2 * costs.waiting_share(4000)
