"""HTTP: boot entries, flavors, the client commands, what a client should be updated to.

Stage 7, one server process. Every request passes `_guard`: addresses outside the networks get 403,
every refusal is one line of plain text, and no fault of one request reaches another. Files are sent
by the kernel (sendfile) with ranges. Requests of a running install are in `si.serve.installs`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from si.boot.arming import load_arming
from si.boot.flavor import FLAVOR_FILES
from si.boot.netboot import render_boot_ipxe, render_ipxe
from si.cluster import normal_mac
from si.config import Settings
from si.errors import (
    ClientUnknown,
    ImageInUse,
    ImageNotFound,
    ManifestInvalid,
    NameInvalid,
    ScriptNotFound,
    SIError,
    VersionNotFound,
    VersionSpoiled,
)
from si.names_check import check_name, parse_version_name
from si.serve.access import Access
from si.serve.bundle import Bases, describe_update
from si.serve.client_line import APP, KEY, SIGNATURE
from si.serve.entries import Entries
from si.version.signature import CLIENT, ensure_public_key, sign

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(Exception):
    """A request that is answered with `status` and one line of text."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status
        self.line = line


@dataclass(frozen=True, slots=True)
class Site:
    """What every handler needs."""

    settings: Settings
    entries: Entries
    access: Access
    client_app: bytes = b""
    """The client commands as one file."""

    def bases(self, request: web.Request) -> Bases:
        """Base URLs under which this client reaches this server."""
        local = local_address(request)
        return Bases(self.entries.http_base(local), self.entries.rsync_base(local))


SITE = web.AppKey("site", Site)


def make_app(site: Site) -> web.Application:
    """The application; `si.serve.installs.add_routes` adds the rest."""
    app = web.Application(middlewares=[_guard])
    app[SITE] = site
    app.router.add_get("/boot.ipxe", _boot_script)
    app.router.add_get("/boot/ipxe/{mac}", _boot_entry)
    app.router.add_get("/flavors/{arch}/{flavor}/{file}", _flavor_file)
    app.router.add_get(f"/client/{APP}", _client_app)
    app.router.add_get(f"/client/{SIGNATURE}", _client_app_signature)
    app.router.add_get(f"/client/{KEY}", _site_key)
    app.router.add_get("/clients/{client}/update.json", _update)
    return app


def local_address(request: web.Request) -> str:
    """The address of this server that the request was sent to."""
    transport = request.transport
    name = transport.get_extra_info("sockname") if transport else None
    if not name:
        raise Refused(400, "the connection is gone")
    return str(name[0])


def client_name(request: web.Request) -> str:
    """The client's name in the path. Raises NameInvalid."""
    return check_name("client", request.match_info["client"])


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        if not request.app[SITE].access.allows(request.remote or ""):
            log.info("http: %s: not in the networks that are answered", request.remote)
            raise Refused(403, "this address gets no answers here")
        return await handler(request)
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception as error:
        return _refusal(request, error)


def _refusal(request: web.Request, error: Exception) -> web.Response:
    match error:
        case Refused():
            return _line(error.status, error.line)
        case web.HTTPException():
            return _line(error.status, error.reason)
        case NameInvalid():
            return _line(400, error.message)
        case VersionNotFound() | VersionSpoiled() | ManifestInvalid():
            log.error("http: %s: %s", request.remote, error.message)
            return _line(404, error.message)
        case ImageNotFound() | ScriptNotFound() | ImageInUse():
            return _line(404, error.message)
        case SIError():
            log.error("http: %s: %s", request.remote, error.message)
            return _line(500, error.message)
    # The path is not shown: it may hold a token.
    log.error("http: %s: internal fault", request.remote, exc_info=error)
    return _line(500, "internal fault")


def _line(status: int, text: str) -> web.Response:
    shown = "".join(sign if sign.isprintable() else "?" for sign in text)
    return web.Response(status=status, text=f"{shown}\n")


async def _boot_script(request: web.Request) -> web.Response:
    site = request.app[SITE]
    return web.Response(text=render_boot_ipxe(site.entries.http_base(local_address(request))))


async def _boot_entry(request: web.Request) -> web.Response:
    site = request.app[SITE]
    mac = normal_mac(request.match_info["mac"])
    if mac is None:
        raise Refused(400, "this is no MAC")
    local, asking = local_address(request), request.remote or ""
    entry = await asyncio.to_thread(site.entries.for_mac, mac, ip=asking, local=local)
    log.info("http: %s (%s) gets a boot entry: %s", mac, asking, type(entry).__name__)
    return web.Response(text=render_ipxe(entry), headers={"Cache-Control": "no-store"})


async def _flavor_file(request: web.Request) -> web.StreamResponse:
    site, match = request.app[SITE], request.match_info
    names = check_name("architecture", match["arch"]), check_name("flavor", match["flavor"])
    path = site.settings.flavors.joinpath(*names, match["file"])
    if match["file"] not in FLAVOR_FILES or not path.is_file():
        raise Refused(404, "no such flavor")
    return web.FileResponse(path, headers={"Content-Type": "application/octet-stream"})


async def _client_app(request: web.Request) -> web.Response:
    return web.Response(body=request.app[SITE].client_app, content_type="application/octet-stream")


async def _client_app_signature(request: web.Request) -> web.Response:
    site = request.app[SITE]
    signature = await asyncio.to_thread(sign, site.settings, site.client_app, CLIENT)
    return web.Response(body=signature, content_type="application/octet-stream")


async def _site_key(request: web.Request) -> web.Response:
    key = await asyncio.to_thread(ensure_public_key, request.app[SITE].settings)
    return web.Response(body=key.encode("ascii"), content_type="application/octet-stream")


async def _update(request: web.Request) -> web.Response:
    site, name = request.app[SITE], client_name(request)
    try:
        client = site.entries.cluster().client(name)
    except ClientUnknown as error:
        raise Refused(404, f"this server knows no client {name}") from error
    wanted = request.query.get("image") or client.image
    if not wanted:
        arming = load_arming(site.settings, client.name)
        if arming is None:
            raise Refused(404, f"no image is set for {client.name}, name one")
        wanted = arming.image
    bases = site.bases(request)
    image = parse_version_name(wanted)
    return web.json_response(
        await asyncio.to_thread(describe_update, site.settings, client, image, bases)
    )
