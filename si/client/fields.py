"""Typed fields out of JSON that another machine wrote.

Stage: none. Pure; runs on clients (Python 3.9). Used for facts.json on the server, client.json and
update.json on clients. Bounded size, every type checked, no characters that a document or a
terminal could choke on; a fault is one line that says which field of which source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Optional

from si.errors import SIError

Raw = dict[str, Any]

_LARGEST = 2**63 - 1
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def load_fields(text: str | bytes, source: str, *, error: type[SIError], max_bytes: int) -> Fields:
    """The fields of the JSON object `text`; `source` is named in errors.

    Raises `error` for what is larger than max_bytes, no JSON, no object, or holds a text with
    control characters or lone surrogates.
    """
    if len(text) > max_bytes:
        raise error(f"{source}: larger than {max_bytes} bytes")
    try:
        data = json.loads(text, parse_constant=_no_constant)
        unfit = next((found for found in _texts(data) if _UNFIT.search(found)), None)
    except (ValueError, RecursionError) as fault:
        raise error(f"{source}: no JSON: {fault}") from fault
    if unfit is not None:
        raise error(f"{source}: a text with control characters: {unfit[:60]!a}")
    return Fields(source, "", data, error)


def clean_text(text: str) -> str:
    """`text` with every character that `load_fields` refuses replaced by U+FFFD."""
    return _UNFIT.sub("\ufffd", text)


class Fields:
    """One JSON object, whose fields are taken out one by one with their types."""

    def __init__(self, source: str, where: str, value: Any, error: type[SIError]) -> None:
        self._source = source
        self._where = where
        self._error = error
        if not isinstance(value, dict):
            raise error(f"{source}: {where.rstrip('.') or 'the whole'} is not a JSON object")
        self._left: Raw = dict(value)

    def wrong(self, name: str, want: str) -> SIError:
        """The error that says what field `name` should have been."""
        return self._error(f"{self._source}: {self._where}{name} is not {want}")

    def take(self, name: str) -> Any:
        """The field, whatever it is."""
        if name not in self._left:
            raise self._error(f"{self._source}: {self._where}{name} is missing")
        return self._left.pop(name)

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return name in self._left

    def all_texts(self) -> dict[str, str]:
        """All fields of this object, each a text."""
        return {name: self.text(name) for name in list(self._left)}

    def text(self, name: str) -> str:
        """A text."""
        value = self.take(name)
        if not isinstance(value, str):
            raise self.wrong(name, "a text")
        return value

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """A text that is one of `allowed`."""
        value = self.text(name)
        if value not in allowed:
            raise self.wrong(name, "one of " + ", ".join(allowed))
        return value

    def integer(self, name: str, *, least: int = 0) -> int:
        """A whole number from `least` to what 64 bits hold."""
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(name, "a whole number")
        if not least <= value <= _LARGEST:
            raise self.wrong(name, f"between {least} and {_LARGEST}")
        return value

    def optional_integer(self, name: str, *, least: int = 0) -> Optional[int]:  # noqa: UP045
        """A whole number, or None where the field is null or missing."""
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return None
        return self.integer(name, least=least)

    def text_list(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.take(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(name, "a list of texts")
        return tuple(value)

    def optional_text_list(self, name: str) -> tuple[str, ...]:
        """A list of texts, empty where the field is missing."""
        return self.text_list(name) if name in self._left else ()

    def text_map(self, name: str) -> dict[str, str]:
        """An object whose fields are all texts."""
        value = self.take(name)
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise self.wrong(name, "an object of texts")
        return dict(value)

    def objects(self, name: str) -> list[Raw]:
        """A list of objects, raw."""
        value = self.take(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(name, "a list of objects")
        return list(value)

    def inner(self, name: str) -> Fields:
        """An object inside this one."""
        return Fields(self._source, f"{self._where}{name}.", self.take(name), self._error)

    def inner_list(self, name: str) -> Iterator[Fields]:
        """Each object of a list inside this one."""
        for number, value in enumerate(self.objects(name)):
            yield Fields(self._source, f"{self._where}{name}[{number}].", value, self._error)

    def finish(self) -> None:
        """Every field was taken, else an error names those that nobody knows."""
        if self._left:
            names = ", ".join(repr(name) for name in sorted(self._left)[:5])
            raise self._error(f"{self._source}: unknown field {self._where or ''}{names}")


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
