"""Updates by the delta between two versions: small files come by themselves, or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from si.version.delta import split_seal
from si.version.signature import sign
from tests.integration import version_kit
from tests.integration.client_kit import Program
from tests.integration.installed_kit import (
    is_clean,
    make_published,
    put,
    snapshot,
    update,
)
from tests.integration.server_kit import Server, running_server

CHANGED = 20
"""One file in so many differs: enough for most of the pack's small frames to be touched."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with web@1, and web@2 in which files here and there are others."""
    settings = make_published(tmp_path_factory.mktemp("site"))
    tree = version_kit.tree_of(settings)
    for number in range(0, 300, CHANGED):
        put(tree / f"usr/d{number % 12}/f{number:03d}", f"other contents {number}\n" * 50)
    put(tree / "usr/d1/same", "twice the same contents\n")
    put(tree / "usr/d11/same", "twice the same contents\n")
    (tree / "usr/d2/moved").write_bytes((tree / "usr/d2/f002").read_bytes())
    put(tree / "usr/d3/first", "a file with two names\n")
    (tree / "usr/d9/second").hardlink_to(tree / "usr/d3/first")
    (tree / "usr/large0").write_bytes(b"large and other " * (300 << 10))
    version_kit.publish(settings)
    with running_server(settings, "--only", "http") as running:
        yield running


def fetched(program: Program, client: Path, *words: str) -> dict[str, int]:
    """An update that succeeds: how many files came which way."""
    done = update(program, client, "--yes", "--json", *words)
    assert done.code == 0, done.stderr
    return {one["way"]: one["files"] for one in json.loads(done.stdout)["fetched"]}


def delta_of(server: Server) -> tuple[Path, Path]:
    """The delta from web@1 to web@2, and its index."""
    folder = version_kit.version(server.settings, 2).path
    return folder / "delta-1", folder / "delta-1.index"


def test_small_files_come_by_the_delta(program: Program, server: Server, client: Path) -> None:
    done = update(program, client, "--yes")
    assert done.code == 0, done.stderr
    [line] = done.lines
    told = re.search(r" \((\d+) by delta, 1 by frames; (\d+\.\d) kB fetched\)$", line)
    assert told is not None, line
    assert int(told[1]) == 300 // CHANGED + 4
    is_clean(program, client)


def test_what_is_excluded_is_no_hindrance(program: Program, server: Server, client: Path) -> None:
    ways = fetched(program, client, "--exclude", "/usr/d0/", "--exclude", "/usr/d1/same")
    assert ways == {"delta": 300 // CHANGED + 3 - 5, "frames": 1}
    is_clean(program, client, "--exclude", "/usr/d0/", "--exclude", "/usr/d1/same")


def test_what_the_delta_lacks_comes_from_the_pack(
    program: Program, server: Server, client: Path
) -> None:
    """Drift of the machine, and a second copy of which the delta has one."""
    put(client / "usr/d4/f016", "drift")
    (client / "usr/d5/f017").unlink()
    assert fetched(program, client) == {"delta": 300 // CHANGED + 4, "frames": 3}
    is_clean(program, client)


def test_a_server_without_the_delta(program: Program, server: Server, client: Path) -> None:
    """One of another age, or one whose versions in between were removed."""
    index = delta_of(server)[1]
    aside = index.rename(index.with_name("aside"))
    try:
        assert fetched(program, client) == {"frames": 300 // CHANGED + 5}
        is_clean(program, client)
    finally:
        aside.rename(index)


def test_a_machine_that_is_repaired_asks_for_no_delta(
    program: Program, server: Server, client: Path
) -> None:
    """What it has is what it should have but for drift: no delta leads from there."""
    fetched(program, client)
    for path in sorted((client / "usr").rglob("f*"))[::9]:
        put(path, "drift")
    index = delta_of(server)[1]
    true = index.read_bytes()
    index.write_bytes(b"spoiled")
    try:
        assert set(fetched(program, client)) == {"frames"}
        is_clean(program, client)
    finally:
        index.write_bytes(true)


@pytest.mark.parametrize("at", ["first", "middle", "last"])
@pytest.mark.parametrize("which", ["delta", "index", "signature"])
def test_a_flipped_bit_is_refused_by_name(
    program: Program, server: Server, client: Path, which: str, at: str
) -> None:
    delta, index = delta_of(server)
    file = delta if which == "delta" else index
    true = file.read_bytes()
    begin, end = 0, len(true) - 1
    if which == "index":
        end = len(split_seal(true)[0]) - 1
    elif which == "signature":
        begin = len(split_seal(true)[0])
    place = {"first": begin, "middle": (begin + end) // 2, "last": end}[at]
    before = snapshot(client)
    try:
        file.write_bytes(true[:place] + bytes([true[place] ^ 1]) + true[place + 1 :])
        refused = update(program, client, "--yes")
        assert refused.code == 61, refused.stderr
        named = "of the delta from version 1"
        assert named in refused.stderr, refused.stderr
        assert snapshot(client) == before
    finally:
        file.write_bytes(true)


@pytest.mark.parametrize(
    ("part", "other", "code", "said"),
    [
        (rb"\n0:0 (\d+) ", rb"\n0:0 1 ", 61, "the delta says 1 bytes of "),
        (rb"\nfrom 1\n", rb"\nfrom 3\n", 63, "is that from 3 to 2"),
        (rb"\nversion 2\n", rb"\nversion 9\n", 63, "is that from 1 to 9"),
        (rb"(\n\d+ \d+ )[0-9a-f]{64}\nfiles", rb"\g<1>" + b"0" * 64 + b"\nfiles", 61, "frame 0 of"),
        (rb"\nframes 1\n\d+ ", rb"\nframes 1\n1 ", 63, "outside of the delta"),
        (rb"\nframes 1\n\d+ (\d+) ", rb"\nframes 1\n99999999 \1 ", 63, "index of the delta"),
        (rb"\n0:0 (\d+) ", rb"\n7:0 \1 ", 63, "outside of the delta"),
        (rb"( [0-9a-f]{64}\n)(\d+:\d+ \d+)( [0-9a-f]{64}\n)end", rb"\3\2\1end", 61, ""),
    ],
)
def test_a_signed_index_that_lies(
    program: Program,
    server: Server,
    client: Path,
    part: bytes,
    other: bytes,
    code: int,
    said: str,
) -> None:
    """The site's own word is doubted as well."""
    index = delta_of(server)[1]
    true = index.read_bytes()
    text, count = re.subn(part, other, split_seal(true)[0])
    assert count == 1, "no such line"
    before = snapshot(client)
    try:
        index.write_bytes(text + sign(server.settings, text))
        refused = update(program, client, "--yes")
        assert (refused.code, said in refused.stderr) == (code, True), refused.stderr
        assert snapshot(client) == before
    finally:
        index.write_bytes(true)
