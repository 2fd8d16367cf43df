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


class Listing:
    """A directory that is being walked through. prefix: its path with `/`; place: where that is;
    at: which of the names, in their order, comes next."""

    __slots__ = ("at", "names", "place", "prefix")

    def __init__(self, top: bytes, folder: bytes) -> None:
        self.prefix = folder + b"/"
        self.place = top + self.prefix
        try:
            self.names = sorted(os.listdir(self.place))  # noqa: PTH208 - bytes
        except FileNotFoundError:
            self.names = []
        self.at = 0


class LiveTree(Iterator[Live]):
    """Every path of the tree at `top` (b"" for the machine's own), the top itself as b"/".

    Sockets are passed over, for no image has any; so is what vanishes meanwhile. Raises OSError.
    """

    def __init__(self, top: bytes, protection: Protection) -> None:
        self._top = top
        self._protection = protection
        self._root: Live | None = Live(b"/", os.lstat(top or b"/"), is_folder=True, rule=None)
        self._listings: list[Listing] = []
        self._told: Live | None = None
        """The path that was given last, while it is not known whether it will be looked into."""

    def __next__(self) -> Live:
        live, self._root = self._root, None
        while live is None:
            listing = self.listing()
            if listing is None:
                raise StopIteration
            listing.at += 1
            live = self._look_at(listing, listing.names[listing.at - 1])
        self._told = live
        return live

    def listing(self) -> Listing | None:
        """The directory that the next path stands in; None after the last path. Who knows what the
        next names are may pass over them there."""
        told, self._told = self._told, None
        if told is not None and told.is_folder and not told.is_left_out:
            self._listings.append(Listing(self._top, b"" if told.path == b"/" else told.path))
        while self._listings and self._listings[-1].at >= len(self._listings[-1].names):
            self._listings.pop()
        return self._listings[-1] if self._listings else None

    def _look_at(self, listing: Listing, name: bytes) -> Live | None:
        try:
            about = os.lstat(listing.place + name)
        except FileNotFoundError:
            return None
        kind = stat.S_IFMT(about.st_mode)
        if kind == stat.S_IFSOCK:
            return None
        path, is_folder = listing.prefix + name, kind == stat.S_IFDIR
        rules = self._protection.rules_in(listing.prefix[:-1])
        return Live(path, about, is_folder=is_folder, rule=rules.decide(path, is_folder=is_folder))
