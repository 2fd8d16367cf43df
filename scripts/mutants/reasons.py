"""Why some changes may stay unnoticed, as a person wrote it down.

The file has paragraphs: one or more changes, each `MODULE FUNCTION: BEFORE => AFTER` in a line,
and below them, indented, the reason. Lines that begin with # are for its reader.
"""

from __future__ import annotations


class ReasonsInvalid(Exception):
    """A line of the file is neither a change nor a part of a reason."""


def parse_reasons(text: str) -> dict[str, str]:
    """The reason of each change, by its line. Raises ReasonsInvalid."""
    reasons: dict[str, str] = {}
    changes: list[str] = []
    reason: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.startswith("#"):
            continue
        if line.startswith(" "):
            reason.append(line.strip())
            continue
        if reason or not line:
            if bool(changes) != bool(reason):
                raise ReasonsInvalid(f"line {number}: changes and a reason go together")
            reasons.update(dict.fromkeys(changes, " ".join(reason)))
            changes, reason = [], []
        if line and (line in reasons or line in changes or " => " not in line):
            raise ReasonsInvalid(f"line {number}: is no change, or stands here twice")
        changes += [line] if line else []
    return reasons
