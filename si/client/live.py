"""The tree of this machine, path by path in the order of a manifest.

Stage 8, effects: reads; runs on clients (Python 3.9). Links are not followed, and what is in a
protected directory is not looked at. Bounded memory: one directory's names at a time and depth.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from si.client.rules import Protection, Rule


class Live:
    """A path that is there. rule: what protects it. is_left_out: set it, and what is in this
    directory is not looked at."""

    __slots__ = ("about", "is_folder", "is_left_out", "path", "rule")

    def __init__(
        self, path: bytes, about: os.stat_result, *, is_folder: bool, rule: Rule | None
    ) -> None:
        self.path = path
        self.about = about
        self.is_folder = is_folder
        self.rule = rule
        self.is_left_out = rule is not None


def walk_live(top: bytes, protection: Protection) -> Iterator[Live]:
    """Every path of the tree at `top` (b"" for the machine's own), the top itself as b"/".

    Sockets are passed over, for no image has any; so is what vanishes meanwhile. Raises OSError.
    """
    root = Live(b"/", os.lstat(top or b"/"), is_folder=True, rule=None)
    yield root
    todo = [_look_into(top, b"", protection)]
    while todo:
        for live in todo[-1]:
            yield live
            if live.is_folder and not live.is_left_out:
                todo.append(_look_into(top, live.path, protection))
                break
        else:
            todo.pop()


def _look_into(top: bytes, folder: bytes, protection: Protection) -> Iterator[Live]:
    try:
        with os.scandir(top + folder + b"/") as entries:
            listed = sorted(entries, key=_name)
    except FileNotFoundError:
        return
    decide = protection.rules_in(folder).decide
    for entry in listed:
        try:
            about = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        kind = stat.S_IFMT(about.st_mode)
        if kind == stat.S_IFSOCK:
            continue
        path, is_folder = folder + b"/" + entry.name, kind == stat.S_IFDIR
        yield Live(path, about, is_folder=is_folder, rule=decide(path, is_folder=is_folder))


def _name(entry: os.DirEntry[bytes]) -> bytes:
    return entry.name
