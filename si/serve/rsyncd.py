"""The rsync daemon that hands out images and overrides: its configuration, and its keeper.

Stage 7, one server process. rsyncd.conf is generated from what lies in the store; the daemon reads
it anew for every connection, so that `si-getimage` and the like only have to write it again.
Modules are read-only, cannot be listed, and answer the networks of the settings alone. Each
transfer runs in a chroot of the tree it began with: an image that is exchanged meanwhile stays
whole for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess  # noqa: TID251 - for the type of what si.system.run started
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

from si.config import Settings
from si.errors import NameInvalid, SIError
from si.names_check import check_name
from si.serve.access import allowed_networks
from si.system.files import replace_file
from si.system.run import DEVNULL, find_tool, start
from si.version.tree import list_trees

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 200
OVERRIDE_PREFIX = "override-"
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STEADY_AFTER_S = 60.0
_STOP_S = 5.0
_LOOK_EVERY_S = 15.0


def render_rsyncd_conf(
    *,
    modules: Iterable[tuple[str, Path]],
    networks: Iterable[IPv4Network],
    log_file: Path,
    lock_file: Path,
) -> str:
    """The text of rsyncd.conf. With no network at all, nobody is answered."""
    lines = [
        "# Written by si; changes are lost.",
        "use chroot = yes",
        "uid = 0",
        "gid = 0",
        "numeric ids = yes",
        "read only = yes",
        "list = no",
        "munge symlinks = no",
        "reverse lookup = no",
        # rsync writes many small messages; without this each waits for the answer to the last.
        "socket options = TCP_NODELAY",
        "dont compress = *",
        f"max connections = {MAX_CONNECTIONS}",
        "timeout = 600",
        f"log file = {log_file}",
        f"lock file = {lock_file}",
        f"hosts allow = {' '.join(str(network) for network in networks)}".rstrip(),
        "hosts deny = *",
    ]
    for name, path in modules:
        lines += ["", f"[{name}]", f"path = {path}"]
    return "\n".join(lines) + "\n"


def list_modules(settings: Settings) -> tuple[tuple[str, Path], ...]:
    """A module for each image, by its name, for each version that is unpacked, as NAME@N, and for
    each override, as override-NAME."""
    images = [(name, settings.images / name) for name in _names(settings.images)]
    taken = {name for name, _ in images}
    versions = [
        (str(version), path) for name, _ in images for version, path in list_trees(settings, name)
    ]
    overrides = [
        (f"{OVERRIDE_PREFIX}{name}", settings.overrides / name)
        for name in _names(settings.overrides)
    ]
    for name, path in overrides:
        if name in taken:
            log.warning("image %s hides the override at %s from clients: rename it", name, path)
    return tuple(images + versions + [each for each in overrides if each[0] not in taken])


def write_rsyncd_conf(settings: Settings) -> Path:
    """Write run/rsyncd.conf for the store as it is now, in one step; gives its path."""
    text = render_rsyncd_conf(
        modules=list_modules(settings),
        networks=allowed_networks(settings),
        log_file=settings.run / "rsyncd.log",
        lock_file=settings.run / "rsyncd.lock",
    )
    path = settings.run / "rsyncd.conf"
    if not path.is_file() or path.read_text() != text:
        replace_file(path, text.encode())
    return path


async def keep_rsyncd_conf(settings: Settings) -> None:
    """Write the configuration again whenever trees or networks changed; until cancelled."""
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            await asyncio.to_thread(write_rsyncd_conf, settings)
        except (OSError, SIError) as error:
            log.warning("rsyncd.conf was not written again: %s", error)


class RsyncDaemon:
    """Runs `rsync --daemon` and starts it again when it dies."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Write the configuration and start the daemon. Raises ToolMissing."""
        settings = self.settings
        settings.images.mkdir(parents=True, exist_ok=True)
        conf = write_rsyncd_conf(settings)
        # setpriv asks the kernel to end the daemon with this process, even when that is killed;
        # transfers that run then are children of the daemon and end in peace.
        argv = [find_tool("setpriv", package="util-linux"), "--pdeathsig", "TERM"]
        argv += [find_tool("rsync"), "--daemon", "--no-detach", f"--config={conf}"]
        argv += [f"--port={settings.server.rsync_port}", f"--address={settings.server.listen}"]
        self._process = start(argv, stdout=DEVNULL, stderr=DEVNULL, new_session=True)

    @property
    def is_running(self) -> bool:
        """Whether the daemon has not ended."""
        return self._process is not None and self._process.poll() is None

    async def keep(self) -> None:
        """Start the daemon again whenever it ends, with growing pauses; until cancelled."""
        pause_s, clock = _FIRST_PAUSE_S, asyncio.get_running_loop().time
        while True:
            began = clock()
            code = await self._ended()
            if clock() - began > _STEADY_AFTER_S:
                pause_s = _FIRST_PAUSE_S
            log.error(
                "rsync ended with %d, starting it again in %g s (see %s)",
                code, pause_s, self.settings.run / "rsyncd.log",
            )  # fmt: skip
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            self.start()

    async def stop(self) -> None:
        """End the daemon and the transfers it runs."""
        process = self._process
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended(), _STOP_S)
                break
        self._process = None

    async def _ended(self) -> int:
        # Polled, for a thread that waits could not be cancelled.
        assert self._process is not None
        while (code := self._process.poll()) is None:
            await asyncio.sleep(0.1)
        return code


def _names(folder: Path) -> list[str]:
    """Names of the trees in a folder of the store; hidden ones are being made or removed."""
    if not folder.is_dir():
        return []
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.is_symlink() or not entry.is_dir():
            continue
        try:
            found.append(check_name("image", entry.name))
        except NameInvalid:
            log.warning("%s is not served: its name is not one of an image", entry)
    return found
