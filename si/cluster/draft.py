"""What a cluster document says, before it is known to make sense.

Stage: none. Pure. Both dialects (`document`, `ancestor`) are read into a `Draft`, which
`si.cluster.assemble` checks as a whole and turns into a `Cluster`. Faults are collected, never
raised, so that one run shows them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface
from typing import TypeVar

from si.cluster.model import Loader, Network, normal_mac
from si.cluster.ranges import expand_range
from si.errors import NameInvalid, Problem, SIError
from si.names_check import check_name

Value = TypeVar("Value")


@dataclass(slots=True)
class Choices:
    """What defaults, a group or a client may say about an install."""

    image: str | None = None
    layout: str | None = None
    flavor: str | None = None
    loader: Loader | None = None


@dataclass(slots=True)
class GroupDraft:
    """One group as written."""

    name: str
    line: int
    priority: int | None = None
    choices: Choices = field(default_factory=Choices)
    overrides: list[str] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ClientDraft:
    """One client as written; an address that only a group's ip-range gives counts as written."""

    name: str
    line: int
    mac: str | None = None
    ip: IPv4Address | None = None
    groups: list[str] = field(default_factory=list)
    choices: Choices = field(default_factory=Choices)
    network: Network = field(default_factory=Network)


@dataclass(slots=True)
class Draft:
    """One document as written, and what is wrong with it so far."""

    file: str
    all_name: str = "all"
    defaults: Choices = field(default_factory=Choices)
    overrides: list[str] = field(default_factory=list)
    groups: list[GroupDraft] = field(default_factory=list)
    clients: list[ClientDraft] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, line: int, message: str) -> None:
        """Note a fault."""
        self.problems.append(Problem(self.file, line, message))

    def name(self, kind: str, text: str | None, line: int) -> str | None:
        """A fit name, or None with the fault noted; None for None."""
        if text is None:
            return None
        try:
            return check_name(kind, text.strip())
        except NameInvalid as error:
            self.problem(line, f"{error.message}: {error.hint}")
            return None

    def mac(self, text: str | None, line: int) -> str | None:
        """A MAC in normal form."""
        if text is None:
            return None
        normal = normal_mac(text)
        if normal is None:
            self.problem(line, f"{text!r} is no MAC address: write it like 52:54:00:12:34:56")
        elif int(normal[:2], 16) & 1:
            self.problem(line, f"{text!r} is a multicast address, which no network card has")
        return normal

    def address(self, what: str, text: str | None, line: int) -> IPv4Address | None:
        """An IPv4 address."""
        return self._parse(IPv4Address, f"{what} like 10.77.0.21", text, line)

    def interface(self, text: str | None, line: int) -> IPv4Interface | None:
        """An IPv4 address with its prefix length."""
        if text is not None and "/" not in text:
            self.problem(line, f"address {text!r} lacks its prefix length: write {text}/24")
            return None
        return self._parse(IPv4Interface, "address with prefix like 10.77.0.21/24", text, line)

    def number(self, what: str, text: str | None, line: int) -> int | None:
        """A non-negative whole number of at most 9 digits."""
        if text is None:
            return None
        digits = text.strip()
        if digits.isascii() and digits.isdigit() and len(digits) <= 9:
            return int(digits)
        self.problem(line, f"{what} {text!r} is not a whole number from 0 to 999999999")
        return None

    def range(self, text: str, line: int) -> tuple[str, ...]:
        """Names of a range without groups in it, for groups do not nest.

        An empty text is a fault that the check of the structure notes.
        """
        if not text:
            return ()
        try:
            return expand_range(text)
        except SIError as error:
            hint = f": {error.hint}" if isinstance(error, NameInvalid) else ""
            self.problem(line, error.message + hint)
            return ()

    def _parse(
        self, parse: Callable[[str], Value], what: str, text: str | None, line: int
    ) -> Value | None:
        if text is None:
            return None
        try:
            return parse(text.strip())
        except ValueError:
            self.problem(line, f"{text!r} is no {what}")
            return None
