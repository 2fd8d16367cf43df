"""BOEL's files as the initrd has them, for its own functions to run from."""

from __future__ import annotations

import shutil
from pathlib import Path

from si.boot.flavor import boel_source
from si.config import Settings
from si.version.signature import ensure_public_key
from si.version.signed import allowed_signers
from si.version.store import MANIFEST, SIGNATURE
from tests.integration import version_kit


def lay_out_library(library: Path) -> None:
    """/lib/boel."""
    shutil.copytree(boel_source() / "lib", library)
    for fetcher in (boel_source() / "fetchers").iterdir():
        shutil.copy(fetcher, library / f"fetch-{fetcher.name}")


def lay_out_boel(settings: Settings, library: Path, state: Path) -> None:
    """/lib/boel with all that installs a version, and what BOEL has fetched of web@1 before it
    fetches the image."""
    lay_out_library(library)
    shutil.copy(boel_source() / "torrent.py", library)
    (library / "signers").write_text(allowed_signers(ensure_public_key(settings)))
    for name in (MANIFEST, SIGNATURE):
        shutil.copy(version_kit.version(settings).path / name, state / name)
