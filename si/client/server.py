"""Talk to si-server over HTTP: ask what to update to, report an event.

Stage 7's other end, effects; runs on clients (Python 3.9, urllib). Proxies of the environment are
not used: the server is on this network. Answers are bounded and checked.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import NamedTuple

from si.client.fields import Fields, load_fields
from si.client.identity import is_base_url
from si.errors import ClientUnknown, ImageNotFound, ServerUnreachable, UpdateRefused
from si.names_check import check_name

DEFAULT_HTTP_PORT = 8080
UPDATE_FORMAT = 1

TIMEOUT_S = 20.0
_MAX_ANSWER = 1024 * 1024
_RSYNC = re.compile(r"rsync://(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):[0-9]{1,5}")
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Signed(NamedTuple):
    """The signature of the manifest of the image's version `number`."""

    number: int
    signature: bytes


@dataclass(frozen=True)
class Update:
    """What the server says this client should be: the image, and the overrides over it from the
    least to the most important. rsync is the base URL of its rsync modules. version is the number
    of the image's current version, None when it has none. groups: that it is in, the most important
    first; none from a server that does not say. signed: the signature of a version's manifest."""

    client: str
    image: str
    arch: str
    captured: str
    size_bytes: int
    rsync: str
    overrides: tuple[str, ...]
    version: int | None = None
    groups: tuple[str, ...] = ()
    signed: Signed | None = None


def parse_server(text: str) -> str:
    """The base URL for `ADDRESS`, `ADDRESS:PORT` or `[IPv6]:PORT`. Raises ServerUnreachable."""
    base = f"http://{text}" if "://" not in text else text.rstrip("/")
    if not is_base_url(base):
        base = f"{base}:{DEFAULT_HTTP_PORT}"
    if not is_base_url(base):
        raise ServerUnreachable(
            f"{text!r} is no server address", hint="write ADDRESS or ADDRESS:HTTP_PORT"
        )
    return base


def parse_update(text: str | bytes, source: str) -> Update:
    """Read an update.json. Raises UpdateRefused, NameInvalid.

    Fields that this version does not know are left aside: the server may be the newer one.
    """
    fields = load_fields(text, source, error=UpdateRefused, max_bytes=_MAX_ANSWER)
    if fields.integer("format") != UPDATE_FORMAT:
        raise UpdateRefused(
            f"{source}: not of format {UPDATE_FORMAT}",
            hint="fetch the si-client.pyz that this server hands out",
        )
    update = Update(
        client=check_name("client", fields.text("client")),
        image=check_name("image", fields.text("image")),
        arch=check_name("architecture", fields.text("arch")),
        captured=fields.text("captured"),
        size_bytes=fields.integer("size_bytes"),
        rsync=fields.text("rsync"),
        overrides=tuple(check_name("override", name) for name in fields.text_list("overrides")),
        version=fields.optional_integer("version", least=1),
        groups=tuple(check_name("group", name) for name in fields.optional_text_list("groups")),
        signed=_read_signed(fields) if fields.has("signed") else None,
    )
    if _RSYNC.fullmatch(update.rsync) is None:
        raise UpdateRefused(f"{source}: rsync is not rsync://ADDRESS:PORT")
    return update


def _read_signed(fields: Fields) -> Signed:
    inner = fields.inner("signed")
    return Signed(inner.integer("version", least=1), inner.text("signature").encode())


def fetch_update(server: str, client: str, image: str | None) -> Update:
    """Ask what `client` should be. `server` is a base URL; image: NAME or NAME@N, None for the one
    that the server has for it.

    Raises ServerUnreachable, ClientUnknown (404), UpdateRefused (403 and other refusals).
    """
    query = f"?{urllib.parse.urlencode({'image': image})}" if image else ""
    url = f"{server}/clients/{urllib.parse.quote(client, safe='')}/update.json{query}"
    try:
        return parse_update(_exchange(urllib.request.Request(url)), url)  # noqa: S310 - http only
    except urllib.error.HTTPError as error:
        said = read_refusal(error)
        if error.code >= 500:
            raise ServerUnreachable(f"{server} cannot answer: {error.code}: {said}") from error
        if error.code == 404 and "no image" in said:
            raise ImageNotFound(f"the server says: {said}") from error
        if error.code == 404:
            raise ClientUnknown(
                f"the server says: {said}", hint="si-client list, on the server, shows its clients"
            ) from error
        raise UpdateRefused(f"{url}: {error.code}: {said}") from error
    except OSError as error:
        raise unreachable(server, error) from error


def post_event(
    server: str, client: str, token: str, phase: str, uptime_s: float, detail: bytes
) -> None:
    """Report one event. Raises urllib's HTTPError when refused, OSError when not delivered."""
    query = urllib.parse.urlencode({"phase": phase, "uptime": f"{uptime_s:.2f}"})
    path = f"/install/{urllib.parse.quote(client, safe='')}/{urllib.parse.quote(token, safe='')}"
    request = urllib.request.Request(  # noqa: S310 - is_base_url lets only http pass
        f"{server}{path}/events?{query}",
        data=detail,
        method="POST",
        headers={"Content-Type": "application/json"},
    )
    _exchange(request)


def read_refusal(error: urllib.error.HTTPError) -> str:
    """The one line of plain text that the server answers refusals with, fit for a terminal."""
    try:
        line = error.read(1000).decode("utf-8", "replace").strip().partition("\n")[0]
    except OSError:
        line = ""
    said = "".join(sign if sign.isprintable() else "?" for sign in line)
    return said or str(error.reason)


def unreachable(server: str, error: OSError) -> ServerUnreachable:
    """The error for a server that does not answer."""
    reason = getattr(error, "reason", None) or error
    words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return ServerUnreachable(
        f"{server} does not answer: {words}",
        hint="is si-server running there, and is this machine in a network that it answers?",
    )


def _exchange(request: urllib.request.Request) -> bytes:
    try:
        with OPENER.open(request, timeout=TIMEOUT_S) as answer:
            body: bytes = answer.read(_MAX_ANSWER + 1)
    except http.client.HTTPException as error:
        raise ConnectionError(f"no HTTP answer: {type(error).__name__}") from error
    return body
