"""Programs, and the libraries they need, out of a system's tree.

Stage 6. The list `programs` and the root of a tree go in (the running system's `/`, or any other
tree with Debian packages in it), archive entries come out. Nothing of the tree is executed.
Whatever is not there is collected and told at once, with the package that has it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from si.boot.cpio import Entry, regular, symlink
from si.boot.elf import MACHINES, ElfFile, ElfInvalid, is_elf, parse_elf

_PROGRAM_FOLDERS = ("usr/sbin", "usr/bin", "sbin", "bin")
_LIBRARY_FOLDERS = (
    "usr/lib/x86_64-linux-gnu",
    "lib/x86_64-linux-gnu",
    "usr/lib64",
    "lib64",
    "usr/lib",
    "lib",
)
"""Where the loader looks by itself, on Debian and elsewhere."""
_MERGED = ("bin", "sbin", "lib", "lib64")
"""Folders of / that the initrd has below /usr; `usr_links` has the links."""
_MAX_LINKS = 40


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line of `programs`: a program, a library (`libNAME.so.N`) or a file (`/PATH`), which may
    stand for several by `*`."""

    name: str
    package: str


@dataclass(slots=True)
class Collection:
    """What was found so far, by its path in the archive, and what was not."""

    root: Path
    arch: str
    entries: dict[str, Entry] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def parse_programs(text: str) -> tuple[Wanted, ...]:
    """Lines of `NAME PACKAGE`; `#` begins a comment. Raises ValueError for any other line."""
    wanted = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words:
            name, package = words
            wanted.append(Wanted(name, package))
    return tuple(wanted)


def usr_links() -> Iterator[Entry]:
    """/bin and its like as links into /usr, as Debian has them."""
    for name in _MERGED:
        yield symlink(name, f"usr/{name}")


def collect(root: Path, wanted: tuple[Wanted, ...], *, arch: str) -> Collection:
    """Every wanted file below `root` and the closure of libraries that they need."""
    collection = Collection(root, arch)
    for item in wanted:
        if item.name.startswith("/"):
            _add_data(collection, item)
        elif ".so." in item.name:
            _add_library(collection, item.name, item.package)
        else:
            _add_program(collection, item)
    return collection


def resolve(root: Path, path: str) -> str | None:
    """`path` with its links followed as if `root` were /; None when nothing is there.

    Both paths are relative to `root`.
    """
    todo = list(reversed(PurePosixPath(path).parts))
    done: list[str] = []
    links = 0
    while todo:
        word = todo.pop()
        if word == "/":
            done = []
        elif word == "..":
            done = done[:-1]
        elif (here := root.joinpath(*done, word)).is_symlink():
            links += 1
            if links > _MAX_LINKS:
                return None
            todo.extend(reversed(here.readlink().parts))
        else:
            done.append(word)
    return "/".join(done) if root.joinpath(*done).exists() else None


def _add_program(collection: Collection, wanted: Wanted) -> None:
    what = f"program {wanted.name}"
    for folder in _PROGRAM_FOLDERS:
        real = resolve(collection.root, f"{folder}/{wanted.name}")
        if real is not None:
            break
    else:
        collection.missing.append(f"{what} (package {wanted.package})")
        return
    _add_elf(collection, real, at=_merged(real), what=what, package=wanted.package)
    path = _merged(f"{folder}/{wanted.name}")
    if path not in collection.entries:
        collection.entries[path] = symlink(path, f"/{_merged(real)}")


def _add_data(collection: Collection, wanted: Wanted) -> None:
    name = wanted.name.lstrip("/")
    paths = [name]
    if "*" in name:
        found = sorted(collection.root.glob(name))
        paths = [path.relative_to(collection.root).as_posix() for path in found]
    resolved = [(path, resolve(collection.root, path)) for path in paths]
    if not resolved or any(real is None for _, real in resolved):
        collection.missing.append(f"file {wanted.name} (package {wanted.package})")
        return
    for path, real in resolved:
        _add_file(collection, path, real or "", package=wanted.package)


def _add_file(collection: Collection, path: str, real: str, *, package: str) -> None:
    data = collection.root.joinpath(real).read_bytes()
    if is_elf(data):  # a module that an interpreter opens, with libraries of its own
        _add_elf(collection, real, at=_merged(path), what=f"file /{path}", package=package)
    else:
        collection.entries[path] = regular(path, data, executable=False)


def _add_library(
    collection: Collection, name: str, package: str, *, folders: tuple[str, ...] = (), by: str = ""
) -> None:
    what = f"library {name}{by}"
    for folder in (*folders, *_LIBRARY_FOLDERS, *_more_folders(collection.root)):
        real = resolve(collection.root, f"{folder}/{name}")
        if real is not None:
            # The initrd has no loader cache: what lies elsewhere goes where the loader looks.
            looked = folder in folders or folder in _LIBRARY_FOLDERS
            at = _merged(f"{folder if looked else _LIBRARY_FOLDERS[0]}/{name}")
            _add_elf(collection, real, at=at, what=what, package=package)
            return
    collection.missing.append(f"{what} (package {package} needs it)")


def _add_elf(collection: Collection, real: str, *, at: str, what: str, package: str) -> None:
    """Put the ELF file `real` into the archive as `at`, and whatever it needs."""
    if at in collection.entries:
        return
    data = collection.root.joinpath(real).read_bytes()
    elf = _parse(collection, data, what)
    if elf is None:
        return
    collection.entries[at] = regular(at, data, executable=True)
    if elf.interpreter is not None:
        _add_loader(collection, elf.interpreter, package)
    origin = "/" + real.rpartition("/")[0]
    folders = tuple(
        posixpath.normpath(folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)).lstrip(
            "/"
        )
        for folder in elf.search
    )
    for name in elf.needed:
        _add_library(collection, name, package, folders=folders, by=f", needed by /{real}")


def _add_loader(collection: Collection, interpreter: str, package: str) -> None:
    real = resolve(collection.root, interpreter)
    if real is None:
        collection.missing.append(f"loader {interpreter} (package {package} needs it)")
        return
    at = _merged(interpreter.lstrip("/"))
    _add_elf(collection, real, at=at, what=f"loader {interpreter}", package=package)


def _parse(collection: Collection, data: bytes, what: str) -> ElfFile | None:
    try:
        elf = parse_elf(data)
    except ElfInvalid as error:
        fault = str(error) if is_elf(data) else "it is no program but a script"
        collection.missing.append(f"{what}: {fault}")
        return None
    if elf.machine != MACHINES[collection.arch]:
        collection.missing.append(f"{what}: it is not for {collection.arch}")
        return None
    return elf


def _more_folders(root: Path) -> Iterator[str]:
    """The folders of ld.so.conf.d, in the order of the files' names."""
    folder = root / "etc/ld.so.conf.d"
    for file in sorted(folder.glob("*.conf")) if folder.is_dir() else ():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("/"):
                yield line.strip().strip("/")


def _merged(path: str) -> str:
    first = path.partition("/")[0]
    return f"usr/{path}" if first in _MERGED else path
