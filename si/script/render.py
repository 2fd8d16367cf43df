"""Steps as the text of a POSIX shell script.

Stage 5. Pure. Every word passes through `quote`, so no text of a layout can become shell syntax.
Long commands stand on several lines so that a person can read them and `grep parted` shows what
will happen.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from si.script.steps import (
    Arithmetic,
    Assign,
    Call,
    Capture,
    Command,
    Comment,
    Heredoc,
    Let,
    Part,
    Phase,
    Require,
    Step,
    Variable,
    Word,
)

_SPECIAL_IN_QUOTES = re.compile(r'[\\"$`]')
_SPECIAL_IN_HEREDOC = re.compile(r"[\\$`]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME_GOES_ON = re.compile(r"[A-Za-z0-9_]")
_EXPRESSION = re.compile(r"[A-Za-z0-9_+*/()<?: -]+")


def render_steps(steps: Iterable[Step]) -> str:
    """The lines of `steps`, ending in a newline; an empty line before each phase."""
    return "".join(_render(step) for step in steps)


def quote(word: Word) -> str:
    """The one place where a word becomes shell: the shell reads back exactly this word."""
    if isinstance(word, str):
        return shlex.quote(word)
    return f'"{_parts(word, _SPECIAL_IN_QUOTES)}"'


def _parts(parts: tuple[Part, ...], special: re.Pattern[str]) -> str:
    texts = [_part(part, special) for part in parts]
    for number, (part, after) in enumerate(zip(parts, [*texts[1:], ""], strict=True)):
        # "${NAME}" only where "$NAME" would run into what follows.
        if isinstance(part, Variable) and not part.trim and not _NAME_GOES_ON.match(after):
            texts[number] = f"${part.name}"
    return "".join(texts)


def _part(part: Part, special: re.Pattern[str]) -> str:
    match part:
        case str():
            return special.sub(r"\\\g<0>", part)
        case Variable(name, trim):
            return "${" + _name(name) + trim + "}"
        case Arithmetic():
            return _arithmetic(part)


def _arithmetic(value: Arithmetic) -> str:
    if _EXPRESSION.fullmatch(value.expression) is None:
        raise ValueError(f"not an expression: {value.expression!r}")
    return f"$(({value.expression}))"


def _name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"not a name of a variable: {name!r}")
    return name


def _words(words: Iterable[Word]) -> str:
    return " ".join(quote(word) for word in words)


def _render(step: Step) -> str:
    match step:
        case Phase(name):
            return f"\nphase {name}\n"
        case Comment():
            return "".join(f"# {_printable(line)}".rstrip() + "\n" for line in step.lines)
        case Require():
            return "".join(f': "${{{_name(name)}:?}}"\n' for name in step.names)
        case Let() | Capture() | Assign():
            return _assignment(step)
        case Heredoc():
            return _heredoc(step)
        case Command() | Call():
            return _command(step)


def _command(step: Command | Call) -> str:
    if isinstance(step, Call):
        return " ".join(filter(None, (_name(step.function), _words(step.words)))) + "\n"
    lines = [_words(step.words), *(_words(line) for line in step.subcommands)]
    return " \\\n    ".join(lines) + "\n"


def _assignment(step: Let | Capture | Assign) -> str:
    if isinstance(step, Let):
        return f"{_name(step.variable)}={quote(step.value)}\n"
    if isinstance(step, Capture):
        return f"{_name(step.variable)}=$({_words(step.words)})\n"
    return f"{_name(step.variable)}={_arithmetic(step.value)}\n"


def _heredoc(step: Heredoc) -> str:
    lines = [_heredoc_line(line) for line in step.lines]
    end = "EOF"
    while end in lines:
        end += "_"
    body = "".join(f"{line}\n" for line in lines)
    return f"cat >{quote(step.path)} <<{end}\n{body}{end}\n"


def _heredoc_line(line: Word) -> str:
    parts = (line,) if isinstance(line, str) else line
    text = _parts(parts, _SPECIAL_IN_HEREDOC)
    if "\n" in text:
        raise ValueError(f"a line of a file holds a line break: {text!r}")
    return text


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
