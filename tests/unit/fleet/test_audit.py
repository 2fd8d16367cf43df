"""What audits of many clients say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.fleet.audit import (
    State,
    audit_command,
    failed,
    read_audit,
    render_sum,
    render_table,
    stranger,
)
from si.fleet.outcome import Outcome


def answer(code: int = 0, **changed: object) -> Outcome:
    told = {
        "client": "web1",
        "image": "web",
        "version": 3,
        "overrides": [],
        "summary": {"differ": 0, "protected": 2},
    }
    return Outcome("web1", code, json.dumps({**told, **changed}).encode())


def test_clean_and_drift() -> None:
    row = read_audit(answer())
    assert (row.state, row.version, row.drift, row.protected) == (State.CLEAN, "web@3", 0, 2)
    row = read_audit(answer(4, summary={"differ": 2, "protected": 0, "mode": 2, "owner": 1}))
    assert (row.state, row.drift, row.classes) == (State.DRIFT, 2, {"mode": 2, "owner": 1})
    assert row.detail == "2 mode, 1 owner"


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome("web1", 255, b"", b"Connection refused"), State.UNREACHABLE),
        (Outcome("web1", None), State.FAILED),
        (Outcome("web1", 127, b"", b"sh: si-audit: not found"), State.STRANGER),
        (Outcome("web1", 20, b"", b"no client of that name"), State.STRANGER),
        (Outcome("web1", 10, b"", b"no server installed this machine"), State.STRANGER),
        (Outcome("web1", 33, b"", b"the server does not answer"), State.FAILED),
        (answer(client="web2"), State.STRANGER),
        (answer(4), State.FAILED),
        (answer(0, summary={"differ": 1}), State.FAILED),
        (answer(0, summary={}), State.FAILED),
        (answer(4, summary={"differ": -1}), State.FAILED),
        (answer(version=0), State.FAILED),
        (answer(image="../x"), State.FAILED),
        (Outcome("web1", 0, b""), State.FAILED),
        (Outcome("web1", 0, b"[" * 100_000), State.FAILED),
    ],
)
def test_other_states(outcome: Outcome, state: State) -> None:
    row = read_audit(outcome)
    assert (row.state, row.drift) == (state, None)
    assert row.detail


@given(st.binary() | st.text().map(str.encode), st.sampled_from([0, 4]))
def test_any_answer_makes_a_line_fit_for_a_terminal(data: bytes, code: int) -> None:
    table = render_table([read_audit(Outcome("web1", code, data)), stranger("web2")])
    assert len(table.splitlines()) == 3
    assert not any(ord(c) < 32 for c in table.replace("\n", ""))


def test_sums() -> None:
    rows = [read_audit(answer()), stranger("x"), stranger("y")]
    assert render_sum(rows) == "1 clean, 2 not a client of ours"
    assert failed(rows) == ("x", "y")


def test_what_is_asked() -> None:
    line = audit_command(image="web@2", excludes=["/a b"], with_contents=True)
    assert line == "si-audit --json --summary --quiet --image web@2 '--exclude=/a b' --full"
