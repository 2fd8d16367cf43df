"""A client reads a version of a real si-server, and of servers that lie."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from si.client import download as downloading
from si.client.download import download
from si.client.kept import keep
from si.client.published import open_version
from si.config import Settings, default_settings
from si.errors import (
    ConfigInvalid,
    ManifestInvalid,
    ServerUnreachable,
    VersionNotFound,
    VersionSpoiled,
)
from si.names_check import VersionName
from si.version.manifest import parse_manifest
from si.version.signature import public_key_path, sign
from si.version.store import MANIFEST, SIGNATURE, read_manifest
from si.version.stream import ManifestReader
from tests.integration import version_kit
from tests.integration.http_kit import QuietHandler, served_by
from tests.integration.server_kit import running_server

WEB1 = VersionName("web", 1)


@contextlib.contextmanager
def lying_server(answers: dict[str, bytes]) -> Iterator[str]:
    """A server whose answers are bytes of HTTP, whatever HTTP says; its base URL."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.wfile.write(answers.get(self.path, b"HTTP/1.0 404 no\r\n\r\nnothing here\n"))

    with served_by(Handler) as port:
        yield f"http://127.0.0.1:{port}"


def whole(body: bytes, length: int | None = None) -> bytes:
    return b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (length or len(body), body)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A store with web@1."""
    root = tmp_path_factory.mktemp("site")
    settings = version_kit.make_site(root, specimens=True)
    version_kit.publish(settings)
    return settings


def offered(site: Settings, manifest: bytes, signature: bytes | None = None) -> dict[str, bytes]:
    signature = sign(site, manifest) if signature is None else signature
    return {
        "/versions/web/1/manifest": whole(manifest),
        "/versions/web/1/manifest.sig": whole(signature),
    }


def refuse(base: str, site: Settings) -> None:
    with open_version(base, WEB1, public_key_path(site)):
        pytest.fail("it was believed")


def test_a_version_of_the_server_is_read_as_it_was_published(site: Settings) -> None:
    expected = parse_manifest(read_manifest(version_kit.version(site)), "test")
    with running_server(site, "--only", "http") as server:
        base = f"http://127.0.0.1:{server.settings.server.http_port}"
        with open_version(base, WEB1, public_key_path(site)) as reader:
            assert tuple(reader.read(line) for _, line in reader.entries()) == expected.records
            assert (reader.head, reader.frames) == (expected.head, expected.frames)
        with (
            pytest.raises(VersionNotFound, match="no version web@7"),
            open_version(base, VersionName("web", 7), public_key_path(site)),
        ):
            pass


class Kept(NamedTuple):
    """A client's cache, and how to open web@1 with it from a server that has nothing to give."""

    cache: Path
    open: Callable[[], AbstractContextManager[ManifestReader]]

    @property
    def file(self) -> Path:
        (file,) = self.cache.iterdir()
        return file


@pytest.fixture
def kept(site: Settings, tmp_path: Path) -> Kept:
    """After web@1 was opened once."""
    folder, key = version_kit.version(site).path, public_key_path(site)
    signature, cache = (folder / SIGNATURE).read_bytes(), tmp_path / "cache/systemimager"
    cache.parent.mkdir()
    os.utime(cache.parent, ns=(5, 5))
    manifest = (folder / MANIFEST).read_bytes()
    with (
        lying_server({"/versions/web/1/manifest": whole(manifest)}) as base,
        open_version(base, WEB1, key, signature=signature, cache=cache) as reader,
    ):
        assert reader.head.number == 1
    assert cache.parent.stat().st_mtime_ns == 5
    return Kept(
        cache,
        lambda: open_version("http://127.0.0.1:1", WEB1, key, signature=signature, cache=cache),
    )


def test_what_was_kept_need_not_come_again(site: Settings, kept: Kept) -> None:
    expected = parse_manifest(read_manifest(version_kit.version(site)), "test")
    with kept.open() as reader:
        assert tuple(reader.read(line) for _, line in reader.entries()) == expected.records
    assert kept.file.stat().st_mode & 0o777 == 0o600
    assert kept.cache.stat().st_mode & 0o777 == 0o700


def test_what_was_kept_is_checked_as_what_comes(kept: Kept) -> None:
    data = kept.file.read_bytes()
    kept.file.write_bytes(data.replace(b" 0644 ", b" 4755 ", 1))
    with pytest.raises(ServerUnreachable), kept.open():
        pytest.fail("it was believed")
    kept.file.write_bytes(data)
    with kept.open():
        pass


def test_what_others_may_change_is_not_looked_at(kept: Kept) -> None:
    kept.file.chmod(0o620)
    with pytest.raises(ServerUnreachable), kept.open():
        pytest.fail("it was believed")
    kept.file.chmod(0o600)
    os.chown(kept.file, 77, 77)
    with pytest.raises(ServerUnreachable), kept.open():
        pytest.fail("it was believed")


def test_only_the_last_manifest_is_kept(site: Settings, kept: Kept) -> None:
    before = kept.file
    (kept.cache / "notes").write_text("of somebody else")
    with before.open("rb") as manifest:
        keep(kept.cache, b"another signature", manifest)
    assert not before.exists()
    assert len(list(kept.cache.iterdir())) == 2


def test_where_nothing_can_be_kept_nothing_is(kept: Kept, tmp_path: Path) -> None:
    with kept.file.open("rb") as manifest:
        keep(tmp_path / "no/such/folder", b"signature", manifest)
    assert not (tmp_path / "no").exists()


def test_without_the_sites_key_nothing_is_fetched(site: Settings, tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigInvalid, match=r"site-key\.pub") as caught,
        open_version("http://127.0.0.1:1", WEB1, tmp_path / "site-key.pub"),
    ):
        pass
    assert "site.key.pub" in (caught.value.hint or "")


def test_what_another_key_signed_is_refused(site: Settings, tmp_path: Path) -> None:
    other = default_settings(tmp_path)
    other.etc.mkdir(parents=True)
    manifest = read_manifest(version_kit.version(site))
    with (
        lying_server(offered(site, manifest, sign(other, manifest))) as base,
        pytest.raises(VersionSpoiled, match="not what this site signed"),
    ):
        refuse(base, site)


def test_one_changed_byte_is_refused(site: Settings) -> None:
    folder = version_kit.version(site).path
    manifest = (folder / MANIFEST).read_bytes()
    changed = manifest.replace(b" 0644 ", b" 4755 ", 1)
    assert changed != manifest
    with (
        lying_server(offered(site, changed, (folder / SIGNATURE).read_bytes())) as base,
        pytest.raises(VersionSpoiled, match="not what this site signed"),
    ):
        refuse(base, site)


def test_a_signature_that_is_none(site: Settings) -> None:
    manifest = read_manifest(version_kit.version(site))
    with (
        lying_server(offered(site, manifest, b"believe me\n")) as base,
        pytest.raises(VersionSpoiled, match="no signature of OpenSSH"),
    ):
        refuse(base, site)


def test_another_version_than_was_asked_for(site: Settings) -> None:
    """Signed by the site, yet an older one: a server cannot hold a client back unnoticed."""
    manifest = read_manifest(version_kit.version(site)).replace(b"\nversion 1\n", b"\nversion 2\n")
    with (
        lying_server(offered(site, manifest)) as base,
        pytest.raises(ManifestInvalid, match="asked for web@1, the server gave web@2"),
    ):
        refuse(base, site)


def test_a_signed_manifest_that_leaves_its_tree(site: Settings) -> None:
    manifest = read_manifest(version_kit.version(site)).replace(b" /etc/passwd ", b" /etc/.. ")
    with (
        lying_server(offered(site, manifest)) as base,
        open_version(base, WEB1, public_key_path(site)) as reader,
        pytest.raises(ManifestInvalid, match=r"web@1:\d+: "),
    ):
        for _, line in reader.entries():
            reader.read(line)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (whole(b"x" * 10, 20), "10 bytes came of 20"),
        (whole(b"x" * 101), "101 bytes, where at most 100"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 101, "more than the 100 bytes"),
        (b"HTTP/1.0 500 broken\r\n\r\nout of\x1b[31m order\n", "500: out of"),
        (b"garbage\r\n\r\n", "no HTTP answer"),
    ],
)
def test_lies_about_sizes(answer: bytes, said: str) -> None:
    with (
        lying_server({"/file": answer}) as base,
        pytest.raises(ServerUnreachable, match=said) as caught,
    ):
        download(f"{base}/file", io.BytesIO(), most=100)
    assert "\x1b" not in caught.value.message


def test_an_answer_that_takes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 61)
    monkeypatch.setattr(downloading, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with (
        lying_server({"/slow": whole(b"x")}) as base,
        pytest.raises(ServerUnreachable, match="only 1 bytes came in 61 s"),
    ):
        download(f"{base}/slow", io.BytesIO(), most=100)


def test_nobody_there(site: Settings, tmp_path: Path) -> None:
    key = shutil.copy(public_key_path(site), tmp_path / "key")
    with (
        pytest.raises(ServerUnreachable, match="Connection refused"),
        open_version("http://127.0.0.1:1", WEB1, Path(key)),
    ):
        pass
