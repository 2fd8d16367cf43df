"""How a command ended on a client, in words.

Stage 8, running clients. Pure. ssh has one exit code, 255, for all that is wrong with the way to a
client; which it was is read from what it says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from si.terminal import one_line

REASON_WIDTH = 100
_SSH_FAILED = 255
_RSYNC_CUT_OFF = 12

_WAYS = (
    (r"REMOTE HOST IDENTIFICATION HAS CHANGED", "its host key is another than the known one"),
    (r"Host key verification failed|key is known for", "its host key is not known"),
    (r"Permission denied|Too many authentication failures", "it does not let us in"),
    (r"Connection refused", "it refuses connections"),
    (r"Could not resolve hostname", "its name has no address"),
    (r"[Tt]imed out|Timeout, server", "it does not answer"),
    (r"No route to host|Network is unreachable", "there is no way to it"),
    (r"Connection (closed|reset)|kex_exchange_identification|banner exchange|Broken pipe",
     "the connection broke"),
)  # fmt: skip
_KEY_REASONS = frozenset(reason for _, reason in _WAYS[:2])
KEY_HINT = (
    "compare the key with the client's console; ssh-keygen -R NAME forgets the old one, "
    "and ssh_config(5) says which files hold known keys"
)


class Ending(StrEnum):
    """The kinds of end."""

    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One client's end. exit_code: None when its time was up; dropped: bytes of output that were
    too many to keep."""

    client: str
    exit_code: int | None
    stdout: bytes = b""
    stderr: bytes = b""
    dropped: int = 0

    @property
    def ending(self) -> Ending:
        """Which kind of end it was; DONE for exit code 0 alone."""
        if self.exit_code is None:
            return Ending.TIMED_OUT
        if self.exit_code == 0:
            return Ending.DONE
        return Ending.FAILED if self._way() is None else Ending.UNREACHABLE

    @property
    def reason(self) -> str:
        """What went wrong, on one line that is fit for a terminal; empty when nothing did."""
        if self.exit_code is None:
            return "it did not end in time"
        if self.exit_code == 0:
            return ""
        return self._way() or f"exit code {self.exit_code}"

    @property
    def account(self) -> str:
        """The reason, with the client's own last words where those say more."""
        said = self.last_words if self.ending in (Ending.FAILED, Ending.TIMED_OUT) else ""
        return f"{self.reason}: {said}" if said else self.reason

    @property
    def is_key_refused(self) -> bool:
        """Whether its host key is the reason."""
        return self.exit_code == _SSH_FAILED and self._way() in _KEY_REASONS

    @property
    def last_words(self) -> str:
        """The last line that says anything, of standard error if there is one there; hints are
        for who stands before that client."""
        for stream in (self.stderr, self.stdout):
            lines = stream.decode("utf-8", "backslashreplace").splitlines()
            told = [line for line in lines if line.strip() and not line.startswith("hint: ")]
            if told:
                return one_line(told[-1], REASON_WIDTH)
        return ""

    def _way(self) -> str | None:
        if self.exit_code != _SSH_FAILED:
            return None
        said = self.stderr.decode("utf-8", "replace")
        return next((reason for pattern, reason in _WAYS if re.search(pattern, said)), None)


def of_copy(outcome: Outcome) -> Outcome:
    """The end of an rsync over ssh, which turns ssh's 255 into its own 12, as that of its ssh."""
    if outcome.exit_code != _RSYNC_CUT_OFF:
        return outcome
    of_ssh = replace(outcome, exit_code=_SSH_FAILED)
    return of_ssh if of_ssh.ending is Ending.UNREACHABLE else outcome
