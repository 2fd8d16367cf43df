"""What peers ask the tracker and what it answers: BEP 3 with the compact form of BEP 23.

Stage 7, one server process. Pure: the text of a query in, an `Announce` or the line that says what
is wrong with it out; members of a swarm in, a bencoded answer out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from si.serve.swarm import Member

MOST_WANTED: Final = 100
_USUALLY_WANTED: Final = 50
_LONGEST_QUERY: Final = 1024
_DIGEST: Final = 20
_LARGEST: Final = 1 << 63

Bencoded = int | bytes | list["Bencoded"] | dict[bytes, "Bencoded"]


class AnnounceInvalid(ValueError):
    """A query that is no announce; its text goes back to the peer."""


@dataclass(frozen=True, slots=True)
class Announce:
    """A peer's word. Of its address nothing is taken but the port: the connection says the rest."""

    info_hash: bytes
    peer_id: bytes
    port: int
    complete: bool
    """It has the whole pack."""
    stopped: bool
    wanted: int
    """How many other peers it wants to hear of, at most MOST_WANTED."""
    compact: bool


def parse_announce(query: str) -> Announce:
    """Read a query as it stands in the request, percent signs and all. Raises AnnounceInvalid."""
    values = _values(query)
    port = _number(values, b"port", 0)
    if not 0 < port < 1 << 16:
        raise AnnounceInvalid("port is to be from 1 to 65535")
    return Announce(
        info_hash=_digest(values, b"info_hash"),
        peer_id=_digest(values, b"peer_id"),
        port=port,
        complete=_number(values, b"left", 1) == 0,
        stopped=values.get(b"event") == b"stopped",
        wanted=min(_number(values, b"numwant", _USUALLY_WANTED), MOST_WANTED),
        compact=_number(values, b"compact", 1) != 0,
    )


def render_answer(
    others: Iterable[Member], *, interval_s: int, least_s: int, complete: int, incomplete: int,
    compact: bool,
) -> bytes:  # fmt: skip
    """The answer to an announce: when to ask again, and the other peers."""
    peers: Bencoded
    if compact:
        peers = b"".join(one.address.packed + one.port.to_bytes(2, "big") for one in others)
    else:
        peers = [
            {b"ip": str(one.address).encode(), b"peer id": one.peer_id, b"port": one.port}
            for one in others
        ]
    return bencode(
        {
            b"complete": complete,
            b"incomplete": incomplete,
            b"interval": interval_s,
            b"min interval": least_s,
            b"peers": peers,
        }
    )


def render_refusal(reason: str) -> bytes:
    """The answer that says why there is none."""
    return bencode({b"failure reason": reason.encode()})


def bencode(value: Bencoded) -> bytes:
    """The encoding of BEP 3; keys of dictionaries in order."""
    match value:
        case int():
            return b"i%de" % value
        case bytes():
            return b"%d:%b" % (len(value), value)
        case list():
            return b"l" + b"".join(map(bencode, value)) + b"e"
        case dict():
            inner = (bencode(key) + bencode(value[key]) for key in sorted(value))
            return b"d" + b"".join(inner) + b"e"


def _values(query: str) -> Mapping[bytes, bytes]:
    if len(query) > _LONGEST_QUERY:
        raise AnnounceInvalid(f"the query is longer than {_LONGEST_QUERY} bytes")
    values: dict[bytes, bytes] = {}
    for word in filter(None, query.split("&")):
        name, _, value = word.partition("=")
        if values.setdefault(unquote_to_bytes(name), unquote_to_bytes(value)) != unquote_to_bytes(
            value
        ):
            raise AnnounceInvalid("the query says two things at once")
    return values


def _digest(values: Mapping[bytes, bytes], name: bytes) -> bytes:
    value = values.get(name, b"")
    if len(value) != _DIGEST:
        raise AnnounceInvalid(f"{name.decode()} is to have {_DIGEST} bytes")
    return value


def _number(values: Mapping[bytes, bytes], name: bytes, otherwise: int) -> int:
    value = values.get(name)
    if value is None:
        return otherwise
    if not value.isdigit() or len(value) > len(str(_LARGEST)):
        raise AnnounceInvalid(f"{name.decode()} is to be a number")
    return int(value)
