"""One TFTP transfer: tftpy's server session with checked options and its own clock.

Stage 7, one server process. tftpy brings the packets and the state "a block is out, an ACK is
awaited"; here stands what it gets wrong: packets of strangers are answered and not obeyed
(RFC 1350, section 4), doubled ACKs do not put off a resend, and a resend waits its full time
whatever other sessions do.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from io import RawIOBase
from typing import BinaryIO, cast

from tftpy.TftpContexts import TftpContextServer
from tftpy.TftpPacketTypes import TftpPacketOACK
from tftpy.TftpShared import TftpException, TftpTimeoutExpectACK
from tftpy.TftpStates import TftpStateExpectACK

from si.serve.tftp_request import UNKNOWN_ID, Answer, error_packet

Address = tuple[str, int]

RESENDS = 6
FIRST_RESEND_S = 1.0
LONGEST_RESEND_S = 8.0
_SEND_TIMEOUT_S = 0.2


class Session(TftpContextServer):  # type: ignore[misc]  # tftpy has no types
    """Sends one file to one client. `state` is None when it is over."""

    def __init__(
        self, peer: Address, local: str, request: bytes, file: BinaryIO, answer: Answer
    ) -> None:
        super().__init__(*peer, _SEND_TIMEOUT_S, root="/", flock=False)
        self.peer = peer
        self.request = request
        self.answer = answer
        self.resends = 0
        self.first_resend_s = float(answer.timeout_s or FIRST_RESEND_S)
        self.due = time.monotonic() + self.first_resend_s
        self.tidport = peer[1]
        self.options = {"blksize": answer.block}
        try:
            self.sock.bind((local, 0))
        except OSError:
            self.sock.close()
            raise
        self.fileobj = file

    def begin(self) -> None:
        """Send the OACK when an option was granted, else the first block."""
        self.state = TftpStateExpectACK(self)
        if self.answer.acknowledged:
            packet = TftpPacketOACK()
            packet.options = dict(self.answer.acknowledged)
            self.sock.sendto(packet.encode().buffer, self.peer)
            self.last_pkt = packet
        else:
            self.next_block = 1
            self.pending_complete = self.state.sendDAT()

    def receive(self) -> None:
        """Take the packet that waits at this session's socket."""
        try:
            packet, sender = self.sock.recvfrom(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if sender != self.peer:
            self._answer_stranger(packet, sender)
            return
        sent = self.last_pkt
        try:
            self.state = self.state.handle(self.factory.parse(packet), *self.peer)
        except TftpTimeoutExpectACK:
            return  # a doubled ACK: `resend` has its own clock
        if self.last_pkt is not sent:
            self.resends = 0
            self.due = time.monotonic() + self.first_resend_s

    def _answer_stranger(self, packet: bytes, sender: Address) -> None:
        if packet[:2] == b"\0\5":
            return
        with suppress(OSError):
            self.sock.sendto(error_packet(UNKNOWN_ID, "unknown transfer id"), sender)

    def resend(self) -> None:
        """Send the last packet again. Raises TftpException after too many of them."""
        self.resends += 1
        if self.resends > RESENDS:
            raise TftpException("the client stopped answering")
        longest = max(LONGEST_RESEND_S, self.first_resend_s)
        self.due = time.monotonic() + min(self.first_resend_s * 2**self.resends, longest)
        self.state.resendLast()


class NetasciiReader(RawIOBase):
    """A file as netascii carries it (RFC 764): a line end is CR LF, a lone CR is CR NUL."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self.file = file
        self.ready = b""

    def read(self, size: int = -1) -> bytes:
        """`size` bytes of the translation; fewer only at the end."""
        while len(self.ready) < size:
            chunk = self.file.read(65536)
            if not chunk:
                break
            self.ready += chunk.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")
        taken, self.ready = self.ready[:size], self.ready[size:]
        return taken

    def close(self) -> None:
        """Close the file as well."""
        self.file.close()
        super().close()


def size_of(file: BinaryIO) -> int:
    """Length in bytes of an open file, which is left at its beginning."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def as_netascii(file: BinaryIO) -> BinaryIO:
    """`file`, read through the translation."""
    return cast(BinaryIO, NetasciiReader(file))
