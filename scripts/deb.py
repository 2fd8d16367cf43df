"""The client commands as a Debian package: `python -m scripts.deb build`, or `make deb`.

The package holds what si-prepareclient puts on a golden client, at the same places with the same
bytes, and the manual pages. The same sources give the same bytes: all times are SOURCE_DATE_EPOCH,
or that of the one-file program's members.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from docutils.core import publish_string
from docutils.writers.manpage import Writer

from si import __version__
from si.boot.clientapp import build_client_app
from si.client.install import COMMANDS, render_wrapper
from si.client.places import Places

MAN = Path(__file__).parents[1] / "man"
PAGES = ("si-prepareclient.8", "si-updateclient.8", "si-audit.8", "si-exclude.5")
EPOCH = 315532800
"""1980-01-01: the earliest time that a zip can hold."""
CONTROL = """\
Package: si-client
Version: {version}
Architecture: all
Maintainer: The si developers <developers@si.invalid>
Installed-Size: {kib}
Depends: python3 (>= 3.9), openssh-client, zstd
Recommends: rsync
Section: admin
Priority: optional
Description: golden-client deployment: the commands of a client
 si-prepareclient offers a tuned machine to an image server, si-updateclient
 brings a machine to a version of its image, and si-audit says what of it
 differs. One file for the stock Python, nothing else.
"""
COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: si

Files: *
Copyright: the si developers
License: GPL-2+
 This program is free software; you can redistribute it and/or modify it under
 the terms of the GNU General Public License as published by the Free Software
 Foundation; either version 2 of the License, or (at your option) any later
 version.
 .
 On Debian systems its text is in /usr/share/common-licenses/GPL-2.
"""


def package_files() -> Iterator[tuple[str, bytes, int]]:
    """(path, contents, mode) of all that the package installs."""
    places = Places(Path("/"))
    yield str(places.program), build_client_app(), 0o644
    for word in COMMANDS:
        yield str(places.sbin / f"si-{word}"), render_wrapper(word).encode(), 0o755
    for page in PAGES:
        packed = gzip.compress(_render_page(MAN / f"{page}.rst"), mtime=0)
        yield f"/usr/share/man/man{page[-1]}/{page}.gz", packed, 0o644
    yield "/usr/share/doc/si-client/copyright", COPYRIGHT.encode(), 0o644


def build_package(folder: Path) -> Path:
    """Write si-client_VERSION_all.deb into `folder`; gives its path."""
    package = folder / f"si-client_{__version__}_all.deb"
    folder.mkdir(parents=True, exist_ok=True)
    epoch = os.environ.get("SOURCE_DATE_EPOCH", str(EPOCH))
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        _lay_out(tree)
        pack = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree), str(package)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
        subprocess.run(pack, env=environment, check=True, stdout=subprocess.DEVNULL)
    return package


def _lay_out(tree: Path) -> None:
    sums, size = "", 0
    for path, data, mode in package_files():
        _write(tree / path[1:], data, mode)
        sums += f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  {path[1:]}\n"
        size += len(data)
    control = CONTROL.format(version=__version__, kib=-(-size // 1024))
    _write(tree / "DEBIAN/control", control.encode(), 0o644)
    _write(tree / "DEBIAN/md5sums", sums.encode(), 0o644)
    for folder in (tree, *(path for path in tree.rglob("*") if path.is_dir())):
        folder.chmod(0o755)


def _write(file: Path, data: bytes, mode: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    file.chmod(mode)


def _render_page(page: Path) -> bytes:
    text: bytes = publish_string(
        page.read_text(),
        source_path=str(page),
        writer=Writer(),
        settings_overrides={"halt_level": 2},
    )
    return text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make deb")
    parser.add_argument("folder", type=Path)
    print(build_package(parser.parse_args().folder))
