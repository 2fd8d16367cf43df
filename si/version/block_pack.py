"""Make the lists of chunks of a version's large files.

Stage 3. In: the lines and the pack of a version, which is complete, and the lists of the version
before; out: `blocks` and its signed index beside the pack. What the version before had is not cut
anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

import zstandard

from si.config import Settings
from si.errors import SIError, VersionSpoiled
from si.version.blocks import (
    ENTRY,
    INDEX,
    LISTS,
    Chunk,
    Span,
    digest_of,
    dump_chunks,
    dump_index,
    parse_index,
)
from si.version.chunks import cut_chunks
from si.version.delta import SMALL
from si.version.delta_pack import Contents
from si.version.manifest import Frame
from si.version.record import FILE, Record, parse_line
from si.version.signature import read_sealed, sign


def make_blocks(settings: Settings, pack: Path, new: Contents, old: Path | None) -> None:
    """Write the blocks of a version beside its pack; nothing where no file is large.

    old: the folder of the version before. Raises VersionSpoiled for a pack that is not what its
    lines say, OSError.
    """
    known = {} if old is None else _load_lists(settings, old)
    large = {record.content: record for record in _large_files(new.lines)}
    if not large:
        return
    begins = (0, *accumulate(frame.packed for frame in new.frames))
    with pack.open("rb") as source, ThreadPoolExecutor(os.cpu_count()) as pool:

        def cut(record: Record) -> bytes:
            return _cut(source.fileno(), new.frames, begins, record)

        missing = [record for content, record in large.items() if content not in known]
        fresh = dict(zip((one.content for one in missing), pool.map(cut, missing), strict=True))
    spans: dict[str, Span] = {}
    at = 0
    with pack.with_name(LISTS).open("wb") as out:
        for content in large:
            data = fresh.get(content) or known[content]
            out.write(data)
            spans[content] = Span(at, len(data) // ENTRY, hashlib.sha256(data).hexdigest())
            at += len(data)
    text = dump_index(new.number, spans)
    pack.with_name(INDEX).write_bytes(text + sign(settings, text))


def check_blocks(settings: Settings, folder: Path, number: int) -> Iterator[str]:
    """What is wrong with the blocks of version `number`, which lies in `folder`."""
    index, lists = folder / INDEX, folder / LISTS
    if not index.exists():
        if lists.exists():
            yield f"{LISTS} has no index"
        return
    try:
        spans = _load_index(settings, index, number)
        data = lists.read_bytes()
    except SIError as error:
        yield error.message
        return
    except OSError as error:
        yield f"{LISTS}: {error.strerror}"
        return
    if len(data) != sum(span.entries for span in spans.values()) * ENTRY:
        yield f"{LISTS} has another size than was published"
    for span in spans.values():
        if hashlib.sha256(_slice(data, span)).hexdigest() != span.sha256:
            yield f"{LISTS} is spoiled between bytes {span.begin} and {_end(span)}"


def _large_files(lines: Sequence[bytes]) -> Iterator[Record]:
    for line in lines:
        if line.startswith(b"f ") and int(line.split(b" ", 6)[5]) >= SMALL:
            record = parse_line(line)
            if record.kind == FILE and record.extents is None:
                yield record


def _cut(source: int, frames: Sequence[Frame], begins: Sequence[int], record: Record) -> bytes:
    """The list of a file in the pack that is open as `source`."""
    digest = hashlib.sha256()

    def blocks() -> Iterator[bytes]:
        unpacker = zstandard.ZstdDecompressor()
        number, skip, left = record.frame, record.offset, record.size
        while left:
            packed = os.pread(source, frames[number].packed, begins[number])
            block = unpacker.decompress(packed)[skip : skip + left]
            digest.update(block)
            yield block
            number, skip, left = number + 1, 0, left - len(block)

    data = dump_chunks(Chunk(len(chunk), digest_of(chunk)) for chunk in cut_chunks(blocks()))
    if digest.hexdigest() != record.content:
        raise VersionSpoiled(f"frame {record.frame} of the pack is not what was packed")
    return data


def _load_lists(settings: Settings, folder: Path) -> dict[str, bytes]:
    """The lists of a version by content; none where there are none, or spoiled ones."""
    try:
        number = int(folder.name)
        spans = _load_index(settings, folder / INDEX, number)
        data = (folder / LISTS).read_bytes()
    except (SIError, OSError):
        return {}
    found = {content: _slice(data, span) for content, span in spans.items()}
    return {
        content: part
        for content, part in found.items()
        if hashlib.sha256(part).hexdigest() == spans[content].sha256
    }


def _load_index(settings: Settings, index: Path, number: int) -> dict[str, Span]:
    return parse_index(read_sealed(settings, index), number, index.name)


def _slice(data: bytes, span: Span) -> bytes:
    return data[span.begin : _end(span)]


def _end(span: Span) -> int:
    return span.begin + span.entries * ENTRY
