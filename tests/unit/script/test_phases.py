"""A master script announces only phases that the server takes, in the order it knows them."""

from __future__ import annotations

from si.monitor.state import SERVER_PHASES, Phase
from si.script.steps import PhaseName


def test_the_server_knows_every_phase_of_a_script() -> None:
    known = [phase.value for phase in Phase if phase not in SERVER_PHASES]
    announced = [phase.value for phase in PhaseName]
    assert [phase for phase in known if phase in announced] == announced
