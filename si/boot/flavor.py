"""Builds a flavor: a kernel, and the BOEL initrd that fits it.

Stage 6. The name of a flavor goes in; `flavors/ARCH/NAME/{kernel,initrd.img,torrent.img}` comes
out, staged and swapped in with one rename, so that a client that boots meanwhile never gets the
kernel of one build and the initrd of another. `torrent.img` is what an install by torrent needs
besides: BOEL fetches it then, and knows its hash, so that all others boot without it. Packed by
ourselves, without initramfs-tools or dracut, so that the initrd does not depend on the
distribution's framework, and the same inputs give the same bytes: only names, modes and contents
go in, no owner, time, umask or path of the building machine.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from si.boot.closure import Wanted, collect, parse_programs, usr_links
from si.boot.cpio import Entry, character_device, folder, regular, symlink, write_cpio
from si.boot.elf import MACHINES
from si.boot.kernel import close_over, find_kernel
from si.boot.modules import parse_names
from si.config import Settings
from si.data import data_path
from si.errors import FlavorBuildFailed, FlavorNotFound, NoSpace, PrivilegeMissing
from si.names_check import check_name
from si.system.exchange import exchange
from si.system.run import find_tool, run
from si.version.signature import INSTALL, ensure_public_key
from si.version.signed import NAMESPACE, allowed_signers

ARCHITECTURES = tuple(MACHINES)
_DEFAULT_LIST = "standard"
_EMPTY_FOLDERS = ("a", "dev", "proc", "root", "run", "sys", "tmp", "usr/lib/busybox", "var")
# BOEL has no udev: LVM makes its links itself, and waits for nobody.
_LVM = """\
devices { obtain_device_list_from_udev = 0 external_device_info_source = "none" }
devices { use_devicesfile = 0 }
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
global { event_activation = 0 use_lvmpolld = 0 thin_check_executable = "" }
backup { backup = 0 archive = 0 }
"""
_SMALL_FILES = {
    "etc/lvm/lvm.conf": _LVM,
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
}
_LINKS = {"usr/bin/sh": "dash", "etc/mtab": "/proc/mounts", "var/run": "/run"}
_SCRIPTS = {"bin": "usr/bin/", "lib": "usr/lib/boel/", "fetchers": "usr/lib/boel/fetch-"}
_SIGNERS = "usr/lib/boel/signers"
"""The site's public key: what BOEL does and installs must be signed with it."""
_TORRENT_SUM = "usr/lib/boel/torrent.sha256"
_ZSTD = ("-12", "--long=25", "-T1", "--no-progress", "--quiet", "--stdout")
FLAVOR_FILES = ("kernel", "initrd.img", "torrent.img")


@dataclass(frozen=True, slots=True)
class Flavor:
    """A flavor that stands in the store, and what went into it."""

    name: str
    arch: str
    kernel: Path
    initrd: Path
    torrent: Path
    """What an install by torrent needs besides."""
    release: str
    """The kernel's release, as `uname -r` says it."""
    modules: int
    programs: int
    initrd_bytes: int


def boel_source() -> Path:
    """BOEL's own files: scripts, and the lists of programs and modules."""
    return data_path("boel-initrd")


def flavor_path(settings: Settings, *, flavor: str, arch: str) -> Path:
    """Where a flavor stands, be it there or not. Raises NameInvalid."""
    return settings.flavors / check_name("flavor", arch) / check_name("flavor", flavor)


def require_flavor(settings: Settings, *, flavor: str, arch: str, torrent: bool = False) -> Path:
    """The folder of a flavor that was built, if need be by a version that knew installs by torrent.

    Raises FlavorNotFound, NameInvalid.
    """
    path = flavor_path(settings, flavor=flavor, arch=arch)
    if not all((path / file).is_file() for file in FLAVOR_FILES[: 3 if torrent else 2]):
        purpose = " that can install by torrent" if torrent else ""
        raise FlavorNotFound(
            f"there is no flavor {flavor} for {arch}{purpose}",
            hint=f"build it: si-mkbootpackage --flavor {flavor} --arch {arch}",
        )
    return path


def build_flavor(
    settings: Settings,
    *,
    flavor: str,
    kernel: str | None = None,
    arch: str = "x86_64",
    modules: Sequence[str] = (),
    system: Path = Path("/"),
) -> Flavor:
    """Build `flavor` from the programs, kernels and modules of the tree `system`.

    `kernel` is a release, the path of a kernel, or None for the newest that has its modules.
    The public key of the site is built in, and made when there is none.
    `modules` come on top of the flavor's own list; a flavor without one starts from `standard`.
    Raises FlavorBuildFailed with everything that is missing, NameInvalid, ToolMissing,
    PrivilegeMissing, NoSpace.
    """
    place = flavor_path(settings, flavor=flavor, arch=arch)
    if arch not in ARCHITECTURES:
        raise FlavorBuildFailed(
            f"flavors cannot be built for {arch}", hint=f"--arch is one of {ARCHITECTURES}"
        )
    source = boel_source()
    chosen = find_kernel(system, kernel)
    closure = close_over(chosen, (*_listed_modules(source, flavor), *modules))
    programs = collect(system, _listed_programs(source / "programs"), arch=arch)
    swarm = collect(system, _listed_programs(source / "programs.torrent"), arch=arch)
    _refuse_missing((*programs.missing, *swarm.missing), closure.missing, chosen.release)
    torrent = _pack_torrent(source, swarm.entries, known=programs.entries)
    signers = allowed_signers(ensure_public_key(settings), (NAMESPACE, INSTALL))
    entries = [*programs.entries.values(), *closure.entries, *_own_entries(source)]
    entries.append(regular(_SIGNERS, signers.encode(), executable=False))
    torrent_sum = f"{hashlib.sha256(torrent).hexdigest()}\n"
    entries.append(regular(_TORRENT_SUM, torrent_sum.encode(), executable=False))
    initrd = _compress(write_cpio(entries), zstd=chosen.unpacks_zstd)
    _put_in_place(place, dict(zip(FLAVOR_FILES, (chosen.image, initrd, torrent), strict=True)))
    return Flavor(
        name=flavor,
        arch=arch,
        kernel=place / "kernel",
        initrd=place / "initrd.img",
        torrent=place / "torrent.img",
        release=chosen.release,
        modules=closure.count,
        programs=len(programs.entries),
        initrd_bytes=len(initrd),
    )


def _listed_modules(source: Path, flavor: str, *, within: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The names in modules.FLAVOR, with `@NAME` replaced by the names in modules.NAME."""
    path = source / f"modules.{flavor}"
    if not path.is_file():
        if within:
            raise FlavorBuildFailed(f"modules.{within[-1]} takes in @{flavor}, which is not there")
        return _listed_modules(source, _DEFAULT_LIST, within=(flavor,))
    names: list[str] = []
    for name in parse_names(path.read_text(encoding="utf-8")):
        if name.startswith("@") and name[1:] not in (*within, flavor):
            names.extend(_listed_modules(source, name[1:], within=(*within, flavor)))
        else:
            names.append(name)
    return tuple(names)


def _listed_programs(listing: Path) -> tuple[Wanted, ...]:
    return parse_programs(listing.read_text(encoding="utf-8"))


def _pack_torrent(
    source: Path, entries: Mapping[str, Entry], *, known: Mapping[str, Entry]
) -> bytes:
    """What the initrd does not have already (`known`), and BOEL's client of a swarm. Programs of
    the initrd unpack it, whatever the kernel can."""
    program = (source / "torrent.py").read_bytes()
    more = [entry for path, entry in entries.items() if path not in known]
    archive = write_cpio([*more, regular("usr/lib/boel/torrent.py", program, executable=False)])
    return _compress(archive, zstd=True)


def _own_entries(source: Path) -> Iterator[Entry]:
    """BOEL's scripts, and the folders, links and files that a root file system starts with."""
    yield regular("init", (source / "init").read_bytes(), executable=True)
    for kind, place in _SCRIPTS.items():
        for script in sorted((source / kind).glob("[a-z]*[a-z]")):
            yield regular(f"{place}{script.name}", script.read_bytes(), executable=True)
    for name in _EMPTY_FOLDERS:
        yield folder(name)
    for path, text in _SMALL_FILES.items():
        yield regular(path, text.encode(), executable=False)
    for path, points_to in _LINKS.items():
        yield symlink(path, points_to)
    yield from usr_links()
    # The kernel opens it for /init before anything is mounted on /dev.
    yield character_device("dev/console", 0o600, 5, 1)


def _compress(archive: bytes, *, zstd: bool) -> bytes:
    """zstd is as small as gzip -9 in a thirtieth of its time; kernels before 5.9 know gzip only."""
    if zstd:
        return run([find_tool("zstd"), *_ZSTD], stdin=archive).stdout
    return gzip.compress(archive, mtime=0)


def _refuse_missing(files: Sequence[str], modules: Sequence[str], release: str) -> None:
    package = f"package linux-image-{release}"
    missing = [*files, *(f"kernel module {name} ({package})" for name in modules)]
    if missing:
        raise FlavorBuildFailed(
            f"{len(missing)} missing for the initrd: {'; '.join(missing)}",
            hint="install the packages named in brackets; nothing was changed",
        )


def _put_in_place(place: Path, files: Mapping[str, bytes]) -> None:
    try:
        _stage_and_swap(place, files)
    except PermissionError as error:
        hint = "run it as root, or give a --root that you may write to"
        raise PrivilegeMissing(f"{place.parent} cannot be written to", hint=hint) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise NoSpace(f"no space left for {place}", hint="nothing was changed") from error


def _stage_and_swap(place: Path, files: Mapping[str, bytes]) -> None:
    """Write the files beside `place`, then take its name in one step."""
    place.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        staging.chmod(0o755)
        for name, data in files.items():
            path = staging / name
            path.write_bytes(data)
            path.chmod(0o644)
        if place.exists():
            exchange(staging, place)
        else:
            staging.rename(place)
    finally:
        if staging.exists():
            shutil.rmtree(staging)
