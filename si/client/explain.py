"""Which rule protects a path of this machine?

Stage 8, effects: looks at the path; runs on clients (Python 3.9).
"""

from __future__ import annotations

import os
import posixpath

from si.client.itemize import quote_path
from si.client.places import Places
from si.client.rules import Protection
from si.errors import ConfigInvalid


def explain_path(places: Places, protection: Protection, asked: str) -> str:
    """A sentence for people. Raises ConfigInvalid for what is no path of the tree."""
    if not asked.startswith("/"):
        raise ConfigInvalid(f"--explain {asked}: write the path from the top, as /etc/motd")
    path = os.fsencode(posixpath.normpath("/" + asked.lstrip("/")))
    told = quote_path(path)
    if path == b"/":
        return f"{told}: nothing protects it"
    place = os.fsencode(places.root) + path
    is_folder = asked.endswith("/") or (os.path.isdir(place) and not os.path.islink(place))  # noqa: PTH112, PTH114 - bytes
    held = protection.holder(path, is_folder=is_folder)
    if held is None:
        return f"{told}: nothing protects it"
    above = "" if held.path == path else f", which protects {quote_path(held.path)}"
    return f"{told}: protected by {held.rule}{above}"
