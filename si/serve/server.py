"""One process that serves everything: TFTP in a thread, HTTP in the loop, rsync as a child.

Stage 7, one server process. Torrents are seeded by threads of libtorrent's own. It stays in the
foreground, says one line for each service once all of them answer, and ends cleanly on SIGTERM and
SIGINT. A service that cannot go on ends the server, so that whatever supervises it sees it; only
rsync is started again, since it serves on its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from enum import StrEnum

from aiohttp import web

from si.boot.clientapp import build_client_app
from si.config import Settings
from si.errors import CommandFailed, PrivilegeMissing, SIError
from si.image.swap import sweep_old_trees
from si.serve import installs, versions
from si.serve.access import Access, server_address
from si.serve.boot_files import BootFiles, copy_boot_programs
from si.serve.entries import Entries
from si.serve.ports import explained, open_tcp
from si.serve.published import Published
from si.serve.rsyncd import RsyncDaemon, keep_rsyncd_conf
from si.serve.status import Service, only_server, write_status
from si.serve.tftp import BootTftpServer
from si.serve.torrent import Seeder
from si.serve.tracker import Tracker
from si.serve.web import Site, make_app

log = logging.getLogger(__name__)

_ANSWER_S = 10.0
_LAST_ANSWERS_S = 2.0


class ServiceName(StrEnum):
    """What `--only` chooses from."""

    TFTP = "tftp"
    HTTP = "http"
    RSYNC = "rsync"
    TORRENT = "torrent"


def serve(settings: Settings, only: Sequence[ServiceName], *, say: Callable[[str], None]) -> None:
    """Serve until a signal; `say` gets the ready lines.

    Raises ServerAlreadyRuns, PortTaken, PrivilegeMissing, ConfigInvalid, ToolMissing.
    """
    with only_server(settings):
        asyncio.run(_Server(settings, only, say).run())


class _Server:
    def __init__(
        self, settings: Settings, only: Sequence[ServiceName], say: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self.only = only
        self.say = say
        self.access = Access(settings)
        self.entries = Entries(settings)
        self.published = Published(settings)

    async def run(self) -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        self._sweep()
        async with AsyncExitStack() as stack:
            starts = {
                ServiceName.TFTP: self._start_tftp,
                ServiceName.HTTP: self._start_http,
                ServiceName.RSYNC: self._start_rsync,
                ServiceName.TORRENT: self._start_torrent,
            }
            stop = asyncio.create_task(stopped.wait())
            tasks: list[asyncio.Task[None]] = []
            services = []
            for name in self.only:
                tasks += await starts[name](stack)
                services.append(self._service(name))
            write_status(self.settings, tuple(services))
            for service in services:
                self.say(str(service))
            ended, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task in ended:
                    task.result()
                    raise SIError("a service ended by itself", hint="its last words are above")
            log.info("stopping")

    async def _start_tftp(self, stack: AsyncExitStack) -> list[asyncio.Task[None]]:
        for warning in copy_boot_programs(self.settings):
            log.warning("%s", warning)
        files = BootFiles(self.settings, self.entries)
        server = BootTftpServer(
            str(self.settings.tftpboot), source=files.open, allows=self.access.allows
        )
        address, port = self.settings.server.listen, self.settings.server.tftp_port
        with explained("tftp", "udp", address, port):
            server.open_port(address, port)
        task = asyncio.create_task(asyncio.to_thread(server.listen))

        async def stop() -> None:
            server.stop()
            with suppress(Exception):
                await task

        stack.push_async_callback(stop)
        return [task]

    async def _start_http(self, stack: AsyncExitStack) -> list[asyncio.Task[None]]:
        site = Site(self.settings, self.entries, self.access, build_client_app())
        app = make_app(site)
        installs.add_routes(app)
        versions.add_routes(app)
        seeds = ServiceName.TORRENT in self.only
        own_port = self.settings.server.torrent_port if seeds else None
        Tracker(self.published, own_port).add_routes(app)
        # The access log would show tokens, which stand in paths.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LAST_ANSWERS_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        address, port = self.settings.server.listen, self.settings.server.http_port
        with explained("http", "tcp", address, port):
            opened = open_tcp(address, port)
        await web.SockSite(runner, opened).start()
        return []

    async def _start_rsync(self, stack: AsyncExitStack) -> list[asyncio.Task[None]]:
        if os.geteuid() != 0:
            raise PrivilegeMissing(
                "the rsync daemon shuts each reader into its image, which takes root",
                hint="run si-server as root, or without it: --only tftp,http",
            )
        address, port = self.settings.server.listen, self.settings.server.rsync_port
        with explained("rsync", "tcp", address, port):
            open_tcp(address, port).close()
        daemon = RsyncDaemon(self.settings)
        daemon.start()
        stack.push_async_callback(daemon.stop)
        await self._wait_for_rsync(daemon)
        tasks = [
            asyncio.create_task(daemon.keep()),
            asyncio.create_task(keep_rsyncd_conf(self.settings)),
        ]
        for task in tasks:
            stack.callback(task.cancel)
        return tasks

    async def _start_torrent(self, stack: AsyncExitStack) -> list[asyncio.Task[None]]:
        seeder = Seeder(self.settings, self.access, self.published)
        await seeder.start()
        stack.callback(seeder.stop)
        task = asyncio.create_task(seeder.keep())
        stack.callback(task.cancel)
        return [task]

    async def _wait_for_rsync(self, daemon: RsyncDaemon) -> None:
        address, port = self.settings.server.listen, self.settings.server.rsync_port
        reachable = "127.0.0.1" if address == "0.0.0.0" else address  # noqa: S104 - compared only
        deadline = asyncio.get_running_loop().time() + _ANSWER_S
        while daemon.is_running and asyncio.get_running_loop().time() < deadline:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(reachable, port)
                writer.close()
                return
            await asyncio.sleep(0.05)
        raise CommandFailed(
            "rsync --daemon does not answer", hint=f"see {self.settings.run / 'rsyncd.log'}"
        )

    def _service(self, name: ServiceName) -> Service:
        server = self.settings.server
        port = {
            ServiceName.TFTP: server.tftp_port,
            ServiceName.HTTP: server.http_port,
            ServiceName.RSYNC: server.rsync_port,
            ServiceName.TORRENT: server.torrent_port,
        }[name]
        address = server.listen
        if address == "0.0.0.0":  # noqa: S104 - compared only
            with suppress(SIError):
                address = server_address(self.settings)
        return Service(name, address, port)

    def _sweep(self) -> None:
        try:
            for tree in sweep_old_trees(self.settings):
                log.info("kept for its readers: %s", tree)
        except (OSError, SIError) as error:
            log.warning("old trees were not removed: %s", error)
