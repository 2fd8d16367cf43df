"""A master script says nothing that the server and BOEL do not know."""

from __future__ import annotations

import re
from pathlib import Path

from si.monitor.state import SERVER_PHASES, Phase
from si.script.steps import PhaseName, PostInstall

FINISH = Path(__file__).parents[3] / "boel-initrd/lib/finish.sh"


def test_the_server_knows_every_phase_of_a_script() -> None:
    known = [phase.value for phase in Phase if phase not in SERVER_PHASES]
    announced = [phase.value for phase in PhaseName]
    assert [phase for phase in known if phase in announced] == announced


def test_boel_knows_every_way_to_end() -> None:
    (known,) = re.findall(r"^ +(\w+(?: \| \w+)+)\) ;;$", FINISH.read_text(), re.MULTILINE)
    assert set(known.split(" | ")) == set(PostInstall)
