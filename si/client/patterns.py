"""rsync's patterns, as rsync 3 matches them.

Stage 8. Pure; runs on clients (Python 3.9). In: one pattern, without its `+` or `-`; out: does it
match a path? "INCLUDE/EXCLUDE PATTERN RULES" in rsync(1) says most of it; what it leaves open was
found by asking rsync, which the tests still do. Names are bytes, paths absolute within the tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property

_WILD = re.compile(rb"[*?\[]")
_CLASS = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb"\t ",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"!-~",
    b"lower": rb"a-z",
    b"print": rb" -~",
    b"punct": rb"!-/:-@\[-`{-~",
    b"space": rb"\t-\r ",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}
_NEVER = rb"(?!)"


class Pattern:
    """One pattern. is_folder_only: it matches directories alone. folder: the one directory in which
    all that it matches stands (`b""` for the top), None when that may be anywhere."""

    def __init__(self, text: bytes) -> None:
        self.is_folder_only = len(text) > 1 and text.endswith(b"/")
        body = text[:-1] if self.is_folder_only else text
        self.folder = _folder(body)
        self._ends_deep = body.endswith(b"***")
        self._body = body

    def matches(self, path: bytes, *, is_folder: bool) -> bool:
        """Whether it matches `path`, like b"/etc/motd"; the top itself is never matched."""
        if is_folder:
            # "folder/***" is the folder, too.
            return self._matches(path) or (self._ends_deep and self._matches(path + b"/"))
        return not self.is_folder_only and self._matches(path)

    @cached_property
    def _matches(self) -> Callable[[bytes], bool]:
        """Made when it is first asked: most patterns look where there is nothing to ask about."""
        return _matcher(self._body)


def _folder(body: bytes) -> bytes | None:
    folder, slash, name = body.rpartition(b"/")
    if not slash or not body.startswith(b"/") or b"**" in body or b"\\" in body:
        return None
    return None if _WILD.search(folder) or b"/" in _bracketed(name) else folder


def _bracketed(name: bytes) -> bytes:
    return name.partition(b"[")[2]


def _matcher(body: bytes) -> Callable[[bytes], bool]:
    """What decides about a path: by equality where there is no wildcard."""
    anchored = body.startswith(b"/")
    if not _WILD.search(body):
        if anchored:
            return lambda path: path == body
        return lambda path: path.endswith(b"/" + body)
    compiled = re.compile(_translate(body[1:] if anchored else body), re.DOTALL)
    if anchored:
        return lambda path: compiled.fullmatch(path, 1) is not None
    if b"**" not in body:
        return _last_parts(compiled, body.count(b"/") + 1)
    if body.startswith(b"**"):
        return lambda path: compiled.fullmatch(path) is not None
    anywhere = re.compile(b"(?:.*/)?(?:" + compiled.pattern + b")", re.DOTALL)
    return lambda path: anywhere.fullmatch(path, 1) is not None


def _last_parts(compiled: re.Pattern[bytes], count: int) -> Callable[[bytes], bool]:
    """A pattern with slashes, but no `**`, is held against as many parts of the path's end."""

    def matches(path: bytes) -> bool:
        parts = path.rsplit(b"/", count)
        return len(parts) > count and compiled.fullmatch(b"/".join(parts[1:])) is not None

    return matches


def _translate(body: bytes) -> bytes:
    """The regular expression of a pattern with wildcards."""
    out = []
    at = 0
    while at < len(body):
        sign = body[at : at + 1]
        at += 1
        if sign == b"*":
            first = at - 1
            while body[at : at + 1] == b"*":
                at += 1
            out.append(b"[^/]*" if at - first == 1 else b".*")
        elif sign == b"?":
            out.append(b"[^/]")
        elif sign == b"[":
            found, at = _translate_class(body, at)
            out.append(found)
        elif sign == b"\\":
            out.append(re.escape(body[at : at + 1]) or _NEVER)
            at += 1
        else:
            out.append(re.escape(sign))
    return b"".join(out)


def _translate_class(body: bytes, at: int) -> tuple[bytes, int]:
    """A class whose `[` stands before `at`: its expression, and where the pattern goes on."""
    members: set[int] = set()
    negated = body[at : at + 1] in (b"!", b"^")
    at += negated
    before: int | None = None
    first = True
    while first or body[at : at + 1] != b"]":
        first = False
        sign = body[at : at + 1]
        if not sign:
            return _NEVER, len(body)  # it never ends
        name = re.compile(rb"\[:([^]]*):\]").match(body, at)
        if name is not None:
            if name[1] not in _CLASS:
                return _NEVER, len(body)
            members.update(_bytes_of(_CLASS[name[1]]))
            at, before = name.end(), None
            continue
        is_range = sign == b"-" and before is not None and body[at + 1 : at + 2] not in (b"", b"]")
        at += is_range
        if body[at : at + 1] == b"\\":
            at += 1
        if at >= len(body):
            return _NEVER, at
        if is_range:
            assert before is not None
            members.update(range(before, body[at] + 1))
            before = None
        else:
            before = body[at]
            members.add(before)
        at += 1
    return _expression(members, negated=negated), at + 1


def _bytes_of(expression: bytes) -> list[int]:
    one = re.compile(b"[" + expression + b"]")
    return [number for number in range(128) if one.match(bytes((number,)))]


def _expression(members: set[int], *, negated: bool) -> bytes:
    """A class never matches a slash, whatever it says."""
    slash = ord("/")
    listed = members | {slash} if negated else members - {slash}
    if not listed:
        return _NEVER
    signs = b"".join(b"\\x%02x" % number for number in sorted(listed))
    return b"[" + (b"^" if negated else b"") + signs + b"]"
