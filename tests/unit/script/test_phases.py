"""A master script says nothing that the server and BOEL do not know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from si.layout.model import DiskRule, Pick
from si.monitor.state import SERVER_PHASES, Phase
from si.script.steps import PhaseName, PostInstall

LIB = Path(__file__).parents[3] / "boel-initrd/lib"


def test_the_server_knows_every_phase_of_a_script() -> None:
    known = [phase.value for phase in Phase if phase not in SERVER_PHASES]
    announced = [phase.value for phase in PhaseName]
    assert [phase for phase in known if phase in announced] == announced


def test_boel_knows_every_way_to_end() -> None:
    text = (LIB / "finish.sh").read_text()
    (known,) = re.findall(r"^ +(\w+(?: \| \w+)+)\) ;;$", text, re.MULTILINE)
    assert set(known.split(" | ")) == set(PostInstall)


@pytest.mark.parametrize("rotational", [True, False])
def test_boel_knows_every_word_of_a_rule(rotational: bool) -> None:
    text = (LIB / "choose.sh").read_text()
    patterns = re.findall(r"^ +([\w=*]+(?: \| \w+)*)\) ", text, re.MULTILINE)
    known = [word for pattern in patterns for word in pattern.split(" | ")]
    for pick in Pick:
        words = DiskRule(pick, rotational, 5, "boot").words
        assert len(words) == 4
        assert all(re.sub("=[0-9]+$", "=*", word) in known for word in words)
