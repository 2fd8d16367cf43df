"""What of this machine is compared with a version, and how.

Stage 8, effects: reads; runs on clients (Python 3.9). The same for an audit and an update, so that
the one finds nothing after the other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from si.client.comparison import Scope, has_below
from si.client.excludes import folders_with_protected
from si.client.guard import Guarding, gather_rules
from si.client.mounts import COARSE_TYPES
from si.client.overlaid import Overlaid
from si.client.places import Places
from si.client.rules import Protection
from si.client.surroundings import find_mounts
from si.version.stream import ManifestReader


def guard_against(places: Places, reader: ManifestReader, excludes: Sequence[str]) -> Guarding:
    """The rules of what is left alone. Raises ConfigInvalid, with the file and line."""
    return gather_rules(places, excludes, lambda path: not has_below(reader, os.fsencode(path)))


def make_scope(
    places: Places, guarding: Guarding, overlaid: Overlaid, *, with_contents: bool = False
) -> Scope:
    """The scope for the tree of `places`."""
    folders = folders_with_protected(guarding.rules)
    return Scope(
        top=top_of(places),
        protection=Protection(guarding.rules),
        churning=frozenset(b"/" + path if path != b"." else b"/" for path in folders),
        overlaid=frozenset(b"/" + item.path for items in overlaid.held for item in items),
        coarse=_coarse_devices(places.root),
        with_contents=with_contents,
    )


def top_of(places: Places) -> bytes:
    """What stands before every path: b"" for the machine's own tree."""
    return b"" if places.root == Path("/") else os.fsencode(places.root)


def _coarse_devices(root: Path) -> frozenset[int]:
    """File systems that keep neither owners nor modes nor exact times."""
    mounts = find_mounts(root, Path("/proc/self/mountinfo"))
    return frozenset(
        (root / path[1:]).stat().st_dev
        for path, mount in mounts.items()
        if mount.type in COARSE_TYPES
    )
