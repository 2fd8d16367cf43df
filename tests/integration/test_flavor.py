"""A real flavor of this machine's programs and kernel, unpacked and tried by the stock tools."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from si.boot.closure import parse_programs
from si.boot.flavor import Flavor, boel_source, build_flavor
from si.boot.modules import module_name, parse_names
from si.config import Settings, default_settings
from si.errors import FlavorBuildFailed, NoSpace, PrivilegeMissing
from si.version.signature import public_key_path
from si.version.store import PACK, TORRENT, version_path
from tests.integration import server_kit, version_kit

REPOSITORY = boel_source().parent
NOBODY = 65534
MAX_BYTES = 20_000_000
MAX_BYTES_WITH_TORRENT = 24_000_000
MAX_SECONDS = 10.0
# How each program says that it runs; most know --version.
QUESTIONS = {
    "busybox": ["true"],
    "dash": ["-c", ":"],
    "mkfs.ext2": ["-V"],
    "mkfs.ext3": ["-V"],
    "mkfs.ext4": ["-V"],
    "mke2fs": ["-V"],
    "mkfs.xfs": ["-V"],
    "mkfs.vfat": ["--help"],
    "ssh-keygen": ["-q", "-t", "ed25519", "-N", "", "-f", "/tmp/key"],
}
# Without /proc it does nothing but say so: it has found its libraries.
EXIT_CODES = {"lvm": 3}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Flavor, float]:
    start = processor_seconds()
    flavor = build_flavor(default_settings(tmp_path_factory.mktemp("flavor")), flavor="virtio")
    return flavor, processor_seconds() - start


def processor_seconds() -> float:
    """Of this process and those it has waited for: other work on the machine does not count."""
    return sum(os.times()[:4])


@pytest.fixture(scope="module")
def tree(built: tuple[Flavor, float], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The initrd, unpacked by zstd and cpio."""
    folder = tmp_path_factory.mktemp("tree")
    archive = subprocess.run(
        ["zstd", "-dc", built[0].initrd], check=True, capture_output=True
    ).stdout
    done = subprocess.run(
        ["cpio", "--extract", "--quiet", "--no-absolute-filenames", "--preserve-modification-time"],
        input=archive,
        cwd=folder,
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    return folder


def test_bounds(built: tuple[Flavor, float]) -> None:
    flavor, seconds = built
    print(f"virtio: {flavor.initrd_bytes} bytes in {seconds:.2f} s")
    assert flavor.initrd_bytes == flavor.initrd.stat().st_size <= MAX_BYTES
    assert flavor.initrd_bytes + flavor.torrent.stat().st_size <= MAX_BYTES_WITH_TORRENT
    assert seconds <= MAX_SECONDS


def test_kernel_is_the_named_one(built: tuple[Flavor, float]) -> None:
    kernel = Path(f"/boot/vmlinuz-{built[0].release}")
    assert built[0].kernel.read_bytes() == kernel.read_bytes()


def test_every_program_runs_with_nothing_but_the_initrd(tree: Path) -> None:
    os.mknod(tree / "dev/null", 0o20666, os.makedev(1, 3))
    failed = {}
    for item in parse_programs((boel_source() / "programs").read_text()):
        if item.name.startswith("/") or ".so." in item.name:
            continue
        words = QUESTIONS.get(item.name, ["--version"])
        done = subprocess.run(
            ["chroot", tree, item.name, *words],
            env={"PATH": "/usr/sbin:/usr/bin"},
            capture_output=True,
            text=True,
        )
        if done.returncode != EXIT_CODES.get(item.name, 0):
            failed[item.name] = (done.returncode, done.stderr)
    assert failed == {}


def test_the_part_for_torrent_is_what_boel_knows_and_brings_all_that_its_program_imports(
    tree: Path, built: tuple[Flavor, float], tmp_path: Path
) -> None:
    listed = list_archive(built[0].initrd)
    assert [path for path in listed if "python" in path or path.endswith("torrent.py")] == []
    copy = tmp_path / "tree"
    subprocess.run(["cp", "-a", tree, copy], check=True)
    named = '[ "$1" = flavors/x86_64/virtio/torrent.img ]'
    answers = f'http_get() {{ {named} && cat "{built[0].torrent}"; }}\n'
    run_in = f'set -eu\n. "{boel_source()}/lib/functions.sh"\n{answers}add_part torrent'
    state = tmp_path / "state"
    state.mkdir()
    environment = {
        "PATH": os.environ["PATH"], "SI_ARCH": "x86_64", "SI_FLAVOR": "virtio",
        "BOEL_ROOT": str(copy), "BOEL_STATE": str(state), "BOEL_LIB": str(copy / "usr/lib/boel"),
    }  # fmt: skip
    done = subprocess.run(
        ["busybox", "sh", "-c", run_in], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    fetch_from_a_server(copy, tmp_path / "site")
    (copy / "usr/lib/boel/torrent.sha256").write_text("0" * 64 + "\n")
    refused = subprocess.run(
        ["busybox", "sh", "-c", run_in], env=environment, capture_output=True, text=True
    )
    assert (refused.returncode, "another build of the flavor virtio" in refused.stderr) == (1, True)


def fetch_from_a_server(tree: Path, root: Path) -> None:
    """Have the program run with the Python of `tree`, which has few modules and one encoding."""
    site = version_kit.make_site(root)
    version_kit.publish(site)
    version = version_path(site, "web", 1)
    shutil.copy(version / TORRENT, tree)
    if not (tree / "dev/null").exists():
        os.mknod(tree / "dev/null", 0o20666, os.makedev(1, 3))
    with server_kit.running_server(site, "--only", "http,torrent"):
        done = subprocess.run(
            ["chroot", tree, "python3", "-I", "-S", "/usr/lib/boel/torrent.py", f"/{TORRENT}",
             "/tmp", f"http://127.0.0.1:{site.server.http_port}/announce",
             str(server_kit.free_port()), "30"],
            env={"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C"}, capture_output=True,
        )  # fmt: skip
    with contextlib.suppress(ProcessLookupError):
        os.kill(int((tree / "tmp/pid").read_text()), signal.SIGKILL)
    whole = (version / PACK).read_bytes()
    assert (done.returncode, done.stdout == whole) == (0, True), done.stderr


def test_modprobe_finds_each_module_and_what_it_needs(
    tree: Path, built: tuple[Flavor, float]
) -> None:
    release = built[0].release
    wanted = parse_names((boel_source() / "modules.virtio").read_text())
    preferred = "crypto-crc32c"
    aliases = ["fs-vfat", "virtio:d00000001v00001AF4", preferred]
    for name in [*wanted, *aliases]:
        lines = show_depends(name, "--dirname", str(tree), "--set-version", release)
        whole = show_depends(name, "--set-version", release)
        names, all_names = ([Path(line).name for line in found] for found in (lines, whole))
        assert set(names) == set(all_names)
        if name == preferred:
            assert names == all_names, "which of several drivers comes first is the kernel's choice"
        for line in lines:
            if line.startswith("insmod "):
                assert Path(line.split()[1]).is_relative_to(tree)
                assert Path(line.split()[1]).is_file()


def show_depends(name: str, *options: str) -> list[str]:
    words = ["modprobe", *options, "--show-depends", name]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return [line.strip() for line in done.stdout.splitlines()]


def test_nothing_tells_when_or_by_whom_it_was_made(built: tuple[Flavor, float]) -> None:
    lines = list_archive(built[0].initrd, "--verbose", "--numeric-uid-gid")
    assert len(lines) > 100
    for line in lines:
        words = line.split()
        assert words[2:4] == ["0", "0"], line
        assert "Jan  1  1970" in line, line


def list_archive(initrd: Path, *options: str) -> list[str]:
    archive = subprocess.run(["zstd", "-dc", initrd], check=True, capture_output=True).stdout
    done = subprocess.run(
        ["cpio", "--list", "--quiet", *options],
        input=archive,
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
    )
    return done.stdout.decode().splitlines()


@pytest.fixture
def other_file_system(tmp_path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="other tmp") as name:
        assert Path(name).stat().st_dev != tmp_path.stat().st_dev
        yield Path(name)


def test_two_builds_have_one_hash(
    built: tuple[Flavor, float], tmp_path: Path, other_file_system: Path
) -> None:
    """Another folder, umask, time zone, locale and time of day; and temporary files on another
    file system, which lists directories in another order. The site's key is the same."""
    program = "from si.cli.mkbootpackage import main; main()"
    scratch = other_file_system
    other = default_settings(tmp_path / "deeper/root")
    shutil.copytree(site_of(built[0]).site_key.parent, other.site_key.parent)
    subprocess.run(
        [
            *("setpriv", "--clear-groups", sys.executable, "-c", program),
            *("--flavor", "virtio", "--root", tmp_path / "deeper/root", "--quiet"),
        ],
        check=True,
        umask=0o077,
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "TMPDIR": str(scratch),
            "TZ": "Asia/Kathmandu",
            "LC_ALL": "C",
            "SOURCE_DATE_EPOCH": "1",
        },
    )
    place = tmp_path / "deeper/root/var/lib/systemimager/flavors/x86_64/virtio"
    first = built[0]
    for path in (first.kernel, first.initrd, first.torrent):
        name = path.name
        assert digest(place / name) == digest(path), name
        assert (place / name).stat().st_mode & 0o777 == 0o644
    assert place.stat().st_mode & 0o777 == 0o755
    assert list(scratch.iterdir()) == []


def site_of(flavor: Flavor) -> Settings:
    return default_settings(flavor.initrd.parents[6])


def test_the_sites_public_key_is_built_in(tree: Path, built: tuple[Flavor, float]) -> None:
    key = public_key_path(site_of(built[0])).read_text().split()[1]
    signers = (tree / "usr/lib/boel/signers").read_text()
    assert signers == f'si namespaces="si-version,si-install" ssh-ed25519 {key}\n'


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_build_that_fails_leaves_the_old_flavor(tmp_path: Path) -> None:
    settings = default_settings(tmp_path)
    first = build_flavor(settings, flavor="virtio")
    before = first.initrd.stat()
    with pytest.raises(FlavorBuildFailed) as caught:
        build_flavor(settings, flavor="virtio", modules=["no_such", "ahci", "nor-this"])
    assert "no_such (package linux-image-" in caught.value.message
    assert "nor-this" in caught.value.message
    assert "ahci" not in caught.value.message
    assert first.initrd.stat() == before
    again = build_flavor(settings, flavor="virtio", modules=["ahci"])
    assert again.modules > first.modules
    assert again.initrd.stat().st_ino != before.st_ino
    assert [path.name for path in again.initrd.parent.parent.iterdir()] == ["virtio"]


def test_a_full_disk_leaves_the_old_flavor(tmp_path: Path) -> None:
    settings = default_settings(tmp_path)
    settings.flavors.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", "size=40m", "none"]
    subprocess.run(["mount", *options, settings.flavors], check=True)
    try:
        first = build_flavor(settings, flavor="virtio")
        before = first.initrd.stat()
        with pytest.raises(NoSpace):
            build_flavor(settings, flavor="virtio")
        assert first.initrd.stat() == before
        assert [path.name for path in first.kernel.parent.parent.iterdir()] == ["virtio"]
    finally:
        subprocess.run(["umount", settings.flavors], check=True)


def test_the_command_tells_what_a_user_may_not_do(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)  # root is like any other here, without its capability
    tmp_path.chmod(0o755)
    done = subprocess.run(
        ["setpriv", "--bounding-set", "-dac_override", Path(sys.executable).with_name("si"),
         "mkbootpackage", "--flavor", "virtio", "--root", tmp_path],
        capture_output=True, text=True,
    )  # fmt: skip
    assert f"cannot use {tmp_path}/etc/systemimager: Permission denied" in done.stderr
    assert "hint: run it as root" in done.stderr
    assert done.returncode == PrivilegeMissing.exit_code


def test_kernel_by_its_path_and_a_name_of_ones_own(tmp_path: Path) -> None:
    release = max(Path("/lib/modules").iterdir()).name
    flavor = build_flavor(
        default_settings(tmp_path), flavor="mine", kernel=f"/boot/vmlinuz-{release}"
    )
    assert flavor.release == release
    listing = list_archive(flavor.initrd)
    modules = {module_name(path) for path in listing if path.startswith("usr/lib/modules/")}
    assert {"virtio_net", "ahci", "nvme", "e1000e", "megaraid_sas"} <= modules
