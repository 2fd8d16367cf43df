"""The manifest of the version that this machine should be: fetched, its signature checked, open.

Stage 8, effects; runs on clients (Python 3.9). Nothing of a manifest is read before ssh-keygen said
that the site signed it; what it says is doubted all the same.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from si.client.download import Link, download
from si.errors import ConfigInvalid, ManifestInvalid
from si.names_check import VersionName
from si.version import manifest, signed
from si.version.stream import ManifestReader


@contextlib.contextmanager
def open_version(
    server: str, name: VersionName, site_key: Path, link: Link | None = None
) -> Iterator[ManifestReader]:
    """The version `name`, which has a number, of the server with base URL `server`.

    site_key: the file with the site's public key; link: notes how fast the manifest came. Raises
    ConfigInvalid (no such file), VersionNotFound, ServerUnreachable, VersionSpoiled,
    ManifestInvalid.
    """
    key = _read_key(site_key)
    base = f"{server}/versions/{urllib.parse.quote(name.image, safe='')}/{name.number}"
    with tempfile.TemporaryFile(prefix="si-manifest-") as file:
        signature = io.BytesIO()
        download(f"{base}/manifest.sig", signature, most=signed.MAX_BYTES)
        download(f"{base}/manifest", file, most=manifest.MAX_BYTES, link=link)
        file.seek(0)
        told = f"the manifest of {name}"
        signed.check_signed(told, file, signature.getvalue(), key=key, place=site_key)
        reader = ManifestReader(file, told)
        if (reader.head.image, reader.head.number) != (name.image, name.number):
            raise ManifestInvalid(
                f"asked for {name}, the server gave {reader.head.image}@{reader.head.number}"
            )
        yield reader


def _read_key(site_key: Path) -> str:
    try:
        return site_key.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no text"
        raise ConfigInvalid(
            f"cannot read {site_key}, the key that versions are signed with: {why}",
            hint="the server has it as /etc/systemimager/site.key.pub: copy it by a way you trust",
        ) from None
