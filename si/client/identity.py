"""client.json: which client of which server this machine is, and what it was installed from.

Stage 5 writes it (the server puts it into what BOEL lays over the installed tree, mode 0600 for
its token), the report and updates read it. Pure but for `write_identity`; runs on clients
(Python 3.9).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from si.client.fields import load_fields
from si.client.files import kept_times, write_atomically
from si.errors import ConfigInvalid
from si.names_check import check_name

FORMAT = 1
MAX_BYTES = 64 * 1024

_BASE = re.compile(r"http://(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}")


@dataclass(frozen=True)
class Identity:
    """server: the base URL `http://ADDRESS:PORT`; token: of the arming that installed it; version:
    None for a copy of an image that was no version."""

    server: str
    client: str
    token: str
    image: str
    arch: str
    captured: str
    version: Optional[int] = None  # noqa: UP045 - Python 3.9


def parse_identity(text: str | bytes, source: str) -> Identity:
    """Read the text of a client.json. Raises ConfigInvalid, NameInvalid."""
    fields = load_fields(text, source, error=ConfigInvalid, max_bytes=MAX_BYTES)
    if fields.integer("format") != FORMAT:
        raise ConfigInvalid(f"{source}: this version reads format {FORMAT} only")
    identity = Identity(
        server=fields.text("server"),
        client=check_name("client", fields.text("client")),
        token=fields.text("token"),
        image=check_name("image", fields.text("image")),
        arch=check_name("architecture", fields.text("arch")),
        captured=fields.text("captured"),
        version=fields.optional_integer("version", least=1),
    )
    fields.finish()
    if not is_base_url(identity.server):
        raise ConfigInvalid(f"{source}: server is not http://ADDRESS:PORT")
    if _TOKEN.fullmatch(identity.token) is None:
        raise ConfigInvalid(f"{source}: token is not one that a server gives out")
    return identity


def dump_identity(identity: Identity) -> str:
    """The text of a client.json; `parse_identity` gives it back."""
    data = {
        "format": FORMAT,
        "server": identity.server,
        "client": identity.client,
        "token": identity.token,
        "image": identity.image,
        "version": identity.version,
        "arch": identity.arch,
        "captured": identity.captured,
    }
    return json.dumps(data, indent=1) + "\n"


def is_base_url(text: str) -> bool:
    """Whether `text` is http://ADDRESS:PORT and nothing more."""
    found = _BASE.fullmatch(text)
    return found is not None and 0 < int(found.group(2)) < 65536


def load_identity(file: Path) -> Identity | None:
    """The client.json of this machine, None where no server ever installed it."""
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigInvalid(f"cannot read {file}: {error.strerror}") from error
    return parse_identity(text, str(file))


def write_identity(file: Path, identity: Identity) -> None:
    """Replace client.json in one step, and leave its directory's time as it was.

    The directory belongs to the image: a new time on it would be a difference from the image.
    """
    with kept_times(file.parent):
        write_atomically(file, dump_identity(identity).encode(), mode=0o600)
