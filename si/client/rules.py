"""Rules of what an update and an audit leave alone, each with where it comes from.

Stage 8. Pure; runs on clients (Python 3.9). In: lists and what the machine says of itself; out: for
each path the rule that protects it. The first rule that matches counts, and what a protected
directory holds is protected with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from si.client.patterns import Pattern
from si.errors import ConfigInvalid


class Rule(NamedTuple):
    """pattern: rsync's. is_protecting: `-`; else `+`, which no later rule can turn over. source:
    what says so, for people: `FILE:LINE`, or a few words."""

    is_protecting: bool
    pattern: str
    source: str

    @property
    def text(self) -> str:
        """As rsync reads it from a file of filter rules."""
        return f"{'-' if self.is_protecting else '+'} {self.pattern}"

    def __str__(self) -> str:
        return f"{self.pattern} ({self.source})"


class Held(NamedTuple):
    """A path that is protected: by which rule, and the directory or file that the rule names."""

    path: bytes
    rule: Rule


def parse_rules(text: str, source: str) -> tuple[Rule, ...]:
    """The rules of a list, as `numbered_lines` reads it."""
    return tuple(
        Rule(
            not line.startswith("+ "),
            line[2:] if line[:2] in ("- ", "+ ") else line,
            f"{source}:{number}",
        )
        for number, line in numbered_lines(text, source)
    )


def numbered_lines(text: str, source: str) -> Iterator[tuple[int, str]]:
    """(number, rule) of each line of a list; comments and empty lines are left out.

    `source` is named in errors. Raises ConfigInvalid for a line `!`, which would make rsync forget
    the built-in protections, for a NUL, and for a sign without a pattern.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        rule = line.rstrip("\r")
        if not rule.strip() or rule.startswith(("#", ";")):
            continue
        if rule.strip() == "!" or "\0" in rule or rule in ("- ", "+ "):
            raise ConfigInvalid(
                f"{source}:{number}: {rule!r} is not allowed",
                hint="one pattern a line, as in rsync's --exclude-from; '!' would switch off "
                "the protection of /proc, machine-id and the like",
            )
        yield number, rule


class _Compiled(NamedTuple):
    pattern: Pattern
    rule: Rule


class FolderRules:
    """The rules that can say something of what stands directly in one directory."""

    def __init__(self, rules: Iterable[_Compiled]) -> None:
        self._rules = tuple(rules)

    def decide(self, path: bytes, *, is_folder: bool) -> Rule | None:
        """The rule that protects `path`; None when nothing does."""
        for pattern, rule in self._rules:
            if pattern.matches(path, is_folder=is_folder):
                return rule if rule.is_protecting else None
        return None


class Protection:
    """Rules in their order, ready to be asked about many paths."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        compiled = [_Compiled(Pattern(os.fsencode(rule.pattern)), rule) for rule in rules]
        folders = {one.pattern.folder for one in compiled} - {None}
        # Nearly all rules say in which folder they look: no others have to be tried elsewhere.
        self._in = {
            folder: FolderRules(one for one in compiled if one.pattern.folder in (None, folder))
            for folder in folders
        }
        self._elsewhere = FolderRules(one for one in compiled if one.pattern.folder is None)

    def rules_in(self, folder: bytes) -> FolderRules:
        """The rules for what stands in `folder` (b"" for the top), where that is not protected."""
        return self._in.get(folder, self._elsewhere)

    def holder(self, path: bytes, *, is_folder: bool) -> Held | None:
        """What protects `path`, itself or by a directory above it; None when nothing does."""
        parts = path[1:].split(b"/")
        folder = b""
        for number, part in enumerate(parts, 1):
            here = folder + b"/" + part
            rule = self.rules_in(folder).decide(here, is_folder=is_folder or number < len(parts))
            if rule is not None:
                return Held(here, rule)
            folder = here
        return None
