"""Where the files that are not Python lie: `boel-initrd/` and `schemas/`.

Stage: none. In a checkout they stand beside `si/`, in an installed wheel below `si/_data/`.
"""

from __future__ import annotations

from pathlib import Path


def data_path(name: str) -> Path:
    """Folder `name` ("boel-initrd" or "schemas") of this checkout or installation."""
    package = Path(__file__).resolve().parent
    installed = package / "_data" / name.replace("-", "_")
    return installed if installed.is_dir() else package.parent / name
