"""Check every byte of a version: signature, manifest, torrent, script, and each frame of the pack.

Stage 3. In: a version; out: nothing, or VersionSpoiled naming each file that is not what was
published, and where. Never trusts one of the files before the one that vouches for it was checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from si.config import Settings
from si.errors import VersionSpoiled
from si.version.block_pack import check_blocks
from si.version.delta_pack import check_deltas
from si.version.manifest import FileSum, Frame, Manifest, parse_manifest
from si.version.record import FILE, escape
from si.version.signature import check_signature
from si.version.store import MANIFEST, PACK, SCRIPT, SIGNATURE, TORRENT, Version

_NAMED = 3


def check_version(settings: Settings, version: Version) -> Manifest:
    """Read and check all of a version; gives its manifest.

    Raises VersionSpoiled, which names every file that is wrong; ManifestInvalid for a manifest that
    is signed and cannot be read all the same.
    """
    data = _read(version.path / MANIFEST)
    signature = _read(version.path / SIGNATURE)
    check_signature(settings, str(version.path / MANIFEST), data, signature)
    manifest = parse_manifest(data, str(version.path / MANIFEST))
    problems = [
        *_problems(version, manifest),
        *check_deltas(settings, version.path, manifest.head.number),
        *check_blocks(settings, version.path, manifest.head.number),
    ]
    if problems:
        raise VersionSpoiled(
            f"{version.name}: {'; '.join(problems)}",
            hint="remove the version (si-rmimage), or bring its files back from a copy",
        )
    return manifest


def sum_of(data: bytes) -> FileSum:
    """What a manifest says of a file with these bytes."""
    return FileSum(len(data), hashlib.sha256(data).hexdigest())


def check_pack(pack: Path, manifest: Manifest) -> Iterator[str]:
    """What is wrong with a pack, one text a fault."""
    at = 0
    try:
        with pack.open("rb") as file:
            for number, frame in enumerate(manifest.frames):
                data = file.read(frame.packed)
                if len(data) < frame.packed:
                    size = at + len(data)
                    yield f"{pack.name} is cut off at byte {size} of {manifest.head.pack_size}"
                    return
                if hashlib.sha256(data).hexdigest() != frame.sha256:
                    yield _spoiled_frame(pack, at, number, frame, manifest)
                at += frame.packed
            if file.read(1):
                yield f"{pack.name} is longer than the {at} bytes that were published"
    except OSError as error:
        yield f"{pack.name}: {error.strerror}"


def _problems(version: Version, manifest: Manifest) -> Iterator[str]:
    head = manifest.head
    if (head.image, head.number) != version.name:
        yield f"the manifest is that of {head.image}@{head.number}"
    yield from _check_sum(version.path / TORRENT, head.torrent)
    if head.script is not None:
        yield from _check_sum(version.path / SCRIPT, head.script)
    yield from check_pack(version.path / PACK, manifest)


def _check_sum(path: Path, expected: FileSum) -> Iterator[str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        yield f"{path.name}: {error.strerror}"
        return
    if sum_of(data) != expected:
        yield f"{path.name} is not what was published"


def _spoiled_frame(pack: Path, at: int, number: int, frame: Frame, manifest: Manifest) -> str:
    """Says where, and whose bytes they are."""
    paths = [
        escape(record.path).decode()
        for record in manifest.records
        if record.frame <= number and (record.frame == number or record.kind == FILE)
        and record.frame + _frames_of(manifest, number, record.frame, record.offset, record.packed)
        >= number
    ]  # fmt: skip
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    whose = f", of {', '.join(paths[:_NAMED])}{more}" if paths else ""
    return f"{pack.name} is spoiled between bytes {at} and {at + frame.packed}{whose}"


def _frames_of(manifest: Manifest, last: int, first: int, offset: int, packed: int) -> int:
    """How many further frames, up to `last`, the data of a member reach into."""
    end = offset + packed
    number = first
    while number < last and end > manifest.frames[number].unpacked:
        end -= manifest.frames[number].unpacked
        number += 1
    return number - first


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise VersionSpoiled(f"cannot read {path}: {error.strerror}") from None
