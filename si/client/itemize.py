"""Read what rsync says it changes, and say it for people.

Stage 8. Pure; runs on clients (Python 3.9). rsync is run with `--out-format=` `OUT_FORMAT`, `-8`
and prints one line an item: a mark, the eleven letters of `--itemize-changes`, the size, the name
with control characters as `\\#ooo` (see rsync(1)). Names stay bytes. An update is several passes
(image, then each override); `merge_passes` makes of them what will be different at the end.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OUT_FORMAT = "si:%i:%l:%n"

_MARK = b"si:"
_ESCAPE = re.compile(rb"\\#([0-7]{3})")
_SIMPLE = re.compile(r"[^\s\\\"'()]+")
_ATTRIBUTES = {3: "contents", 4: "times", 5: "mode", 6: "owner", 7: "group", 9: "acl", 10: "xattrs"}


@dataclass(frozen=True)
class Item:
    """One line of rsync: what it does with one path.

    kind: "add", "remove" or "change"; what: for a change, which attributes; is_data: contents
    travel; is_doubtful: they travel for a new time alone, and may be the same; size: bytes of
    the new contents.
    """

    path: bytes
    kind: str
    what: tuple[str, ...] = ()
    is_directory: bool = False
    is_data: bool = False
    is_doubtful: bool = False
    size: int = 0


def parse_item(line: bytes) -> Item | None:
    """One line of rsync's output; None for a line that is a message."""
    if not line.startswith(_MARK):
        return None
    code, _, rest = line[len(_MARK) :].partition(b":")
    size, _, name = rest.partition(b":")
    if len(code) != 11 or not size.isdigit():
        return None
    path = unescape_name(name)
    is_directory = path.endswith(b"/")
    path = path.rstrip(b"/") or b"."
    if code.startswith(b"*deleting"):
        return Item(path, "remove", is_directory=is_directory)
    letters = code.decode("ascii", "replace")
    is_data = letters.startswith((">f", "<f"))
    if letters[2:] == "+" * 9:
        return Item(path, "add", (), is_directory, is_data, size=int(size))
    is_doubtful = is_data and letters[2:4] == ".."
    return Item(path, "change", _what(letters), is_directory, is_data, is_doubtful, int(size))


def unescape_name(name: bytes) -> bytes:
    """The name that rsync printed."""
    return _ESCAPE.sub(lambda found: bytes([int(found.group(1), 8) & 0xFF]), name)


def merge_passes(
    passes: Sequence[Iterable[Item]], held: Sequence[frozenset[bytes]]
) -> tuple[Item, ...]:
    """What will be different after all passes, sorted by path.

    held[i] are the paths that pass i + 1 (an override) has; such a path is what the last pass
    that has it makes of it, so an earlier pass's word on it does not count - unless the path is
    not there yet, which every pass says alike. A path that is removed and made again changes its
    type.
    """
    merged: dict[bytes, Item] = {}
    removed: dict[bytes, Item] = {}
    for number, items in enumerate(passes):
        later = frozenset().union(*held[number:])
        for item in items:
            if item.kind == "remove":
                if item.path not in later:
                    removed[item.path] = item
            elif item.path not in later or item.kind == "add":
                merged[item.path] = item
    for path, item in removed.items():
        made = merged.get(path)
        merged[path] = item if made is None else _retyped(made)
    return tuple(merged[path] for path in sorted(merged))


def retype_existing(items: Iterable[Item], existing: frozenset[bytes]) -> tuple[Item, ...]:
    """rsync says "new" of what replaces a path of another type; `existing` tells those apart."""
    return tuple(
        _retyped(item) if item.kind == "add" and item.path in existing else item for item in items
    )


def describe_item(item: Item) -> str:
    """One line: `+ path`, `- path` or `~ path (contents, mode)`; a directory ends in `/`."""
    name = quote_path(b"/" + item.path if item.path != b"." else b"/")
    if item.is_directory and item.path != b".":
        name = name[:-1] + "/'" if name.startswith("$'") else name + "/"
    if item.kind == "add":
        return f"+ {name}"
    if item.kind == "remove":
        return f"- {name}"
    return f"~ {name} ({', '.join(item.what)})"


def quote_path(path: bytes) -> str:
    r"""A path for people on one line: as it is when it is plain, else in the shell's `$'...'`.

    Bytes that are no UTF-8 and control characters become `\xNN`, a newline `\n`.
    """
    text = path.decode("utf-8", "surrogateescape")
    if text.isprintable() and _SIMPLE.fullmatch(text):
        return text
    return "$'" + "".join(_quote_sign(sign) for sign in text) + "'"


def _quote_sign(sign: str) -> str:
    if sign in "\\'":
        return "\\" + sign
    if sign == "\n":
        return "\\n"
    if sign.isprintable():
        return sign
    return "".join(f"\\x{byte:02x}" for byte in sign.encode("utf-8", "surrogateescape"))


def _what(letters: str) -> tuple[str, ...]:
    """Names of the changed attributes in `YXcstpoguax`."""
    if letters.startswith("h"):
        return ("hard link",)
    found = [name for place, name in _ATTRIBUTES.items() if letters[place] not in ".? "]
    if letters[1] == "L" and letters[2] not in ". ":
        found.insert(0, "link target")
    elif letters[1] in "DS" and letters[0] == "c":
        found.insert(0, "device")
    elif letters[2] not in ". " or (letters[0] in "<>" and "contents" not in found):
        found.insert(0, "contents")
    return tuple(dict.fromkeys(found))


def _retyped(item: Item) -> Item:
    return dataclasses.replace(item, kind="change", what=("type",), is_doubtful=False)
