"""Whether every published version is, byte for byte, what was published.

Stage 7, one server process. What `si-server --check` does: a disk that loses bytes is found before
a client meets it. A server that runs finds it too, by the hash of what it sends.
"""

from __future__ import annotations

from collections.abc import Iterator

from si.config import Settings
from si.errors import SIError
from si.names_check import VersionName
from si.serve.published import list_published
from si.version.store import load_version
from si.version.verify import check_version


def check_store(settings: Settings) -> Iterator[tuple[VersionName, SIError | None]]:
    """Read every version whole; gives each with what is wrong with it, or None."""
    for name in list_published(settings):
        try:
            check_version(settings, load_version(settings, name))
        except SIError as error:
            yield name, error
        else:
            yield name, None
