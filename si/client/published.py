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
from typing import IO

from si.client.download import Link, download
from si.client.kept import keep, open_kept
from si.client.places import Places
from si.client.wanted import Answer
from si.errors import ConfigInvalid, ManifestInvalid, VersionNotFound
from si.names_check import VersionName
from si.version import manifest, signed
from si.version.delta import split_seal
from si.version.stream import ManifestReader


@contextlib.contextmanager
def open_version(
    server: str,
    name: VersionName,
    site_key: Path,
    *,
    signature: bytes = b"",
    cache: Path | None = None,
    link: Link | None = None,
) -> Iterator[ManifestReader]:
    """The version `name`, which has a number, of the server with base URL `server`.

    site_key: the file with the site's public key; signature: the manifest's, where the server has
    given it already; cache: where a manifest may have been kept, and will be; link: notes how fast
    it came. Raises ConfigInvalid (no such file), VersionNotFound, ServerUnreachable,
    VersionSpoiled, ManifestInvalid.
    """
    key = _read_key(site_key)
    base = version_url(server, name)
    told = f"the manifest of {name}"
    signature = signature or _fetch_signature(base)

    def check(file: IO[bytes]) -> None:
        file.seek(0)
        signed.check_signed(told, file, signature, key=key, place=site_key)

    with contextlib.ExitStack() as opened:
        file = open_kept(cache, signature, check) if cache is not None else None
        if file is None:
            file = opened.enter_context(tempfile.TemporaryFile(prefix="si-manifest-"))
            download(f"{base}/manifest", file, most=manifest.MAX_BYTES, link=link)
            check(file)
            if cache is not None:
                keep(cache, signature, file)
        opened.enter_context(file)
        reader = ManifestReader(file, told)
        if (reader.head.image, reader.head.number) != (name.image, name.number):
            raise ManifestInvalid(
                f"asked for {name}, the server gave {reader.head.image}@{reader.head.number}"
            )
        yield reader


def open_answer(
    places: Places, answer: Answer, link: Link | None = None
) -> contextlib.AbstractContextManager[ManifestReader]:
    """The version that the server answered with, as `open_version` opens it."""
    return open_version(
        answer.server,
        answer.version,
        places.site_key,
        signature=answer.signature,
        cache=places.cache,
        link=link,
    )


def version_url(server: str, name: VersionName) -> str:
    """Where the server with base URL `server` has the files of a version."""
    return f"{server}/versions/{urllib.parse.quote(name.image, safe='')}/{name.number}"


def fetch_sealed(url: str, told: str, site_key: Path, *, most: int) -> bytes | None:
    """A text of the server that ends with the site's signature of it; None when there is no such.

    told: what it is, for people. Raises ServerUnreachable, VersionSpoiled, ConfigInvalid.
    """
    received = io.BytesIO()
    try:
        download(url, received, most=most)
    except VersionNotFound:
        return None
    text, signature = split_seal(received.getvalue())
    with tempfile.TemporaryFile(prefix="si-index-") as file:
        file.write(text)
        file.seek(0)
        signed.check_signed(told, file, signature, key=_read_key(site_key), place=site_key)
    return text


def _fetch_signature(base: str) -> bytes:
    fetched = io.BytesIO()
    download(f"{base}/manifest.sig", fetched, most=signed.MAX_BYTES)
    return fetched.getvalue()


def _read_key(site_key: Path) -> str:
    try:
        return site_key.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no text"
        raise ConfigInvalid(
            f"cannot read {site_key}, the key that versions are signed with: {why}",
            hint="the server has it as /etc/systemimager/site.key.pub: copy it by a way you trust",
        ) from None
