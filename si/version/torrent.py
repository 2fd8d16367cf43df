"""`image.torrent`: one file, version 1, made by libtorrent.

Stage 3. In: a pack; out: the bytes of the torrent. Version 1, because every client knows it and it
costs half of a hybrid; what the pack's bytes are is vouched for by the manifest, not by SHA-1. No
tracker stands in it, since a version outlives the address of its server: clients are told where to
ask. It is not private, which would forbid clients to find each other on their own link.
"""

from __future__ import annotations

from pathlib import Path

import libtorrent

from si.errors import VersionSpoiled

_SMALLEST_PIECE = 64 << 10
_MOST_PIECES = 4096


def piece_size(pack_size: int) -> int:
    """64 KiB up to 256 MiB, then what gives at most 4096 pieces: small pieces are what keeps the
    seeder from sending the same piece twice."""
    size = _SMALLEST_PIECE
    while pack_size > size * _MOST_PIECES:
        size *= 2
    return size


def make_torrent(pack: Path) -> bytes:
    """The torrent of a pack; the same pack gives the same bytes."""
    size = pack.stat().st_size
    files = [libtorrent.create_file_entry(pack.name, size)]
    torrent = libtorrent.create_torrent(
        files, piece_size(size), flags=libtorrent.create_torrent.v1_only
    )
    torrent.set_creation_date(0)
    libtorrent.set_piece_hashes(torrent, str(pack.parent))
    data: bytes = libtorrent.bencode(torrent.generate())
    return data


def read_info_hash(data: bytes) -> bytes:
    """The 20 bytes by which peers name a torrent. Raises VersionSpoiled for what is no torrent."""
    try:
        info_hash: bytes = libtorrent.torrent_info(data).info_hashes().v1.to_bytes()
    except RuntimeError as error:
        raise VersionSpoiled(f"this is no torrent: {error}") from None
    return info_hash
