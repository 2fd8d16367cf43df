"""The header of a master script: what is one client's own, as shell variables.

Stage 5. Pure. BOEL reads the header before the master script runs. Identifiers are derived from
client, image and variable name (RFC 9562, version 5), so that the same client installed twice with
the same image keeps its UUIDs, and two clients never share one.
"""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Iterable

from si.names_check import check_name
from si.script.identifiers import Identifier, IdentifierKind

NAMESPACE = uuid.UUID("6f0d1f5e-52a3-5b0c-9d3f-9c0e6a1d7b42")
"""Ours alone; changing it changes every identifier of every client."""


def render_header(
    *,
    client: str,
    image: str,
    version: int | None = None,
    arch: str,
    flavor: str,
    http: str,
    rsync: str,
    token: str,
    transport: str,
    fallback: str | None = None,
    overrides: Iterable[str],
    captured: str,
    identifiers: Iterable[Identifier],
) -> str:
    """Text of header.sh: one `NAME=value` a line, each value quoted.

    `http` and `rsync` are base URLs of the server, `overrides` go from least to most important.
    `version` None: the image as it stands. `fallback`: what brings the rest of a version when the
    transport does not, if anything. Raises NameInvalid for a client, image or override that
    is no fit name.
    """
    names = [check_name("override", name) for name in overrides]
    values = {
        "SI_CLIENT": check_name("client", client),
        "SI_IMAGE": check_name("image", image),
        "SI_VERSION": "" if version is None else str(version),
        "SI_ARCH": arch,
        "SI_FLAVOR": check_name("flavor", flavor),
        "SI_HTTP": http,
        "SI_RSYNC": rsync,
        "SI_TOKEN": token,
        "SI_TRANSPORT": transport,
        "SI_FALLBACK": fallback or "",
        "SI_OVERRIDES": " ".join(names),
        "SI_CAPTURED": captured,
    }
    for identifier in identifiers:
        values[identifier.variable] = identifier_value(identifier, client=client, image=image)
    lines = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def identifier_value(identifier: Identifier, *, client: str, image: str) -> str:
    """The value of an identifier for one client and image.

    uuid: 36 characters; mbr-id: 0x and 8 hex digits, never 0; vfat-id: XXXX-XXXX.
    """
    value = uuid.uuid5(NAMESPACE, f"{client}/{image}/{identifier.variable}")
    if identifier.kind is IdentifierKind.UUID:
        return str(value)
    # 0 means "none" to firmware and to blkid.
    number = int(value.hex[:8], 16) or 1
    if identifier.kind is IdentifierKind.MBR_ID:
        return f"0x{number:08x}"
    return f"{number >> 16:04X}-{number & 0xFFFF:04X}"
