"""TFTP for boot programs: tftpy, made to survive any packet.

Stage 7, one server process. tftpy's packets, sessions and state of a running transfer are used; its
receive loop and its reading of requests are replaced, because stock tftpy 0.8.7 dies of one bad
request (a folder, `blksize=abc`, a file name that is not ASCII, a source port of 0), answers
options that nobody asked for, obeys packets of strangers, and gives up on a client after a few
milliseconds when others are busy. What is sent is decided by `source`, see `si.serve.boot_files`.
"""

from __future__ import annotations

import logging
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from tftpy import TftpServer
from tftpy.TftpShared import TftpException

from si.serve.tftp_request import (
    ACCESS_VIOLATION,
    NOT_DEFINED,
    RequestRefused,
    answer_options,
    error_packet,
    parse_request,
)
from si.serve.tftp_session import Address, Session, as_netascii, size_of

Source = Callable[[str, str, str], BinaryIO]
"""(path, client's address, server's address) -> open file; raises RequestRefused."""

log = logging.getLogger(__name__)

MAX_SESSIONS = 512
MAX_SESSIONS_EACH = 32
_IP_PKTINFO = 8  # linux/in.h; the socket module of Python 3.11 has no name for it
_LONGEST_SLEEP_S = 1.0


class BootTftpServer(TftpServer):  # type: ignore[misc]  # tftpy has no types
    """Serves reads to the allowed addresses until `stop` is called."""

    def __init__(self, tftproot: str, *, source: Source, allows: Callable[[str], bool]) -> None:
        logging.getLogger("tftpy").setLevel(logging.CRITICAL)
        super().__init__(tftproot, flock=False)
        self.source = source
        self.allows = allows
        self.sessions: dict[Address, Session] = {}
        self.selector = selectors.DefaultSelector()
        self.wake_up, self.woken = socket.socketpair()

    def open_port(self, address: str, port: int) -> None:
        """Bind the port, so that a taken one is known before anything is started (OSError)."""
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.sock.bind((address, port))
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self.listenip, self.listenport = self.sock.getsockname()

    def listen(self) -> None:
        """Serve until `stop`; to be run in a thread of its own after `open_port`."""
        self.selector.register(self.sock, selectors.EVENT_READ)
        self.selector.register(self.woken, selectors.EVENT_READ)
        self.is_running.set()
        try:
            while not self.shutdown_immediately:
                for key, _ in self.selector.select(self._pause_s()):
                    if key.fileobj is self.sock:
                        self._take_request()
                    elif isinstance(key.data, Session):
                        with self._guard(key.data):
                            key.data.receive()
                self._resend_overdue()
        finally:
            self._close()

    def stop(self, now: bool = True) -> None:
        """End `listen`, whatever is being sent. May be called from any thread."""
        self.shutdown_immediately = True
        self.wake_up.send(b"x")

    def _take_request(self) -> None:
        try:
            packet, extra, _, peer = self.sock.recvmsg(65536, 64, socket.MSG_DONTWAIT)
        except OSError as error:
            log.debug("tftp: %s", error)
            return
        try:
            self._begin(packet, peer, _destination(extra))
        except RequestRefused as refusal:
            log.info("tftp: %s: refused: %s", peer[0], refusal.message)
            self._send_error(peer, refusal)
        except Exception as error:
            log.warning("tftp: %s: %s: %s", peer[0], type(error).__name__, error)
            self._send_error(peer, RequestRefused(NOT_DEFINED, "the server could not do it"))

    def _begin(self, packet: bytes, peer: Address, local: str) -> None:
        """Open a session for a new request; one that is merely repeated is already answered."""
        old = self.sessions.get(peer)
        if old is not None and old.request == packet:
            return
        if not self.allows(peer[0]):
            raise RequestRefused(ACCESS_VIOLATION, "this address gets no answers here")
        request = parse_request(packet)
        if old is not None:
            self._drop(old)
        self._check_room(peer)
        file = self.source(request.path, peer[0], local)
        size = size_of(file)
        reader = as_netascii(file) if request.netascii else file
        answer = answer_options(request, size=None if request.netascii else size)
        try:
            session = Session(peer, local, packet, reader, answer)
        except Exception:
            file.close()
            raise
        self.sessions[peer] = session
        self.selector.register(session.sock, selectors.EVENT_READ, session)
        log.info("tftp: %s gets %s (%d bytes)", peer[0], request.path, size)
        with self._guard(session):
            session.begin()

    def _check_room(self, peer: Address) -> None:
        same = sum(1 for address in self.sessions if address[0] == peer[0])
        if len(self.sessions) >= MAX_SESSIONS or same >= MAX_SESSIONS_EACH:
            raise RequestRefused(NOT_DEFINED, "too many transfers at once")

    def _resend_overdue(self) -> None:
        now = time.monotonic()
        for session in [each for each in self.sessions.values() if each.due <= now]:
            with self._guard(session):
                session.resend()

    @contextmanager
    def _guard(self, session: Session) -> Iterator[None]:
        """Whatever goes wrong inside ends this session and no other; so does its end."""
        try:
            yield
        except TftpException as error:
            log.debug("tftp: %s: %s", session.peer[0], error)
            session.state = None
        except Exception as error:
            log.warning("tftp: %s: %s: %s", session.peer[0], type(error).__name__, error)
            session.state = None
        if session.state is None:
            self._drop(session)

    def _drop(self, session: Session) -> None:
        if self.sessions.get(session.peer) is session:
            del self.sessions[session.peer]
        try:
            self.selector.unregister(session.sock)
        except (KeyError, ValueError):
            log.debug("tftp: %s: its socket was closed before", session.peer[0])
        session.end()

    def _send_error(self, peer: Address, refusal: RequestRefused) -> None:
        try:
            self.sock.sendto(error_packet(refusal.code, refusal.message), peer)
        except OSError as error:
            log.debug("tftp: no answer to %s: %s", peer[0], error)

    def _pause_s(self) -> float:
        first = min((session.due for session in self.sessions.values()), default=float("inf"))
        return max(0.0, min(first - time.monotonic(), _LONGEST_SLEEP_S))

    def _close(self) -> None:
        for session in list(self.sessions.values()):
            self._drop(session)
        self.selector.close()
        for opened in (self.sock, self.wake_up, self.woken):
            opened.close()
        self.is_running.clear()


def _destination(extra: list[tuple[int, int, bytes]]) -> str:
    """The address a client asked at, out of a packet's IP_PKTINFO: answers must come from it."""
    for level, kind, data in extra:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            _, local, _ = struct.unpack("@I4s4s", data[:12])
            return socket.inet_ntoa(local)
    return ""
