"""`image.torrent`: one file, version 1, written by libtorrent.

Stage 3. In: a pack, piece by piece while it is written; out: the bytes of the torrent. Version 1,
because every client knows it and it costs half of a hybrid; what the pack's bytes are is vouched
for by the manifest, not by SHA-1. No tracker stands in it, since a version outlives the address of
its server: clients are told where to ask. It is not private, which would forbid clients to find
each other on their own link.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from si.errors import VersionSpoiled

_SMALLEST_PIECE: Final = 64 << 10
_MOST_PIECES: Final = 4096
PACKED: Final = 3
"""A tree is about this many times larger than its pack."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """length: bytes of each piece but the last; hashes: their SHA-1, in order."""

    length: int
    hashes: Sequence[bytes]


class PieceHasher:
    """Hashes the pieces of a pack while its bytes come."""

    def __init__(self, unpacked: int) -> None:
        """unpacked: bytes of the tree that is packed."""
        self._length = piece_length(unpacked)
        self._hashes: list[bytes] = []
        self._piece = _sha1()
        self._room = self._length

    def add(self, data: bytes) -> None:
        """The next bytes of the pack."""
        rest = memoryview(data)
        while rest:
            part = rest[: self._room]
            self._piece.update(part)
            rest = rest[len(part) :]
            self._room -= len(part)
            if not self._room:
                self._end_piece()

    def finish(self) -> Pieces:
        """What was hashed; nothing may be added after it."""
        if self._room < self._length:
            self._end_piece()
        return Pieces(self._length, self._hashes)

    def _end_piece(self) -> None:
        self._hashes.append(self._piece.digest())
        self._piece, self._room = _sha1(), self._length


def piece_length(unpacked: int) -> int:
    """For the pack of a tree: 64 KiB up to 256 MiB, then what gives about 4096 pieces: small pieces
    are what keeps the seeder from sending the same piece twice. It hangs on the tree alone, since
    pieces are hashed before the pack's size is known."""
    length = _SMALLEST_PIECE
    while unpacked > length * _MOST_PIECES * PACKED:
        length *= 2
    return length


def make_torrent(name: str, size: int, pieces: Pieces) -> bytes:
    """The torrent of a pack called `name`; the same pack gives the same bytes."""
    import libtorrent  # takes a tenth of a second

    files = [libtorrent.create_file_entry(name, size)]
    torrent = libtorrent.create_torrent(
        files, pieces.length, flags=libtorrent.create_torrent.v1_only
    )
    torrent.set_creation_date(0)
    for number, piece in enumerate(pieces.hashes):
        torrent.set_hash(number, piece)
    data: bytes = libtorrent.bencode(torrent.generate())
    return data


def read_info_hash(data: bytes) -> bytes:
    """The 20 bytes by which peers name a torrent. Raises VersionSpoiled for what is no torrent."""
    import libtorrent

    try:
        info_hash: bytes = libtorrent.torrent_info(data).info_hashes().v1.to_bytes()
    except RuntimeError as error:
        raise VersionSpoiled(f"this is no torrent: {error}") from None
    return info_hash


def _sha1() -> hashlib._Hash:
    return hashlib.sha1(usedforsecurity=False)
