"""Peers of a swarm that send what nobody should believe, each to the first that connects."""

from __future__ import annotations

import contextlib
import random
import socket
import struct

_HANDSHAKE = 68
_UNCHOKE, _REQUEST, _PIECE, _HAVE_ALL = 1, 6, 7, 0x0E
_FAST = bytes((0, 0, 0, 0, 0, 0, 0, 4))
"""The extension that has a message for "I have all"."""
_NOISE = random.Random(5)


def speak_noise(door: socket.socket) -> bool:
    """No handshake, but noise. Gives whether anybody came."""
    link, _ = door.accept()
    with link, contextlib.suppress(OSError):
        link.sendall(_NOISE.randbytes(1 << 20))
    return True


def lie_about_pieces(door: socket.socket) -> bool:
    """A peer by all its manners, but for the bytes. Gives whether any were sent."""
    link, _ = door.accept()
    lied = False
    with link, contextlib.suppress(OSError), link.makefile("rb") as heard:
        hello = heard.read(_HANDSHAKE)
        link.sendall(hello[:20] + _FAST + hello[28:48] + b"-XX0000-" + _NOISE.randbytes(12))
        link.sendall(_message(_HAVE_ALL) + _message(_UNCHOKE))
        while size := heard.read(4):
            told = heard.read(*struct.unpack(">I", size))
            if told and told[0] == _REQUEST:
                piece, begin, length = struct.unpack(">III", told[1:])
                noise = struct.pack(">II", piece, begin) + _NOISE.randbytes(length)
                link.sendall(_message(_PIECE, noise))
                lied = True
    return lied


def _message(kind: int, rest: bytes = b"") -> bytes:
    return struct.pack(">IB", 1 + len(rest), kind) + rest
