"""Questions and progress on a terminal.

Stage: none; runs on clients (Python 3.9). `si.cli.command.confirm` is the server's.
"""

from __future__ import annotations

import sys
import time

from si.errors import NotConfirmed


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is changed. Raises NotConfirmed on no, or without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise NotConfirmed(f"not confirmed: {question}", hint="answer beforehand with --yes")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise NotConfirmed("not confirmed, nothing was changed")


class Progress:
    """`37/120 done` on one line of a terminal; silent where there is none."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._shown = 0.0
        self._is_terminal = sys.stderr.isatty()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if self._is_terminal and time.monotonic() - self._shown > 0.2:
            self._shown = time.monotonic()
            sys.stderr.write(f"\r{min(self._done, self._total)}/{self._total} paths done")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away again."""
        if self._is_terminal and self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
