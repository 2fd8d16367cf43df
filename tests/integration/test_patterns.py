"""Patterns against rsync itself, on random trees and rules."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from si.client.rules import Protection, Rule

NAMES = (b"a", b"b", b"ab", b"a.b", b"-", b"]", b"[a]", b"a*b", b"a\\b", b"\\", b"B", b"a b",
         b"\xff", b"new\nline", b"7")  # fmt: skip
PIECES = st.sampled_from([
    b"a", b"b", b"B", b"ab", b".", b"-", b"]", b" ", b"7", b"\xff", b"/", b"/", b"?", b"*", b"*",
    b"**", b"***", b"\\", b"\\*", b"\\\\", b"\\[", b"\\a", b"\\/", b"[", b"[[:", b"[[:]", b"[[:a]",
    b"[ab]", b"[!a]", b"[^a]", b"[a-c]", b"[]]", b"[]-a]", b"[a-]", b"[a-\\c]", b"[\\]a]", b"[Z-a]",
    b"[z-a]", b"[a/b]", b"[!/]", b"[\xfe-\xff]", b"[[:alpha:]]", b"[![:digit:]]", b"[[:nothing:]]",
    b"[[:alpha:]-z]",
])  # fmt: skip
PATTERNS = st.lists(PIECES, min_size=1, max_size=6).map(b"".join)
RULES = st.lists(st.tuples(st.sampled_from("-+-"), PATTERNS), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A folder with `tree`, which has every name in every place, four deep, and `empty`."""
    top = tmp_path_factory.mktemp("patterns")
    (top / "empty").mkdir()
    chance = random.Random(11)
    level = [top / "tree"]
    for keep in (15, 60, 120, 120):
        below = [folder / os.fsdecode(name) for folder in level for name in NAMES]
        chance.shuffle(below)
        for path in level:
            path.mkdir()
        level = below[:keep]
        for path in below[keep : 2 * keep]:
            path.touch()
    return os.fsencode(top)


def ask_rsync(top: bytes, rules: list[tuple[str, bytes]]) -> set[bytes]:
    """The paths that rsync would send, from the top, folders without their slash."""
    with tempfile.NamedTemporaryFile() as file:
        text = b"".join(sign.encode() + b" " + pattern + b"\0" for sign, pattern in rules)
        file.write(text)
        file.flush()
        done = subprocess.run(
            ["rsync", "-r", "--links", "--out-format=%n", "--from0", "-8", "--dry-run",
             f"--filter=merge {file.name}", top + b"/tree/", top + b"/empty/"],
            capture_output=True, check=True,
        )  # fmt: skip
    return {line.rstrip(b"/") for line in done.stdout.splitlines()} - {b"."}


def walk(top: bytes, protection: Protection, folder: bytes = b"") -> Iterator[bytes]:
    """The paths that no rule protects."""
    for entry in os.scandir(top + folder + b"/"):
        path, is_folder = folder + b"/" + entry.name, entry.is_dir(follow_symlinks=False)
        rule = protection.rules_in(folder).decide(path, is_folder=is_folder)
        if rule is None:
            yield path
            if is_folder:
                yield from walk(top, protection, path)


def escaped(path: bytes) -> bytes:
    """As rsync writes a name with a control character."""
    return path[1:].replace(b"\n", b"\\#012")


@given(rules=RULES)
@settings(max_examples=100, deadline=None)
def test_what_is_protected_is_what_rsync_leaves_out(
    top: bytes, rules: list[tuple[str, bytes]]
) -> None:
    ours = Protection(
        Rule(sign == "-", os.fsdecode(pattern), str(number))
        for number, (sign, pattern) in enumerate(rules)
    )
    assert {escaped(path) for path in walk(top + b"/tree", ours)} == ask_rsync(top, rules)
