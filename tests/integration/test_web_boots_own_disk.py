"""A machine in QEMU whose firmware is told by our iPXE scripts to start its own disk."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from si.config import default_settings
from si.monitor.unknown import read_unknown
from si.serve.access import Access
from si.serve.entries import Entries
from si.serve.ports import open_tcp
from si.serve.web import Site, make_app

# Says DISK on the first serial port and halts.
BOOT_SECTOR = bytes.fromhex("31c08ed8fcbe167cbaf803ac84c07403eeebf8f4ebfd") + b"DISK-STARTED\n\0"
WAIT_S = 120.0


@pytest.fixture
def http(tmp_path: Path) -> Iterator[Site]:
    """A web server that a guest of QEMU's user network reaches at 10.0.2.2."""
    opened = open_tcp("127.0.0.1", 0)
    settings = default_settings(tmp_path)
    server = msgspec.structs.replace(
        settings.server,
        networks=("127.0.0.0/8",), address="10.0.2.2", http_port=opened.getsockname()[1],
    )  # fmt: skip
    settings = replace(settings, server=server)
    site = Site(settings, Entries(settings), Access(settings))
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(make_app(site), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.SockSite(runner, opened).start()
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield site
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_an_unknown_machine_starts_its_own_disk_and_is_noted(http: Site, tmp_path: Path) -> None:
    disk, serial = tmp_path / "disk.raw", tmp_path / "serial"
    disk.write_bytes(BOOT_SECTOR.ljust(510, b"\0") + b"\x55\xaa" + bytes(1024 * 1024 - 512))
    port = http.settings.server.http_port
    argv = [
        "qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "64", "-display", "none",
        "-serial", f"file:{serial}", "-monitor", "none", "-no-reboot",
        "-netdev", f"user,id=n0,bootfile=http://10.0.2.2:{port}/boot.ipxe",
        "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:77:00:01,bootindex=1",
        "-drive", f"file={disk},format=raw,if=virtio",
    ]  # fmt: skip
    machine = subprocess.Popen(argv)
    try:
        deadline = time.monotonic() + WAIT_S
        while b"DISK-STARTED" not in (serial.read_bytes() if serial.exists() else b""):
            assert machine.poll() is None
            assert time.monotonic() < deadline, serial.read_bytes()
            time.sleep(0.2)
    finally:
        machine.kill()
        machine.wait()
    assert [entry.mac for entry in read_unknown(http.settings)] == ["52:54:00:77:00:01"]
