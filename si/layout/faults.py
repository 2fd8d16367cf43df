"""Collects what is wrong with a document, and reads attributes so that nothing is overlooked.

Stage 4. Pure. A document is read to its end whatever is found on the way, so that an
administrator sees all problems at once. Problems stop a document, warnings do not.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field

from lxml import etree

from si.errors import Problem

_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(slots=True)
class Faults:
    """Problems and warnings of one document, in the order found."""

    file: str
    strict: bool
    """Whether the dialect knows all it may meet; the classic one ignores what it does not know."""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def problem(self, line: int, message: str) -> None:
        """Note what must be put right."""
        self.problems.append(Problem(self.file, line, message))

    def warning(self, line: int, message: str) -> None:
        """Note what works, but not as one may think."""
        self.warnings.append(Problem(self.file, line, message))

    def unknown(self, line: int, message: str) -> None:
        """Note something unknown: a problem, in the classic dialect a warning."""
        if self.strict:
            self.problem(line, message)
        else:
            self.warning(line, f"ignored: {message}")


class Attributes:
    """The attributes of one element, taken out one by one."""

    def __init__(self, element: etree._Element, faults: Faults) -> None:
        self._left = {str(name): str(value) for name, value in element.attrib.items()}
        self._known: list[str] = []
        self._faults = faults
        self.tag = str(element.tag)
        self.line = line_of(element)

    def problem(self, message: str) -> None:
        """Note a problem of this element."""
        self._faults.problem(self.line, message)

    def warning(self, message: str) -> None:
        """Note a warning about this element."""
        self._faults.warning(self.line, message)

    def raw(self, name: str) -> str | None:
        """The attribute as it stands; None without it."""
        self._known.append(name)
        return self._left.pop(name, None)

    def text(self, name: str) -> str | None:
        """The attribute without blanks around it; None without it, or when it is empty."""
        value = self.raw(name)
        return (value.strip() or None) if value is not None else None

    def required(self, name: str, example: str) -> str | None:
        """The same for an attribute that must be there; None after noting the problem."""
        value = self.text(name)
        if value is None:
            self.problem(f'<{self.tag}> needs {name}="...", for example {name}="{example}"')
        return value

    def number(self, name: str, *, least: int = 0, most: int | None = None) -> int | None:
        """The attribute as a whole number; None without it or after noting the problem."""
        value = self.text(name)
        if value is None:
            return None
        number = int(value) if _NUMBER.fullmatch(value) else None
        if number is not None and least <= number and (most is None or number <= most):
            return number
        self.problem(f'{name}="{value}" is no whole number of at least {least}')
        return None

    def yes(self, name: str) -> bool | None:
        """The attribute as yes or no; None without it or after noting the problem."""
        value = self.text(name)
        if value is not None and value.lower() not in ("yes", "no"):
            self.problem(f'{name}="{value}" is neither yes nor no')
            return None
        return None if value is None else value.lower() == "yes"

    def finish(self) -> None:
        """Note every attribute that nobody asked for."""
        for name in self._left:
            near = difflib.get_close_matches(name, self._known)
            known = ", ".join(sorted(self._known))
            instead = f"did you mean {near[0]}?" if near else f"it may have {known}"
            self._faults.unknown(self.line, f"<{self.tag}> has no attribute {name}: {instead}")


def line_of(element: etree._Element) -> int:
    """Line of the document on which the element begins."""
    line: object = element.sourceline
    assert isinstance(line, int)  # as in everything that was read
    return line
