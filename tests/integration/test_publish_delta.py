"""Deltas as they are published: what is in them, read by other programs; what goes with them."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from si.config import Settings, load_settings
from si.errors import VersionSpoiled
from si.image.lock import lock_image
from si.version.publish import publish_version
from si.version.signed import allowed_signers
from si.version.store import list_numbers, load_version, remove_version
from si.version.verify import check_version
from tests.integration.golden_source import si, write
from tests.integration.version_kit import flip_bit, make_store, publish, tree_of, version

CHANGED = [f"usr/d{number % 12}/f{number:03d}" for number in range(0, 300, 20)]


@pytest.fixture
def store(tmp_path: Path) -> Settings:
    """An image with two versions, fifteen small files apart."""
    made = make_store(tmp_path / "server")
    made.etc.mkdir(parents=True, exist_ok=True)
    settings = load_settings(root=made.root, config=None)
    publish(settings)
    change(settings, "of the second version")
    publish(settings)
    return settings


def change(settings: Settings, text: str) -> None:
    for name in CHANGED:
        write(tree_of(settings) / name, f"{name} {text}")


def deltas(settings: Settings) -> list[str]:
    found = settings.versions.rglob("delta-*")
    return sorted(str(path.relative_to(settings.versions)) for path in found)


def test_another_reader_finds_each_file_in_the_delta(store: Settings, tmp_path: Path) -> None:
    """By the words of si-version(5), ssh-keygen and zstd alone."""
    folder = version(store).path
    text, line, seal = (folder / "delta-1.index").read_bytes().partition(b"-----BEGIN SSH")
    key = store.site_key.with_name(f"{store.site_key.name}.pub").read_text()
    (tmp_path / "signers").write_text(allowed_signers(key))
    (tmp_path / "seal").write_bytes(line + seal)
    verify = ["ssh-keygen", "-Y", "verify", "-n", "si-version", "-I", "si"]
    subprocess.run(
        [*verify, "-f", tmp_path / "signers", "-s", tmp_path / "seal"], input=text, check=True
    )
    data = subprocess.run(
        ["zstd", "-dcq"], input=(folder / "delta-1").read_bytes(), capture_output=True, check=True
    ).stdout
    found = re.findall(r"^0:(\d+) (\d+) ([0-9a-f]{64})$", text.decode(), re.MULTILINE)
    assert len(found) == len(CHANGED)
    bodies = {data[int(at) : int(at) + int(size)] for at, size, _ in found}
    assert bodies == {(tree_of(store) / name).read_bytes() for name in CHANGED}
    for at, size, content in found:
        body = data[int(at) : int(at) + int(size)]
        assert hashlib.sha256(body).hexdigest() == content


def test_a_delta_that_spares_nothing_is_not_made(store: Settings) -> None:
    for number in range(300):
        write(tree_of(store) / f"usr/d{number % 12}/f{number:03d}", str(number) * 1000)
    publish(store)
    assert deltas(store) == ["web/2/delta-1", "web/2/delta-1.index"]
    write(tree_of(store) / "etc/passwd", "one file")
    publish(store)
    assert deltas(store) == ["web/2/delta-1", "web/2/delta-1.index"]


@pytest.mark.parametrize("at", [0, 0.5, 1])
@pytest.mark.parametrize("name", ["delta-1", "delta-1.index"])
def test_a_flipped_bit_is_named(store: Settings, name: str, at: float) -> None:
    check_version(store, version(store))
    flip_bit(version(store).path / name, at)
    with pytest.raises(VersionSpoiled, match=name.replace(".", r"\.")):
        check_version(store, version(store))


def test_half_a_delta_is_named(store: Settings) -> None:
    index = version(store).path / "delta-1.index"
    text = index.read_bytes()
    index.unlink()
    with pytest.raises(VersionSpoiled, match="delta-1 has no index"):
        check_version(store, version(store))
    index.write_bytes(text)
    (version(store).path / "delta-1").unlink()
    with pytest.raises(VersionSpoiled, match="delta-1: No such file"):
        check_version(store, version(store))
    index.rename(index.with_name("delta-7.index"))
    (version(store).path / "delta-7").touch()
    with pytest.raises(VersionSpoiled, match=r"delta-7\.index is that from 1 to 2"):
        check_version(store, version(store))


def test_a_delta_goes_with_either_of_its_versions(store: Settings) -> None:
    for text in ("of the third version", "of the fourth version"):
        change(store, text)
        publish(store)
    names = [f"web/{number + 1}/delta-{number}" for number in (1, 2, 3)]
    assert [name for name in deltas(store) if not name.endswith(".index")] == names
    with lock_image(store, "web") as held:
        remove_version(store, held, 2)
    assert deltas(store) == [names[2], f"{names[2]}.index"]
    assert list_numbers(store, "web") == (1, 3, 4)
    check_version(store, version(store, 3))


def test_a_copy_of_an_image_has_its_deltas(store: Settings) -> None:
    done = si(store.root, "cpimage", "web", "copy")
    assert done.returncode == 0, done.stderr
    assert [name for name in deltas(store) if name.startswith("copy/")] == [
        "copy/2/delta-1", "copy/2/delta-1.index",
    ]  # fmt: skip
    with lock_image(store, "copy") as held:
        change(store, "unseen by the copy")
        write(tree_of(store, "copy") / "etc/motd", "a third version")
        done_too = publish_version(store, held)
    check_version(store, done_too.version)
    check_version(store, load_version(store, done_too.version.name._replace(number=2)))
