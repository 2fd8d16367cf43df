"""The seeder: every published pack, shared by libtorrent straight from its version's folder.

Stage 7, one server process. Nothing is hashed when it starts: libtorrent's seed mode checks each
piece when it is first asked for. Nothing is ever written: a torrent in upload mode asks nobody for
pieces, and one whose pack turned out to be spoiled is taken out at once. The settings keep short
the queue of what each peer has asked for, or peers would get the same pieces from here instead of
different ones from each other.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, cast

import libtorrent

from si.config import Settings
from si.errors import SIError
from si.serve.access import Access
from si.serve.ports import explained, open_tcp
from si.serve.published import Published, Shared
from si.version.store import PACK

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 1.0
_START_S: Final = 10.0
_ALLOW, _BLOCK = 0, 1
_FLAGS = libtorrent.torrent_flags
_SEED: Final = _FLAGS.seed_mode | _FLAGS.upload_mode
_NOT: Final = _FLAGS.auto_managed | _FLAGS.paused
CONNECTIONS: Final = 2000
"""Of all peers with the seeder at once."""
_SETTINGS: Final[dict[str, Any]] = {
    "user_agent": "si-server",
    "listen_system_port_fallback": False,
    "max_retry_port_bind": 0,
    "enable_dht": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "enable_lsd": True,
    "allow_multiple_connections_per_ip": True,  # peers behind one router
    "unchoke_slots_limit": -1,
    "request_queue_time": 1,
    "whole_pieces_threshold": 0,
    "max_allowed_in_request_queue": 4,
    "connections_limit": CONNECTIONS,
    "alert_mask": libtorrent.alert.category_t.error_notification
    | libtorrent.alert.category_t.status_notification
    | libtorrent.alert.category_t.storage_notification,
}


class Seeder:
    """Shares what is published while it runs."""

    def __init__(self, settings: Settings, access: Access, published: Published) -> None:
        self._settings = settings
        self._access = access
        self._published = published
        self._session: Any = None
        self._shared: dict[Shared, Any] = {}
        self._spoiled: set[Shared] = set()
        self._networks: tuple[object, ...] | None = None

    async def start(self) -> None:
        """Open the port and share what there is. Raises PortTaken, PrivilegeMissing, SIError."""
        address, port = self._settings.server.listen, self._settings.server.torrent_port
        with explained("torrent", "tcp", address, port):
            open_tcp(address, port).close()
        session = cast(Any, libtorrent.session)  # its stubs know no plain dictionary
        self._session = session({**_SETTINGS, "listen_interfaces": f"{address}:{port}"})
        await asyncio.to_thread(self.follow)
        deadline = asyncio.get_running_loop().time() + _START_S
        while self._session.listen_port() != port:
            if asyncio.get_running_loop().time() > deadline:
                raise SIError(f"the seeder does not listen on {address}:{port}")
            await asyncio.sleep(0.02)

    async def keep(self) -> None:
        """Follow the store of versions and the networks; until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await asyncio.to_thread(self.follow)
            except (OSError, SIError) as error:
                log.warning("torrent: the store of versions was not read: %s", error)

    def stop(self) -> None:
        """Leave all swarms."""
        self._session.pause()
        self._session = None

    def follow(self) -> None:
        """Share what is new, let go what is gone or spoiled, answer whom the settings name."""
        if self._networks != self._access.networks:
            self._networks = self._access.networks
            self._session.set_ip_filter(_filter(self._access))
        published = set(self._published.all())
        for gone in self._shared.keys() - published:
            self._session.remove_torrent(self._shared.pop(gone))
            log.info("torrent: %s is gone", gone.name)
        self._spoiled &= published
        for fresh in published - self._shared.keys() - self._spoiled:
            self._add(fresh)
        self._hear_alerts()

    def _add(self, fresh: Shared) -> None:
        parameters = libtorrent.add_torrent_params()
        parameters.ti = libtorrent.torrent_info(fresh.data)
        parameters.save_path = str(fresh.folder)
        parameters.flags = (parameters.flags | _SEED) & ~_NOT
        if (fresh.folder / PACK).stat().st_size != parameters.ti.total_size():
            self._leave_out(fresh, "its pack has another size than was published")
            return
        self._shared[fresh] = self._session.add_torrent(parameters)
        log.info("torrent: %s is shared", fresh.name)

    def _hear_alerts(self) -> None:
        """Take out whose pack failed its hash or cannot be read."""
        bad = (
            libtorrent.hash_failed_alert,
            libtorrent.file_error_alert,
            libtorrent.torrent_error_alert,
        )
        for alert in self._session.pop_alerts():
            log.debug("torrent: %s", alert)
            for shared, handle in list(self._shared.items()):
                if isinstance(alert, bad) and alert.handle == handle:
                    self._session.remove_torrent(self._shared.pop(shared))
                    self._leave_out(shared, str(alert.message()))
        for shared, handle in list(self._shared.items()):
            if not handle.status().is_seeding:
                self._session.remove_torrent(self._shared.pop(shared))
                self._leave_out(shared, "its pack is not what was published")

    def _leave_out(self, shared: Shared, why: str) -> None:
        self._spoiled.add(shared)
        log.error("torrent: %s is not shared any more: %s; see si-server --check", shared.name, why)


def _filter(access: Access) -> Any:
    """The networks that are answered, as a filter of addresses."""
    only = libtorrent.ip_filter()
    only.add_rule("0.0.0.0", "255.255.255.255", _BLOCK)  # noqa: S104 - a range
    only.add_rule("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", _BLOCK)
    for network in access.networks:
        only.add_rule(str(network[0]), str(network[-1]), _ALLOW)
    return only
