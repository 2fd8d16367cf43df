"""The tracker: peers that install or have installed a published version find each other here.

Stage 7, one server process. GET /announce of BEP 3, for the info-hashes of published versions and
for nobody outside the networks (`si.serve.web` sees to that). The server's own seeder is always
told of, so that no peer has to wait for its announce. Refusals are bencoded, as peers expect them.
"""

from __future__ import annotations

import asyncio
import time
from ipaddress import IPv4Address
from random import Random

from aiohttp import web

from si.cluster import Cluster
from si.serve.announce import (
    Announce,
    AnnounceInvalid,
    parse_announce,
    render_answer,
    render_refusal,
)
from si.serve.published import Published
from si.serve.swarm import LEAST_INTERVAL_S, Member, Swarms
from si.serve.web import SITE, Site, local_address

_LEAST_PAUSE_S = 5


class Tracker:
    """Swarms of this server. own_port: that of its seeder; None: it has none."""

    def __init__(self, published: Published, own_port: int | None) -> None:
        self._published = published
        self._own_port = own_port
        self._swarms = Swarms(Random())  # noqa: S311 - spreads load, guards nothing
        self._groups: tuple[Cluster, dict[IPv4Address, str]] | None = None

    def add_routes(self, app: web.Application) -> None:
        """Add GET /announce."""
        app.router.add_get("/announce", self._announce)

    async def _announce(self, request: web.Request) -> web.Response:
        site = request.app[SITE]
        try:
            announce = parse_announce(request.rel_url.raw_query_string)
        except AnnounceInvalid as error:
            return _answer(render_refusal(str(error)))
        if await asyncio.to_thread(self._published.find, announce.info_hash) is None:
            self._swarms.drop(announce.info_hash)
            return _answer(render_refusal("no published version has this info-hash"))
        address = IPv4Address(request.remote or "")
        member = Member(
            address=address,
            port=announce.port,
            peer_id=announce.peer_id,
            group=self._group(site.entries.cluster(), address),
            complete=announce.complete,
        )
        if announce.stopped:
            self._swarms.leave(announce.info_hash, member)
            return _answer(self._told(announce, (), LEAST_INTERVAL_S))
        interval_s = self._swarms.hear(announce.info_hash, member, time.monotonic())
        others = self._others(site, request, announce, member)
        return _answer(self._told(announce, others, interval_s))

    def _others(
        self, site: Site, request: web.Request, announce: Announce, member: Member
    ) -> tuple[Member, ...]:
        if not announce.wanted:
            return ()
        networks = site.access.networks
        own: tuple[Member, ...] = ()
        if self._own_port is not None and not announce.complete:
            server = site.settings.server.address or local_address(request)
            own = (Member(IPv4Address(server), self._own_port),)
        wanted = announce.wanted - len(own)
        return own + self._swarms.choose(announce.info_hash, member, wanted, networks)

    def _told(self, announce: Announce, others: tuple[Member, ...], interval_s: int) -> bytes:
        complete, incomplete = self._swarms.counts(announce.info_hash)
        return render_answer(
            others,
            interval_s=interval_s,
            least_s=_LEAST_PAUSE_S,
            complete=complete,
            incomplete=incomplete,
            compact=announce.compact,
        )

    def _group(self, cluster: Cluster, address: IPv4Address) -> str | None:
        """The first group of the client that has this address in cluster.xml."""
        if self._groups is None or self._groups[0] is not cluster:
            placed = {one.ip: one.groups[0] for one in cluster.clients if one.ip and one.groups}
            self._groups = cluster, placed
        return self._groups[1].get(address)


def _answer(body: bytes) -> web.Response:
    headers = {"Content-Type": "text/plain", "Cache-Control": "no-store"}
    return web.Response(body=body, headers=headers)
