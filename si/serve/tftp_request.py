"""Reading a TFTP request and answering its options.

Stage 7, one server process. Pure: bytes in, values and bytes out, after RFC 1350 (packets), 2347
(options), 2348 (blksize) and 2349 (timeout, tsize). It stands apart from `si.serve.tftp` because
stock tftpy dies of, or misreads, what is handled here: file names that are not ASCII, option
values that are no numbers, option names in capitals, and options that nobody asked for.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

MAX_REQUEST = 512
"""RFC 2347: the largest request packet."""
LEAST_BLOCK, MOST_BLOCK = 8, 65464
DEFAULT_BLOCK = 512
READ, WRITE = 1, 2
NOT_DEFINED, NOT_FOUND, ACCESS_VIOLATION, ILLEGAL_OPERATION, UNKNOWN_ID = 0, 1, 2, 4, 5

_NUMBER = re.compile(rb"[0-9]{1,18}")


class RequestRefused(Exception):
    """A request that gets an error packet: a code of RFC 1350 and a sentence."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Request:
    """A read request."""

    path: str
    """As the client wrote it, without leading slashes."""
    netascii: bool
    options: tuple[tuple[bytes, bytes], ...]
    """Names as the client spelt them, and values, in the client's order."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server makes of a request's options."""

    block: int
    timeout_s: int | None
    acknowledged: tuple[tuple[bytes, bytes], ...]
    """For the OACK; empty: begin with the first block at once."""


def parse_request(packet: bytes) -> Request:
    """Read the first packet of a session. Raises RequestRefused."""
    if len(packet) < 4 or len(packet) > MAX_REQUEST:
        raise RequestRefused(ILLEGAL_OPERATION, "not a TFTP request")
    (operation,) = struct.unpack("!H", packet[:2])
    if operation == WRITE:
        raise RequestRefused(ACCESS_VIOLATION, "this server takes no files")
    if operation != READ:
        raise RequestRefused(ILLEGAL_OPERATION, "not a read request")
    words = packet[2:].split(b"\0")
    if len(words) < 3 or not words[0]:
        raise RequestRefused(ILLEGAL_OPERATION, "malformed request")
    mode = words[1].lower()
    if mode not in (b"octet", b"netascii"):
        raise RequestRefused(ILLEGAL_OPERATION, "only modes octet and netascii")
    # A name without its value at the end, as some boot ROMs pad their request, is no option.
    pairs = tuple(zip(words[2:-1:2], words[3:-1:2], strict=False))
    return Request(_path(words[0]), mode == b"netascii", pairs)


def answer_options(request: Request, *, size: int | None) -> Answer:
    """Which of the requested options are granted. `size` is the file's, None when not known.

    Unknown options, values that make no sense and repeated options are passed over (RFC 2347). A
    block size above the largest is lowered to it; one below the least cannot be answered, since
    an answer must not exceed the request (RFC 2348).
    """
    block, timeout_s = DEFAULT_BLOCK, None
    granted: dict[bytes, tuple[bytes, bytes]] = {}
    for spelt, value in request.options:
        name = spelt.lower()
        if name in granted or _NUMBER.fullmatch(value) is None:
            continue
        number = int(value)
        if name == b"blksize" and number >= LEAST_BLOCK:
            block = min(number, MOST_BLOCK)
            granted[name] = (spelt, b"%d" % block)
        elif name == b"timeout" and 1 <= number <= 255:
            timeout_s = number
            granted[name] = (spelt, value)
        elif name == b"tsize" and size is not None:
            granted[name] = (spelt, b"%d" % size)
    return Answer(block, timeout_s, tuple(granted.values()))


def error_packet(code: int, message: str) -> bytes:
    """An ERROR packet."""
    return struct.pack("!HH", 5, code) + message.encode("ascii", "replace") + b"\0"


def acknowledge_packet(options: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """An OACK packet."""
    return struct.pack("!H", 6) + b"".join(b"%s\0%s\0" % pair for pair in options)


def _path(name: bytes) -> str:
    try:
        path = name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestRefused(NOT_FOUND, "no such file") from error
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise RequestRefused(ACCESS_VIOLATION, "the path leaves the served folder")
    if not parts or not path.isprintable():
        raise RequestRefused(NOT_FOUND, "no such file")
    return "/".join(parts)
