"""Blocks as they are published: what is in them, what is cut anew, what is found to be spoiled."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from si.config import Settings
from si.errors import VersionSpoiled
from si.version import block_pack
from si.version.block_pack import check_blocks
from si.version.blocks import ENTRY, digest_of, parse_chunks, parse_index
from si.version.chunks import cut_chunks
from si.version.delta import split_seal
from si.version.verify import check_version
from tests.integration.golden_source import write
from tests.integration.version_kit import flip_bit, make_store, publish, tree_of, version


@pytest.fixture
def store(tmp_path: Path) -> Settings:
    """A version with two large files, one of which ends in the second frame."""
    settings = make_store(tmp_path / "server")
    write(tree_of(settings) / "usr/large1", os.urandom(3_000_001))
    with (tree_of(settings) / "usr/sparse").open("wb") as file:
        file.truncate(9 << 20)
        file.write(b"not cut, for it has holes")
    publish(settings)
    return settings


def lists_of(settings: Settings) -> dict[str, bytes]:
    """The list of each content of the latest version."""
    folder = version(settings).path
    text = split_seal((folder / "blocks.index").read_bytes())[0]
    data = (folder / "blocks").read_bytes()
    spans = parse_index(text, int(folder.name), "")
    return {
        content: data[span.begin : span.begin + span.entries * ENTRY]
        for content, span in spans.items()
    }


def expected(path: Path) -> tuple[str, list[tuple[int, bytes]]]:
    data = path.read_bytes()
    chunks = [(len(chunk), digest_of(chunk)) for chunk in cut_chunks([data])]
    return hashlib.sha256(data).hexdigest(), chunks


def test_large_files_are_listed_as_they_are_cut(store: Settings) -> None:
    folder = version(store).path
    spans = parse_index(split_seal((folder / "blocks.index").read_bytes())[0], 1, "")
    found = lists_of(store)
    assert len(found) == 2
    for name in ("usr/large0", "usr/large1"):
        path = tree_of(store) / name
        content, chunks = expected(path)
        parsed = parse_chunks(found[content], spans[content], path.stat().st_size, "")
        assert [tuple(chunk) for chunk in parsed] == chunks


def test_what_the_version_before_had_is_not_cut_anew(
    store: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lists_of(store)
    write(tree_of(store) / "usr/large1", os.urandom(2_000_000))
    cut: list[bytes] = []
    really = block_pack._cut

    def watched(*words: object) -> bytes:
        cut.append(words[-1].path)  # type: ignore[attr-defined]
        return really(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(block_pack, "_cut", watched)
    publish(store)
    assert cut == [b"/usr/large1"]
    assert len(lists_of(store).items() & before.items()) == 1
    check_version(store, version(store))


def test_spoiled_blocks_are_not_handed_on(store: Settings) -> None:
    blocks = version(store).path / "blocks"
    data = bytearray(blocks.read_bytes())
    data[0] ^= 1
    blocks.write_bytes(data)
    write(tree_of(store) / "etc/motd", "another version")
    publish(store)
    found = lists_of(store)
    for name in ("usr/large0", "usr/large1"):
        content, chunks = expected(tree_of(store) / name)
        size, digest = chunks[0]
        assert found[content][:ENTRY] == size.to_bytes(4, "big") + digest
    check_version(store, version(store))


@pytest.mark.parametrize("at", [0, 0.5, 1])
@pytest.mark.parametrize("name", ["blocks", "blocks.index"])
def test_a_flipped_bit_is_named(store: Settings, name: str, at: float) -> None:
    check_version(store, version(store))
    flip_bit(version(store).path / name, at)
    with pytest.raises(VersionSpoiled, match=name.replace(".", r"\.")):
        check_version(store, version(store))


def test_half_of_the_blocks_is_named(store: Settings) -> None:
    folder = version(store).path
    blocks = folder / "blocks"
    data = blocks.read_bytes()
    blocks.write_bytes(data + b"x")
    assert list(check_blocks(store, folder, 1)) == ["blocks has another size than was published"]
    blocks.unlink()
    assert list(check_blocks(store, folder, 1)) == ["blocks: No such file or directory"]
    blocks.write_bytes(data)
    (folder / "blocks.index").unlink()
    assert list(check_blocks(store, folder, 1)) == ["blocks has no index"]
