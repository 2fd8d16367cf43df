"""What this machine should be: by its client.json, the command line, and the server's word.

Stage 8, effects: asks the server; runs on clients (Python 3.9).
"""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

from si.client.identity import Identity
from si.client.server import Update, fetch_update, parse_server
from si.errors import ConfigInvalid, UpdateRefused, VersionNotFound
from si.names_check import VersionName, check_name, parse_version_name


class Wanted(NamedTuple):
    """What the command line says. None: as client.json says. image: NAME, or NAME@N."""

    server: Optional[str] = None  # noqa: UP045 - evaluated, by Python 3.9 too
    client: Optional[str] = None  # noqa: UP045
    image: Optional[str] = None  # noqa: UP045


class Answer(NamedTuple):
    """server: its base URL; update: what it says; number: of the version that was asked for, else
    of the current one, None when there is none; held: the version of the same image that this
    machine has, as far as is known."""

    server: str
    update: Update
    number: Optional[int]  # noqa: UP045
    held: Optional[int]  # noqa: UP045

    @property
    def version(self) -> VersionName:
        """The version's name. Raises VersionNotFound where the image has none."""
        if self.number is None:
            raise VersionNotFound(
                f"image {self.update.image} has no version yet",
                hint=f"si-publish {self.update.image}, on the server, makes one",
            )
        return VersionName(self.update.image, self.number)

    @property
    def signature(self) -> bytes:
        """That of the version's manifest, b"" where the server did not say it."""
        signed = self.update.signed
        return signed.signature if signed is not None and signed.number == self.number else b""


def ask_server(identity: Identity | None, wanted: Wanted) -> Answer:
    """What this client should be.

    Raises ConfigInvalid (no server is known), NameInvalid, ServerUnreachable, ClientUnknown,
    ImageNotFound, UpdateRefused (another architecture, or another image than was asked for).
    """
    server = _server(identity, wanted)
    name = wanted.client or (identity.client if identity else os.uname().nodename.split(".")[0])
    asked = parse_version_name(wanted.image) if wanted.image else None
    image = asked.image if asked else (identity.image if identity else None)
    told = str(asked) if asked else image
    update = fetch_update(server, check_name("client", name), told)
    if image is not None and update.image != image:
        raise UpdateRefused(f"asked for image {image}, the server offers {update.image}")
    arch = os.uname().machine if identity is None else identity.arch
    if update.arch != arch:
        raise UpdateRefused(
            f"image {update.image} is for {update.arch}, this machine is {arch}",
            hint="name an image of this machine's architecture with --image",
        )
    number = asked.number if asked and asked.number is not None else update.version
    return Answer(server, update, number, _held(identity, update.image, number))


def _held(identity: Identity | None, image: str, number: int | None) -> int | None:
    """What a delta could begin with; without a record, the version before is the best guess."""
    if identity is not None and identity.image == image and identity.version is not None:
        return identity.version if identity.version != number else None
    return number - 1 if number is not None and number > 1 else None


def _server(identity: Identity | None, wanted: Wanted) -> str:
    if wanted.server is not None:
        return parse_server(wanted.server)
    if identity is not None:
        return identity.server
    raise ConfigInvalid(
        "which server? no server installed this machine (it has no client.json)",
        hint="name it: --server ADDRESS --image NAME",
    )
