"""A tree against the manifest of its version: what is the same, and what differs by its name."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.lab.specimens import FOLDER
from si.config import Settings
from si.version.signature import INSTALL, ensure_public_key
from si.version.signed import NAMESPACE, allowed_signers
from si.version.store import MANIFEST, PACK, SIGNATURE
from tests.integration import version_kit
from tests.integration.boel.files import Run

STOCK = ("tar", "--zstd", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-xpf")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """web@1, with everything that a file system can hold."""
    settings = version_kit.make_store(tmp_path_factory.mktemp("site"), specimens=True)
    odd = version_kit.tree_of(settings) / "odd"
    odd.mkdir()
    names = (b"line\nend", b"back\\slash", b"end\r", b"\\both\n\r", b"\xff\xfe", b"100%0A", b" x ")
    for name in names:
        (odd / os.fsdecode(name)).write_bytes(name)
        (odd / os.fsdecode(b"to " + name)).symlink_to(os.fsdecode(name))
    version_kit.publish(settings)
    return settings


@pytest.fixture
def state(tmp_path: Path, site: Settings) -> Path:
    """/run/boel with the manifest, and /lib/boel with the site's key."""
    folder = tmp_path / "state"
    folder.mkdir(exist_ok=True)
    for name in (MANIFEST, SIGNATURE):
        shutil.copy(version_kit.version(site).path / name, folder / name)
    (folder / "signers").write_text(allowed_signers(ensure_public_key(site), (NAMESPACE, INSTALL)))
    return folder


@pytest.fixture
def tree(tmp_path: Path, site: Settings) -> Path:
    """The version, unpacked by another tar than BOEL's."""
    folder = tmp_path / "a"
    folder.mkdir()
    pack = version_kit.version(site).path / PACK
    subprocess.run([*STOCK, pack], cwd=folder, check=True)
    return folder


VARIABLES = {"SI_IMAGE": "web", "SI_VERSION": "1"}


def test_the_whole_tree_is_the_version(boel: Run, state: Path, tree: Path) -> None:
    (tree / "lost+found").mkdir()
    done = boel(f'check_tree "{tree}"', **VARIABLES)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "against the manifest of web@1" in done.stdout


def change_byte(path: Path) -> None:
    kept = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))


def replace_by(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


ODD = "odd/line\nend"
CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda tree: (tree / "usr/d1/f001").unlink(), "./usr/d1/f001: is missing"),
    "more": (lambda tree: (tree / "etc/evil").touch(), "./etc/evil: is not of the version"),
    "byte": (lambda tree: change_byte(tree / "usr/large0"), "./usr/large0: FAILED"),
    "byte of an odd file": (lambda tree: change_byte(tree / ODD), "line\\nend: FAILED"),
    "mode": (lambda tree: (tree / "usr/d1").chmod(0o4755), "./usr/d1: mode 4755, not 0755"),
    "owner": (lambda tree: os.chown(tree / "usr/d2", 7, 8), "./usr/d2: owner 7:8, not 0:0"),
    "type": (
        lambda tree: replace_by(tree / f"{FOLDER}/fifo", lambda path: path.symlink_to("group")),
        f"./{FOLDER}/fifo: of another type",
    ),
    "target": (
        lambda tree: replace_by(tree / f"{FOLDER}/links/dangling", lambda p: p.symlink_to("/x")),
        f"./{FOLDER}/links/dangling: leads to /x",
    ),
    "hard link": (
        lambda tree: replace_by(
            tree / f"{FOLDER}/large-too", lambda path: shutil.copy2(tree / f"{FOLDER}/large", path)
        ),
        f"./{FOLDER}/large-too: no further name of ./{FOLDER}/large",
    ),
    "device": (
        lambda tree: replace_by(
            tree / f"{FOLDER}/device-char", lambda path: os.mknod(path, 0o20600, os.makedev(9, 9))
        ),
        "device-char: another device",
    ),
}
STRAYS = ["missing", "more"]


@pytest.mark.parametrize(
    "names", [STRAYS, [name for name in CHANGES if name not in STRAYS]], ids=["strays", "others"]
)
def test_what_differs_is_named(boel: Run, state: Path, tree: Path, names: list[str]) -> None:
    for name in names:
        CHANGES[name][0](tree)
    done = boel(f'check_tree "{tree}"\necho installed', **VARIABLES)
    assert (done.returncode, "installed" in done.stdout) == (1, False)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("boel: ")]
    for name in names:
        assert any(CHANGES[name][1] in line for line in lines), (name, lines)
    named = {line.partition(": ")[0] for line in lines if "WARNING" not in line}
    assert len(named) == len(names), "nothing else differs"
    assert "what was installed is not web@1" in done.stderr


def check(boel: Run, state: Path) -> subprocess.CompletedProcess[str]:
    """What the manifest in `state` is taken for, when the server hands it out."""
    text = f"""
http_get() {{ cat "{state}/served/${{1##*/}}"; }}
fetch_manifest
echo believed
"""
    served = state / "served"
    served.mkdir()
    for name in (MANIFEST, SIGNATURE):
        (state / name).rename(served / name)
    (state / "lib").symlink_to(Path("boel-initrd/lib").resolve(), target_is_directory=True)
    return boel(text.replace("fetch_manifest", with_key(state) + "fetch_manifest"), **VARIABLES)


def with_key(state: Path) -> str:
    return f'BOEL_LIB="{state}"\n'


def test_the_sites_own_manifest_is_believed(boel: Run, state: Path) -> None:
    done = check(boel, state)
    assert (done.returncode, done.stdout) == (0, "believed\n"), done.stderr


@pytest.mark.parametrize("name", [MANIFEST, SIGNATURE])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_flipped_bit_is_refused_by_name(boel: Run, state: Path, name: str, place: str) -> None:
    data = bytearray((state / name).read_bytes())
    data[{"first": 0, "middle": len(data) // 2, "last": len(data) - 1}[place]] ^= 1
    (state / name).write_bytes(data)
    done = check(boel, state)
    assert (done.returncode, done.stdout) == (1, "")
    assert "manifest of web@1 is" in done.stderr


def test_a_manifest_of_another_version_is_refused(boel: Run, state: Path, site: Settings) -> None:
    wrong = {"SI_IMAGE": "web", "SI_VERSION": "2"}
    text = f'{with_key(state)}http_get() {{ cat "{state}/${{1##*/}}.served"; }}\nfetch_manifest'
    for name in (MANIFEST, SIGNATURE):
        (state / name).rename(state / f"{name}.served")
    done = boel(text, **wrong)
    assert done.returncode == 1
    assert "not one of web@2" in done.stderr


def test_another_sites_signature_is_refused(boel: Run, state: Path, tmp_path: Path) -> None:
    other = version_kit.make_store(tmp_path / "other")
    (state / "signers").write_text(allowed_signers(ensure_public_key(other)))
    done = check(boel, state)
    assert done.returncode == 1
    assert "the manifest of web@1 is not what the site signed" in done.stderr
