"""Whether a machine that asks to boot installs or starts its own disk.

Stage 7, one server process. In goes a MAC or an address, out comes an entry for `si.boot.netboot`;
HTTP and TFTP ask here, so that both give the same answer. Whatever is not certain - an unknown MAC,
a broken cluster.xml, a missing flavor - means the machine's own disk.
"""

from __future__ import annotations

import logging
import threading

from si.boot.arming import Arming, load_arming
from si.boot.netboot import Entry, InstallEntry, LocalEntry
from si.cluster import Cluster, load_cluster
from si.config import Settings
from si.errors import DocumentInvalid
from si.monitor.events import client_state
from si.monitor.unknown import note_unknown

log = logging.getLogger(__name__)


class Entries:
    """Answers from cluster.xml and the armings. May be asked from any thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._cluster = Cluster()
        self._read: tuple[int, ...] | None = None

    def cluster(self) -> Cluster:
        """cluster.xml, read again when it changed; while it is faulty, as it was before."""
        with self._lock:
            stamp = self._stamp()
            if stamp != self._read:
                self._read = stamp
                try:
                    self._cluster = load_cluster(self.settings)
                except DocumentInvalid as error:
                    log.error("%s; what it said before stays in force", error.message)
            return self._cluster

    def for_mac(self, mac: str, *, ip: str, local: str) -> Entry:
        """The entry of the machine with this MAC (aa:bb:...).

        `ip` is where it asks from, `local` the address of this server that it reached. A MAC that
        cluster.xml does not name is noted for si-monitor.
        """
        client = self.cluster().by_mac(mac)
        if client is None:
            note_unknown(self.settings, mac, ip)
            return LocalEntry(f"{mac} is not in cluster.xml, booting its own disk")
        arming = load_arming(self.settings, client.name)
        if arming is None or arming.mac != mac:
            return LocalEntry(f"{client.name} is not armed, booting its own disk")
        return self._armed_entry(arming, local)

    def for_ip(self, ip: str, *, local: str) -> Entry:
        """The entry of the client that has this address in cluster.xml."""
        client = self.cluster().by_ip(ip)
        if client is None or client.mac is None:
            return LocalEntry("this machine is not armed, booting its own disk")
        return self.for_mac(client.mac, ip=ip, local=local)

    def http_base(self, local: str) -> str:
        """http://ADDRESS:PORT for a client that reached this server at `local`."""
        server = self.settings.server
        return f"http://{server.address or local}:{server.http_port}"

    def rsync_base(self, local: str) -> str:
        """rsync://ADDRESS:PORT for a client that reached this server at `local`."""
        server = self.settings.server
        return f"rsync://{server.address or local}:{server.rsync_port}"

    def _armed_entry(self, arming: Arming, local: str) -> Entry:
        name = arming.client
        state = client_state(self.settings, name)
        if not state.may_install:
            return LocalEntry(f"{name} is {state.state}, booting its own disk")
        kernel = self.settings.flavors / arming.arch / arming.flavor / "kernel"
        if not kernel.is_file():
            log.error("%s is armed, but its flavor is gone: %s", name, kernel.parent)
            return LocalEntry(f"{name} has no flavor {arming.flavor}, booting its own disk")
        return InstallEntry(
            client=name,
            mac=arming.mac,
            arch=arming.arch,
            flavor=arming.flavor,
            token=arming.token,
            server=self.http_base(local),
            append=arming.append,
        )

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = self.settings.cluster_xml.stat()
        except OSError:
            return ()
        return (found.st_mtime_ns, found.st_size, found.st_ino)
