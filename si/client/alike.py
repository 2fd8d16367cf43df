"""Pass over files that are just what the manifest says: most of a tree, and most of the time.

Stage 8, effects: reads; runs on clients (Python 3.9). One loop over the names of a directory and
the lines of the manifest takes a third less than `si.client.comparison`, which remembers what it
has seen. Whatever is not plainly alike is left to that, so nothing is decided here but that there
is nothing to decide.
"""

from __future__ import annotations

import os
import stat
from itertools import islice

from si.client.ahead import Ahead, Run
from si.client.differences import agrees
from si.client.live import Listing, LiveTree
from si.version.stream import Entries


def pass_alike(
    entries: Entries, live: LiveTree, several: frozenset[bytes], ahead: Ahead | None = None
) -> None:
    """Pass over the files that come next on both sides, while they are alike.

    several: first names of files with several names, which are never passed over; ahead: what
    another process has found. Raises ManifestInvalid.
    """
    listing = live.listing()
    if listing is None:
        return
    prefix, lines, begin = listing.prefix, entries.lines, listing.at
    run = ahead.run_at(entries.number) if ahead is not None else None
    line = entries.take_line()
    if run is not None and _has_run(listing, run):
        listing.at += run.files
        line = next(islice(lines, run.files - 1, None), b"")
    for name in islice(listing.names, listing.at, None):
        path = prefix + name
        if line.rsplit(b" ", 2)[-2:-1] != [path] or path in several:
            break
        if not is_alike(line, listing.place + name):
            break
        listing.at += 1
        line = next(lines, b"")
    entries.pass_over(prefix, listing.names[begin : listing.at], line)


def _has_run(listing: Listing, run: Run) -> bool:
    """Whether the names that come next are those of the run: they are there, and as many."""
    names = listing.names[listing.at : listing.at + run.files]
    prefix = listing.prefix
    return len(names) == run.files and (prefix + names[0], prefix + names[-1]) == run[2:]


def is_alike(line: bytes, place: bytes) -> bool:
    """Whether there is a file with one name at `place` of which `line` certainly says all."""
    if not line.startswith(b"f "):
        return False
    try:
        about = os.lstat(place)
    except OSError:
        return False
    return about.st_nlink == 1 and stat.S_ISREG(about.st_mode) and agrees(line, about, place)
