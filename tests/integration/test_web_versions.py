"""Versions over HTTP: the bytes that were published, ranges of them, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from si.version.store import PACK, SIGNATURE, version_path
from tests.integration import server_kit, version_kit
from tests.integration.server_kit import Server, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("site")
    settings = version_kit.make_site(root)
    version_kit.publish(settings)
    with running_server(settings, "--only", "http") as running:
        yield running


def test_every_file_of_a_version_comes_as_it_was_published(server: Server) -> None:
    folder = version_path(server.settings, "web", 1)
    names = [path.name for path in folder.iterdir()]
    assert sorted(names) == [
        "blocks", "blocks.index", "image.tar.zst", "image.torrent", "manifest", "manifest.sig",
        "script",
    ]  # fmt: skip
    for name in names:
        assert server.ask(f"/versions/web/1/{name}") == (200, (folder / name).read_bytes())


def test_a_range_of_the_pack(server: Server) -> None:
    pack = (version_path(server.settings, "web", 1) / PACK).read_bytes()
    target = f"/versions/web/1/{PACK}"
    assert server.ask(target, headers=("Range: bytes=1000-1999",)) == (206, pack[1000:2000])
    assert server.ask(target, headers=("Range: bytes=-10",)) == (206, pack[-10:])
    status, body = server.ask(target, headers=(f"Range: bytes={len(pack)}-",))
    assert status == 416
    assert pack[:16] not in body


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/versions/web/2/manifest", 404),
        ("/versions/none/1/manifest", 404),
        ("/versions/web/1/cache", 404),
        ("/versions/web/cache/manifest", 400),
        ("/versions/web/01/manifest", 400),
        ("/versions/web/0/manifest", 400),
        ("/versions/web/1@1/manifest", 400),
        ("/versions/%2e%2e/1/manifest", 400),
        ("/versions/web/1/..%2f..%2f..%2fimages%2fweb%2fetc%2fpasswd", 404),
        ("/versions/web/.staging/manifest", 400),
    ],
)
def test_what_is_no_version_is_refused_in_one_line(
    server: Server, target: str, status: int
) -> None:
    code, body = server.ask(target)
    assert (code, body.count(b"\n")) == (status, 1)
    assert b"root:" not in body


def test_a_client_is_told_the_current_version(server: Server) -> None:
    assert json.loads(server.ask("/clients/web1/update.json")[1])["version"] == 1


@pytest.mark.parametrize(("query", "number"), [("", 1), ("?image=web", 1), ("?image=web@1", 1)])
def test_a_client_is_given_the_signature(server: Server, query: str, number: int) -> None:
    signature = version_path(server.settings, "web", number) / SIGNATURE
    told = json.loads(server.ask(f"/clients/web1/update.json{query}")[1])
    assert told["signed"] == {"version": number, "signature": signature.read_text()}


def test_of_a_version_that_is_not_there_no_signature_is_given(server: Server) -> None:
    status, body = server.ask("/clients/web1/update.json?image=web@7")
    assert (status, "signed" in json.loads(body)) == (200, False)
    for odd in ("web@0", "web@", "web@1@1", "web@../1"):
        assert server.ask(f"/clients/web1/update.json?image={odd}")[0] == 400


def test_the_bundle_of_a_version_names_what_is_wrong_with_it(server: Server) -> None:
    folder = version_path(server.settings, "web", 1)
    token = server_kit.arm(server.settings, "--transport", "http")
    target = f"/install/web1/{token}/bundle.tar"
    status, bundle = server.ask(target)
    assert (status, b"SI_VERSION=1\nSI_ARCH" in bundle, b'"version": 1' in bundle) == (
        200, True, True,
    )  # fmt: skip
    script = (folder / "script").read_bytes()
    (folder / "script").write_bytes(script[:-1] + b"x")
    assert server.ask(target) == (404, f"{folder}/script is not what was published\n".encode())
    (folder / "script").write_bytes(script)
    folder.rename(folder.with_name(".1"))
    assert server.ask(target) == (404, b"image web has no version yet\n")
    folder.with_name(".1").rename(folder)
    assert server.ask(target)[0] == 200


def test_a_version_that_is_gone(server: Server) -> None:
    folder = version_path(server.settings, "web", 1)
    moved = folder.with_name("9")
    shutil.copytree(folder, moved)
    assert server.ask("/versions/web/9/manifest")[0] == 200
    shutil.rmtree(moved)
    assert server.ask("/versions/web/9/manifest") == (404, b"there is no version web@9 here\n")
