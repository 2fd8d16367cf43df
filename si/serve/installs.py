"""HTTP requests of a running install: its bundle, its events, its console log.

Stage 7, one server process. Each carries the token of the client's arming. Bodies are read only as
far as they may go, and nothing of them becomes a path, a log line or a command.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from datetime import UTC, datetime

from aiohttp import web

from si.boot.arming import Arming, load_arming
from si.errors import ClientUnknown
from si.monitor.events import (
    MAX_DETAIL,
    LogFull,
    LogGap,
    append_event,
    append_log,
    client_state,
)
from si.monitor.state import SERVER_PHASES, Event, Phase, is_welcome
from si.serve.bundle import build_bundle
from si.serve.turns import Turns
from si.serve.web import SITE, Refused, client_name

log = logging.getLogger(__name__)

MAX_LOG_PART = 1024 * 1024
_LONGEST_UPTIME_S = 1e9
_MAX_OFFSET = 2**62
_TURNS = web.AppKey("turns", Turns)
_IMAGE_IS_THERE = frozenset(
    {Phase.OVERRIDES, Phase.CONFIGURE, Phase.WRITTEN, Phase.FAILED, Phase.INSTALLED}
)
"""Events after which a client needs nothing of the image any more."""


def add_routes(app: web.Application) -> None:
    """Add the routes below /install/."""
    app.router.add_get("/install/{client}/{token}/bundle.tar", _bundle)
    app.router.add_post("/install/{client}/{token}/events", _event)
    app.router.add_post("/install/{client}/{token}/log", _log)
    app.router.add_post("/install/{client}/{token}/turn", _turn)
    app[_TURNS] = Turns(app[SITE].settings.install.at_once)


async def _bundle(request: web.Request) -> web.Response:
    arming, site = _authorised(request), request.app[SITE]
    if not client_state(site.settings, arming.client).armed:
        raise Refused(403, f"{arming.client} is not armed")
    try:
        client = site.entries.cluster().client(arming.client)
    except ClientUnknown as error:
        raise Refused(404, f"this server knows no client {arming.client}") from error
    data = await asyncio.to_thread(build_bundle, site.settings, client, arming, site.bases(request))
    log.info("%s: fetched its bundle", arming.client)
    return web.Response(body=data, content_type="application/x-tar")


async def _event(request: web.Request) -> web.Response:
    arming, settings = _authorised(request), request.app[SITE].settings
    phase = _phase(request.query.get("phase", ""))
    uptime_s = _uptime(request.query.get("uptime"))
    detail = (await _body(request, MAX_DETAIL)).decode("utf-8", "replace")
    event = Event(datetime.now(UTC), phase, uptime_s, detail)
    if not is_welcome(client_state(settings, arming.client), phase):
        raise Refused(403, f"{arming.client} is not armed")
    try:
        await asyncio.to_thread(append_event, settings, arming.client, event)
    except LogFull as error:
        raise Refused(413, f"{arming.client} sent too many events") from error
    log.info("%s: %s%s", arming.client, phase, _failure(event))
    if phase in _IMAGE_IS_THERE:
        request.app[_TURNS].leave(arming.client)
    return web.Response(status=204)


async def _log(request: web.Request) -> web.Response:
    arming, settings = _authorised(request), request.app[SITE].settings
    offset = _offset(request.query.get("offset", ""))
    data = await _body(request, MAX_LOG_PART)
    try:
        await asyncio.to_thread(append_log, settings, arming.client, offset=offset, data=data)
    except LogGap as gap:
        raise Refused(409, str(gap.size)) from gap
    except LogFull as error:
        raise Refused(413, f"the console log of {arming.client} is full") from error
    return web.Response(status=204)


async def _turn(request: web.Request) -> web.Response:
    """Whether the image may come: `go`, or `wait PLACE WAITING SECONDS`."""
    arming, turns = _authorised(request), request.app[_TURNS]
    doing = request.query.get("doing", "")
    if doing not in ("wait", "fetch", "leave"):
        raise Refused(400, "doing is wait, fetch or leave")
    if doing == "leave":
        turns.leave(arming.client)
        return web.Response(status=204)
    turn = turns.ask(arming.client, time.monotonic(), served=doing == "fetch")
    if turn.has_come:
        return web.Response(text="go\n")
    return web.Response(text=f"wait {turn.place} {turn.waiting} {turn.waited_s:.0f}\n")


def _authorised(request: web.Request) -> Arming:
    """The arming that the request's token belongs to. Raises Refused, NameInvalid."""
    name = client_name(request)
    arming = load_arming(request.app[SITE].settings, name)
    given = request.match_info["token"].encode("utf-8", "replace")
    if arming is None or not hmac.compare_digest(arming.token.encode(), given):
        log.warning("http: %s: wrong token for %s", request.remote, name)
        raise Refused(403, "no install was armed with this token")
    return arming


def _phase(text: str) -> Phase:
    try:
        phase = Phase(text)
    except ValueError as error:
        raise Refused(400, "no such phase") from error
    if phase in SERVER_PHASES:
        raise Refused(400, "this phase is the server's own")
    return phase


def _uptime(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        uptime_s = float(text)
    except ValueError as error:
        raise Refused(400, "uptime is no number of seconds") from error
    if not math.isfinite(uptime_s) or not 0 <= uptime_s <= _LONGEST_UPTIME_S:
        raise Refused(400, "uptime is no number of seconds")
    return uptime_s


def _offset(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) > _MAX_OFFSET:
        raise Refused(400, "offset is no number of bytes")
    return int(text)


async def _body(request: web.Request, limit: int) -> bytes:
    """The body, read no further than `limit`. Raises Refused (413)."""
    refusal = Refused(413, f"at most {limit} bytes are taken")
    if (request.content_length or 0) > limit:
        raise refusal
    data = bytearray()
    async for part in request.content.iter_chunked(65536):
        data += part
        if len(data) > limit:
            raise refusal
    return bytes(data)


def _failure(event: Event) -> str:
    if event.phase is not Phase.FAILED:
        return ""
    first = event.detail.strip().partition("\n")[0][:200]
    return f": {first.encode('unicode_escape').decode()}"
