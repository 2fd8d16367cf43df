"""The client program of the transport torrent: a version's pack to stdout, in order, then sharing.

    python3 torrent.py TORRENT FOLDER TRACKER PORT PATIENCE

TORRENT is the version's torrent file; the pack is staged in FOLDER, on the disk that is installed,
since a swarm is fast when its peers fetch in no order. Each piece goes to stdout once it and all
before it came and have the hashes that the torrent names, so that unpacking begins before the end.
Exit status 0: all of it went out; a process that shares it stays in the background until it gets
SIGTERM, and its number stands in FOLDER/pid. 1: stderr says why. 3: nobody sent anything for
PATIENCE seconds; FOLDER/sent says how many bytes went out until then.

Standard library and libtorrent alone, and few modules, for each is in the initrd.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False  # as of typing, which is a large module
if TYPE_CHECKING:
    from typing import Any

sys.path.append("/usr/lib/python3/dist-packages")  # BOEL starts Python without its site module
import libtorrent  # noqa: E402

_LOOK_EVERY_MS = 200
_TELL_EVERY_S = 5
_ASK_TRACKER_EVERY_S = 15
_FORGIVE_AFTER_S = 5
_READ_AHEAD = 64
_FAILED, _DESERTED = 1, 3
_LOOK_AT_PEERS_EVERY_S = 1
_SETTINGS = {
    "user_agent": "boel",
    "enable_dht": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "enable_lsd": True,
    "allow_multiple_connections_per_ip": True,  # peers behind one router
    "connections_limit": 80,
    "connection_speed": 100,
    "torrent_connect_boost": 80,
    "min_reconnect_time": 2,  # seconds, times the failures so far
    "max_failcount": 100,
    # libtorrent's five minutes overrule the tracker's half a minute: who asks before there is
    # anybody to hear of would hear of nobody for as long.
    "min_announce_interval": 15,
    # What makes peers ask each other, and not all of them the server for the same piece.
    "unchoke_slots_limit": -1,
    "request_queue_time": 1,
    "whole_pieces_threshold": 0,
    "max_allowed_in_request_queue": 4,
    "alert_mask": libtorrent.alert.category_t.error_notification
    | libtorrent.alert.category_t.peer_notification
    | libtorrent.alert.category_t.storage_notification
    | libtorrent.alert.category_t.status_notification,
}


class Fault(Exception):
    """Why the pack cannot be had, and the exit status that says so."""

    def __init__(self, line: str, status: int) -> None:
        super().__init__(line)
        self.status = status


class Fetch:
    """One pack on its way from the swarm to stdout."""

    def __init__(self, torrent: str, folder: str, tracker: str, port: int) -> None:
        session: Any = libtorrent.session
        self.session = session({**_SETTINGS, "listen_interfaces": f"0.0.0.0:{port}"})
        self.info = libtorrent.torrent_info(torrent)
        self.folder = folder
        self.tracker = tracker
        self.sent = 0
        self.read: dict[int, bytes] = {}
        self._join()

    def _join(self) -> None:
        """Become one of the swarm; what the folder has of the pack is checked, and kept."""
        parameters: Any = libtorrent.add_torrent_params()
        parameters.ti = self.info
        parameters.save_path = self.folder
        parameters.trackers = [self.tracker]
        flags = libtorrent.torrent_flags
        parameters.flags &= ~(flags.auto_managed | flags.paused)
        self.handle: Any = self.session.add_torrent(parameters)
        self.asked = self.sent
        self.known: frozenset[int] = frozenset()
        self.look_at_peers = 0.0
        self.banned = False

    def _forgive(self) -> None:
        """Forget who was banned: those whose bytes shared a piece with a liar's are among them, and
        in a small swarm that is everybody."""
        self.session.remove_torrent(self.handle)
        self._join()

    def run(self, patience_s: float) -> None:
        """Until the last byte went to stdout."""
        heard, done, told = time.monotonic(), 0, 0.0
        asked = heard
        while self.sent < self.info.num_pieces():
            self.session.wait_for_alert(_LOOK_EVERY_MS)
            self._hear()
            status = self.handle.status()
            self._prefer()
            self._ask(status)
            self._send()
            now = time.monotonic()
            if status.total_done != done or status.state != status.downloading:
                heard, done = now, status.total_done
            if now - max(heard, asked) > _ASK_TRACKER_EVERY_S:
                asked = now  # a server that was away may be back long before libtorrent asks it
                self.handle.force_reannounce()
            if now - heard > patience_s:
                _note(self.folder, "sent", self.sent * self.info.piece_length())
                raise Fault(f"no peer sent anything for {patience_s:g} s", _DESERTED)
            if self.banned and now - heard > _FORGIVE_AFTER_S:
                self._forgive()
            if now - told > _TELL_EVERY_S:
                told = now
                _tell(status)

    def share(self) -> None:
        """For as long as this process lives."""
        while True:
            self.session.wait_for_alert(60_000)
            self.session.pop_alerts()

    def _hear(self) -> None:
        for alert in self.session.pop_alerts():
            if isinstance(alert, libtorrent.read_piece_alert):
                if alert.error.value():
                    raise Fault(alert.error.message(), _FAILED)
                self.read[alert.piece] = bytes(alert.buffer)
            elif isinstance(alert, (libtorrent.file_error_alert, libtorrent.torrent_error_alert)):
                raise Fault(alert.message(), _FAILED)
            elif isinstance(alert, libtorrent.peer_ban_alert):
                self.banned = True
                print(f"torrent: {alert.message()}", file=sys.stderr, flush=True)
            elif isinstance(alert, libtorrent.listen_failed_alert):
                print(f"torrent: {alert.message()}", file=sys.stderr, flush=True)

    def _prefer(self) -> None:
        """Say anew what is wanted first, when others came or went.

        Each piece belongs to one of those that lack some. A client asks for its own before all
        others: only the server has them yet, and nobody else asks it for these. The others' it gets
        from those whom they belong to, the earlier quarters of the pack first, so that unpacking
        begins before the end. A strict order would have all ask the server for the same.
        """
        now = time.monotonic()
        if now < self.look_at_peers:
            return
        self.look_at_peers = now + _LOOK_AT_PEERS_EVERY_S
        ours, others = self._addresses()
        if ours | others == self.known:
            return
        self.known = ours | others
        count: int = self.info.num_pieces()
        self.handle.prioritize_pieces(
            [
                _priority(piece / count, is_ours=_owner(piece, self.known) in ours and bool(others))
                for piece in range(count)
            ]
        )

    def _addresses(self) -> tuple[frozenset[int], frozenset[int]]:
        """This machine's, and those of the others that still lack something, as numbers."""
        peers = [
            peer
            for peer in self.handle.get_peer_info()
            if not peer.flags & (peer.seed | peer.connecting | peer.handshake)
        ]
        ours = frozenset(_number(peer.local_endpoint[0]) for peer in peers)
        return ours, frozenset(_number(peer.ip[0]) for peer in peers) - ours

    def _ask(self, status: Any) -> None:
        """Read what is next and came, a bounded way ahead of what was sent."""
        end = min(self.info.num_pieces(), self.sent + _READ_AHEAD)
        while self.asked < end and (status.is_seeding or status.pieces[self.asked]):
            self.handle.read_piece(self.asked)
            self.asked += 1

    def _send(self) -> None:
        while self.sent in self.read:
            data = memoryview(self.read.pop(self.sent))
            while data:
                data = data[os.write(1, data) :]
            self.sent += 1


def _owner(piece: int, addresses: frozenset[int]) -> int:
    """Whose a piece is: all that know the same addresses say the same, and when one comes or goes,
    only pieces that are its own change hands. Numbers have the same hash everywhere."""
    return max(addresses, key=lambda address: hash((address, piece)), default=0)


def _priority(place: float, *, is_ours: bool) -> int:
    """libtorrent's, of the piece that lies at `place` of the pack, from 0 up to 1."""
    if is_ours:
        return 7 if place < 0.5 else 6
    return 4 - int(4 * place)


def _number(address: str) -> int:
    number = 0
    for part in address.split("."):
        number = number << 8 | int(part)
    return number


def main() -> int:
    """Fetch in a child, which goes on to share; the exit status is what the child says."""
    torrent, folder, tracker, port, patience = sys.argv[1:]
    ours, childs = os.pipe()
    child = os.fork()
    if child:
        os.close(childs)
        os.close(1)
        _note(folder, "pid", child)
        said = os.read(ours, 1)
        return said[0] if said else _FAILED
    os.close(ours)
    status = 0
    try:
        fetch = Fetch(torrent, folder, tracker, int(port))
        fetch.run(float(patience))
    except (Fault, OSError, RuntimeError) as error:
        print(f"torrent: {error}", file=sys.stderr, flush=True)
        status = error.status if isinstance(error, Fault) else _FAILED
    nowhere = os.open("/dev/null", os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    os.write(childs, bytes([status]))
    os.close(childs)
    if status == 0:
        fetch.share()
    os._exit(status)


def _note(folder: str, name: str, number: int) -> None:
    # BOEL has this encoding alone, and no pathlib.
    with open(f"{folder}/{name}", "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(f"{number}\n")


def _tell(status: Any) -> None:
    print(
        f"torrent: {status.total_wanted_done} of {status.total_wanted} bytes,"
        f" {status.download_payload_rate // 1000} kB/s,"
        f" {status.upload_payload_rate // 1000} kB/s to others, {status.num_peers} peers",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
