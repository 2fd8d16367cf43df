"""Updates of large files of which there is an old copy: what that lacks is fetched, in frames."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from si.version.blocks import ENTRY, parse_index
from si.version.delta import split_seal
from si.version.plan import PART
from si.version.signature import sign
from tests.integration import version_kit
from tests.integration.client_kit import Ended, Program
from tests.integration.installed_kit import install, is_clean, make_unpublished, snapshot, update
from tests.integration.server_kit import Server, running_server

SIZE = 20 << 20
DATA = random.Random(11).randbytes(SIZE)


def in_place(data: bytes) -> bytes:
    return data[: 9 << 20] + random.Random(12).randbytes(1 << 20) + data[10 << 20 :]


def shifted(data: bytes) -> bytes:
    return b"x" * 1024 + data


def cut_out(data: bytes) -> bytes:
    return data[: 5 << 20] + data[(5 << 20) + 777 :]


def cut_off(data: bytes) -> bytes:
    return data[: 7 << 20]


def written_anew(data: bytes) -> bytes:
    return random.Random(13).randbytes(len(data))


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    change.__name__: change for change in (in_place, shifted, cut_out, cut_off, written_anew)
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """web@1 has one large file, web@2 and so on change it in one way each."""
    settings = make_unpublished(tmp_path_factory.mktemp("site"))
    file = version_kit.tree_of(settings) / "usr/large0"
    file.write_bytes(DATA)
    version_kit.publish(settings)
    for change in CHANGES.values():
        file.write_bytes(change(DATA))
        version_kit.publish(settings)
    with running_server(settings, "--only", "http") as running:
        yield running


@pytest.fixture(scope="module")
def installed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(server.settings, tmp_path_factory.mktemp("client") / "tree", 1)


@pytest.fixture
def client(installed: Path) -> Path:
    """A machine whose large file is that of web@1."""
    (installed / "usr/large0").write_bytes(DATA)
    return installed


@contextlib.contextmanager
def lying(server: Server, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """The index of web@2's blocks, changed and signed by the site."""
    index = version_kit.version(server.settings, 2).path / "blocks.index"
    true = index.read_bytes()
    text = split_seal(true)[0]
    assert change(text) != text
    index.write_bytes(change(text) + sign(server.settings, change(text)))
    try:
        yield
    finally:
        index.write_bytes(true)


def to(program: Program, client: Path, name: str) -> Ended:
    number = list(CHANGES).index(name) + 2
    return update(program, client, "--yes", "--json", "--image", f"web@{number}")


def fetched(done: Ended) -> dict[str, tuple[int, int]]:
    """Files and bytes by the way they came."""
    assert done.code == 0, done.stderr
    return {one["way"]: (one["files"], one["bytes"]) for one in json.loads(done.stdout)["fetched"]}


@pytest.mark.parametrize(
    ("name", "frames"), [("in_place", 2), ("shifted", 1), ("cut_out", 1), ("cut_off", 1)]
)
def test_only_what_the_old_copy_lacks_comes(
    program: Program, client: Path, name: str, frames: int
) -> None:
    ways = fetched(to(program, client, name))
    assert list(ways) == ["blocks"]
    files, size = ways["blocks"]
    assert files == 1
    assert size <= frames * (PART + 4096)
    assert (client / "usr/large0").read_bytes() == CHANGES[name](DATA)
    is_clean(program, client, "--image", f"web@{list(CHANGES).index(name) + 2}")


def test_an_old_copy_that_helps_nothing(program: Program, client: Path) -> None:
    ways = fetched(to(program, client, "written_anew"))
    assert list(ways) == ["frames"]


def test_a_folder_or_a_link_is_no_old_copy(program: Program, client: Path, tmp_path: Path) -> None:
    large = client / "usr/large0"
    large.unlink()
    (tmp_path / "elsewhere").write_bytes(DATA)
    large.symlink_to(tmp_path / "elsewhere")
    assert list(fetched(to(program, client, "in_place"))) == ["frames"]
    assert (tmp_path / "elsewhere").read_bytes() == DATA
    large.unlink()
    large.mkdir()
    assert list(fetched(to(program, client, "in_place"))) == ["frames"]
    assert large.read_bytes() == in_place(DATA)


def test_a_server_without_blocks(program: Program, server: Server, client: Path) -> None:
    index = version_kit.version(server.settings, 2).path / "blocks.index"
    aside = index.rename(index.with_name("aside"))
    try:
        assert list(fetched(to(program, client, "in_place"))) == ["frames"]
    finally:
        aside.rename(index)


@pytest.mark.parametrize("at", [0, 0.5, 1])
@pytest.mark.parametrize("name", ["blocks", "blocks.index"])
def test_a_flipped_bit_is_refused_by_name(
    program: Program, server: Server, client: Path, name: str, at: float
) -> None:
    path = version_kit.version(server.settings, 2).path / name
    true = path.read_bytes()
    place = int(at * (len(true) - 1))
    before = snapshot(client)
    try:
        path.write_bytes(true[:place] + bytes([true[place] ^ 1]) + true[place + 1 :])
        refused = to(program, client, "in_place")
        assert refused.code == 61, refused.stderr
        assert "blocks of" in refused.stderr, refused.stderr
        assert snapshot(client) == before
    finally:
        path.write_bytes(true)


@pytest.mark.parametrize(
    ("part", "other", "said"),
    [
        (rb"version 2", rb"version 3", "no index of the blocks of version 2"),
        (rb"files 1", rb"files 2", "does not end after 2 files"),
        (rb"\n0 (\d+) ", rb"\n20 \1 ", "side by side"),
    ],
)
def test_a_signed_index_that_is_wrong(
    program: Program, server: Server, client: Path, part: bytes, other: bytes, said: str
) -> None:
    with lying(server, lambda text: re.sub(part, other, text)):
        refused = to(program, client, "in_place")
        assert (refused.code, said in refused.stderr) == (63, True), refused.stderr


def test_signed_lists_that_lie_cost_time_alone(
    program: Program, server: Server, client: Path
) -> None:
    """Two chunks changed places: the file is put together, is not the manifest's, comes whole."""
    folder = version_kit.version(server.settings, 2).path
    lists = folder / "blocks"
    true = lists.read_bytes()
    [span] = parse_index(split_seal((folder / "blocks.index").read_bytes())[0], 2, "").values()
    assert span.entries > 10
    lie = true[ENTRY : 2 * ENTRY] + true[:ENTRY] + true[2 * ENTRY :]

    def with_its_sum(text: bytes) -> bytes:
        return text.replace(span.sha256.encode(), hashlib.sha256(lie).hexdigest().encode())

    try:
        lists.write_bytes(lie)
        with lying(server, with_its_sum):
            ways = fetched(to(program, client, "in_place"))
    finally:
        lists.write_bytes(true)
    assert {way: files for way, (files, _) in ways.items()} == {"blocks": 0, "frames": 1}
    assert (client / "usr/large0").read_bytes() == in_place(DATA)
    is_clean(program, client, "--image", "web@2")
