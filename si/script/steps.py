"""What a master script does, as values, before it becomes text.

Stage 5. Pure. `si.script.plan` makes steps of a layout, `si.script.render` writes them as POSIX
shell. A word is a plain text, or a tuple of texts and variables; only the renderer knows quoting.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PhaseName(StrEnum):
    """The phases that a master script announces, in their order."""

    CHECK = "check"
    PRE_INSTALL = "pre-install"
    PARTITION = "partition"
    FORMAT = "format"
    MOUNT = "mount"
    IMAGE = "image"
    OVERRIDES = "overrides"
    CONFIGURE = "configure"
    BOOTLOADER = "bootloader"
    POST_INSTALL = "post-install"
    BOOT_CHECK = "boot-check"
    UNMOUNT = "unmount"
    WRITTEN = "written"


class PostInstall(StrEnum):
    """What a client does when its disk is written."""

    REBOOT = "reboot"
    POWEROFF = "poweroff"
    SHELL = "shell"


@dataclass(frozen=True, slots=True)
class Variable:
    """The value of a shell variable; `trim` is a parameter expansion after its name ("%-*")."""

    name: str
    trim: str = ""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The value of an arithmetic expression of numbers and variables."""

    expression: str


Part = str | Variable | Arithmetic
Word = str | tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """The beginning of a phase."""

    name: PhaseName


@dataclass(frozen=True, slots=True)
class Comment:
    """A remark for those who read the script; one line an item."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Require:
    """Variables without which nothing may be written."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its words; each of `subcommands` goes on a line of its own."""

    words: tuple[Word, ...]
    subcommands: tuple[tuple[Word, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A function of BOEL and its words."""

    function: str
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Let:
    """A variable that takes a text."""

    variable: str
    value: str


@dataclass(frozen=True, slots=True)
class Capture:
    """A variable that takes the output of a program."""

    variable: str
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Assign:
    """A variable that takes the value of an expression."""

    variable: str
    value: Arithmetic


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A file with these lines, in which variables are replaced."""

    path: str
    lines: tuple[Word, ...]


Step = Phase | Comment | Require | Command | Call | Let | Capture | Assign | Heredoc
