"""Finds a kernel and takes from its modules what an initrd needs.

Stage 6. A release, a path or nothing goes in, the kernel's bytes and archive entries come out.
depmod (package kmod) writes the indexes that modprobe reads, over a staging tree of the chosen
modules only; the list that decides their order is written by us, so that its output does not
depend on the order in which the file system lists them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from si.boot.cpio import Entry, regular
from si.boot.modules import (
    KernelInvalid,
    ModuleIndex,
    close_modules,
    kernel_release,
    parse_index,
    release_key,
)
from si.errors import FlavorBuildFailed
from si.system.run import find_tool, run

_COPIED = ("modules.builtin", "modules.builtin.modinfo")
_INDEXES = (
    "modules.alias.bin",
    "modules.builtin",
    "modules.builtin.alias.bin",
    "modules.builtin.bin",
    "modules.dep",
    "modules.dep.bin",
    "modules.order",
    "modules.softdep",
)
"""Those that modprobe reads; modules.symbols is only for asking by symbol."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel of some system, and the folder of its modules."""

    release: str
    image: bytes
    folder: Path
    unpacks_zstd: bool


@dataclass(frozen=True, slots=True)
class Modules:
    """The modules for an initrd as archive entries, with modprobe's indexes."""

    entries: tuple[Entry, ...]
    count: int
    missing: tuple[str, ...]


def find_kernel(system: Path, wanted: str | None) -> Kernel:
    """The kernel that `wanted` names: a release, a path, or None for the newest with modules.

    Raises FlavorBuildFailed.
    """
    if wanted is None:
        release = _newest(system)
        image = system / f"boot/vmlinuz-{release}"
    elif "/" in wanted:
        image = Path(wanted)
        release = _release_of(image)
    else:
        release, image = wanted, system / f"boot/vmlinuz-{wanted}"
    folder = system / f"lib/modules/{release}"
    absent = [str(path) for path in (image, folder / "modules.dep") if not path.is_file()]
    if absent:
        raise FlavorBuildFailed(
            f"kernel {release} is not complete: missing {' and '.join(absent)}",
            hint=f"install the package linux-image-{release}, or name another --kernel",
        )
    return Kernel(release, image.read_bytes(), folder, _unpacks_zstd(system, release))


def close_over(kernel: Kernel, wanted: Iterable[str]) -> Modules:
    """The modules `wanted` and what they need. Raises ToolMissing, CommandFailed."""
    closure = close_modules(_read_index(kernel.folder), wanted)
    if closure.missing:
        return Modules((), 0, closure.missing)
    place = f"usr/lib/modules/{kernel.release}"
    files = {path: (kernel.folder / path).read_bytes() for path in closure.paths}
    files_and_indexes = files | _write_indexes(kernel, files)
    entries = tuple(
        regular(f"{place}/{path}", data, executable=False)
        for path, data in files_and_indexes.items()
    )
    return Modules(entries, len(files), ())


def _newest(system: Path) -> str:
    releases = [
        path.name.removeprefix("vmlinuz-")
        for path in (system / "boot").glob("vmlinuz-*")
        if (system / "lib/modules" / path.name.removeprefix("vmlinuz-") / "modules.dep").is_file()
    ]
    if not releases:
        raise FlavorBuildFailed(
            f"no kernel in {system / 'boot'} has its modules in {system / 'lib/modules'}",
            hint="install the package linux-image-amd64, or name a --kernel",
        )
    return max(releases, key=release_key)


def _release_of(image: Path) -> str:
    try:
        return kernel_release(image.read_bytes())
    except OSError as error:
        raise FlavorBuildFailed(f"cannot read the kernel {image}: {error.strerror}") from error
    except KernelInvalid as error:
        raise FlavorBuildFailed(f"{image}: {error}", hint="name a file like vmlinuz-*") from error


def _unpacks_zstd(system: Path, release: str) -> bool:
    """Whether the kernel's configuration says so; believed where there is none to read."""
    config = system / f"boot/config-{release}"
    return not config.is_file() or "CONFIG_RD_ZSTD=y\n" in config.read_text(encoding="utf-8")


def _read_index(folder: Path) -> ModuleIndex:
    def text(name: str) -> str:
        path = folder / f"modules.{name}"
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    return parse_index(
        dep=text("dep"), softdep=text("softdep"), alias=text("alias"), builtin=text("builtin")
    )


def _write_indexes(kernel: Kernel, files: dict[str, bytes]) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="si-depmod.") as name:
        staging = Path(name)
        folder = staging / "lib/modules" / kernel.release
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        for index in _COPIED:
            if (kernel.folder / index).is_file():
                (folder / index).write_bytes((kernel.folder / index).read_bytes())
        (folder / "modules.order").write_text(_order(kernel.folder, files), encoding="utf-8")
        depmod = find_tool("depmod", package="kmod")
        run([depmod, "-C", "/dev/null", "-b", staging, kernel.release])
        return {
            index: (folder / index).read_bytes() for index in _INDEXES if (folder / index).is_file()
        }


def _order(folder: Path, files: Iterable[str]) -> str:
    """modules.order for `files`: as the kernel's own has them, those it has not at the end."""
    original = folder / "modules.order"
    lines = original.read_text(encoding="utf-8").split() if original.is_file() else []
    places = {line: number for number, line in enumerate(lines)}
    ordered = sorted(files, key=lambda path: (places.get(path, len(places)), path))
    return "".join(f"{path}\n" for path in ordered)
