"""How a command ended on a client."""

from __future__ import annotations

import pytest

from si.fleet.outcome import Ending, Outcome, of_copy

CHANGED = (
    b"@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n"
)


@pytest.mark.parametrize(
    ("code", "stderr", "ending", "reason"),
    [
        (0, b"warning\n", Ending.DONE, ""),
        (3, b"x", Ending.FAILED, "exit code 3"),
        (None, b"", Ending.TIMED_OUT, "it did not end in time"),
        (255, b"own words\n", Ending.FAILED, "exit code 255"),
        (1, b"Connection refused\n", Ending.FAILED, "exit code 1"),
        (255, CHANGED, Ending.UNREACHABLE, "its host key is another than the known one"),
        (
            255,
            b"Host key verification failed.\r\n",
            Ending.UNREACHABLE,
            "its host key is not known",
        ),
        (255, b"Permission denied (publickey).\n", Ending.UNREACHABLE, "it does not let us in"),
    ],
)
def test_kinds_of_end(code: int | None, stderr: bytes, ending: Ending, reason: str) -> None:
    outcome = Outcome("web1", code, b"", stderr)
    assert (outcome.ending, outcome.reason) == (ending, reason)


def test_only_host_keys_are_a_matter_of_host_keys() -> None:
    assert Outcome("a", 255, b"", CHANGED).is_key_refused
    assert not Outcome("a", 255, b"", b"Connection refused").is_key_refused
    assert not Outcome("a", 1, b"", CHANGED).is_key_refused


def test_last_words_are_the_error_and_not_the_hint() -> None:
    outcome = Outcome("a", 34, b"out\n", b"one\nsi-x: error: no\x1b[2J\n\nhint: do this\n")
    assert outcome.last_words == "si-x: error: no\\x1b[2J"
    assert outcome.account == "exit code 34: si-x: error: no\\x1b[2J"
    assert Outcome("a", 1, b"said\n").account == "exit code 1: said"
    assert Outcome("a", 1).account == "exit code 1"


def test_a_copy_that_ssh_cut_off() -> None:
    assert of_copy(Outcome("a", 12, b"", b"Connection refused")).ending is Ending.UNREACHABLE
    assert of_copy(Outcome("a", 12, b"", b"protocol")).exit_code == 12
    assert of_copy(Outcome("a", 23, b"", b"Connection refused")).exit_code == 23
