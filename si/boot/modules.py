"""Which kernel modules an initrd needs, and which kernel that is.

Stage 6, pure. The texts that depmod wrote (modules.dep, modules.softdep, modules.alias,
modules.builtin) go in as a `ModuleIndex`; the closure of a list of module names comes out as
paths. modules.dep alone is not enough: ext4 finds crc32c only through modules.softdep, by an alias.
Source: depmod(8), modules.dep(5), modprobe.d(5), Linux Documentation/arch/x86/boot.rst.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_SUFFIX = re.compile(r"\.ko(\.(gz|xz|zst))?$")


class KernelInvalid(ValueError):
    """The file is no Linux kernel for x86."""


@dataclass(frozen=True, slots=True)
class ModuleIndex:
    """The modules of one kernel; names have `_` for `-`, paths are relative to its folder."""

    paths: Mapping[str, str]
    needs: Mapping[str, tuple[str, ...]]
    soft: Mapping[str, tuple[str, ...]]
    """What modprobe loads before and after, where it is there: names or aliases."""
    aliases: Mapping[str, tuple[str, ...]]
    builtin: frozenset[str]


@dataclass(frozen=True, slots=True)
class Closure:
    """What a list of modules comes to."""

    paths: tuple[str, ...]
    """Sorted, relative to the kernel's module folder."""
    missing: tuple[str, ...]
    """Wanted names that are neither modules nor built into the kernel."""


def module_name(path: str) -> str:
    """`kernel/fs/foo-bar.ko.xz` is the module `foo_bar`."""
    return _SUFFIX.sub("", path.rpartition("/")[2]).replace("-", "_")


def parse_index(*, dep: str, softdep: str, alias: str, builtin: str) -> ModuleIndex:
    """Make an index of the texts of modules.dep, .softdep, .alias and .builtin."""
    paths: dict[str, str] = {}
    needs: dict[str, tuple[str, ...]] = {}
    for line in dep.splitlines():
        path, colon, rest = line.partition(":")
        if colon:
            name = module_name(path)
            paths[name] = path
            needs[name] = tuple(module_name(word) for word in rest.split())
    return ModuleIndex(
        paths=paths,
        needs=needs,
        soft=_parse_softdep(softdep),
        aliases=_parse_alias(alias),
        builtin=frozenset(module_name(line) for line in builtin.split()),
    )


def parse_names(text: str) -> tuple[str, ...]:
    """The words of a list of modules; `#` begins a comment."""
    lines = (line.partition("#")[0] for line in text.splitlines())
    return tuple(word for line in lines for word in line.split())


def close_modules(index: ModuleIndex, wanted: Iterable[str]) -> Closure:
    """`wanted` and everything that they need.

    A soft dependency that this kernel does not have is left out, as modprobe does; a wanted module
    that it does not have is reported, a built-in one needs nothing.
    """
    missing = []
    chosen: set[str] = set()
    todo: list[str] = []
    for name in wanted:
        found = _resolve(index, name)
        if not found and name.replace("-", "_") not in index.builtin:
            missing.append(name)
        todo.extend(found)
    while todo:
        name = todo.pop()
        if name in chosen or name not in index.paths:
            continue
        chosen.add(name)
        todo.extend(index.needs.get(name, ()))
        for soft in index.soft.get(name, ()):
            todo.extend(_resolve(index, soft))
    return Closure(tuple(sorted(index.paths[name] for name in chosen)), tuple(missing))


def kernel_release(image: bytes) -> str:
    """The release ("6.1.0-56-amd64") that an x86 kernel image says it is.

    Raises KernelInvalid for anything else than a bzImage with a version text.
    """
    if image[0x202:0x206] != b"HdrS":
        raise KernelInvalid("not a Linux kernel for x86")
    offset = struct.unpack_from("<H", image, 0x20E)[0] + 0x200
    text = image[offset : offset + 256].partition(b"\0")[0].decode("ascii", "replace")
    release = text.partition(" ")[0]
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+~-]*", release) is None:
        raise KernelInvalid("the kernel does not say which release it is")
    return release


def release_key(release: str) -> tuple[tuple[int, int, str], ...]:
    """For sorting releases: digits count as numbers, and `6.1~rc1` comes before `6.1`."""
    key: list[tuple[int, int, str]] = []
    for number, tilde, text in re.findall(r"(\d+)|(~)|([^\d~]+)", release):
        if number:
            key.append((2, int(number), ""))
        else:
            key.append((-1, 0, "") if tilde else (1, 0, text))
    return (*key, (0, 0, ""))


def _resolve(index: ModuleIndex, name: str) -> tuple[str, ...]:
    plain = name.replace("-", "_")
    if plain in index.paths:
        return (plain,)
    return index.aliases.get(plain, ())


def _parse_softdep(text: str) -> dict[str, tuple[str, ...]]:
    soft: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 2 and words[0] == "softdep":
            name = words[1].replace("-", "_")
            names = tuple(word for word in words[2:] if word not in {"pre:", "post:"})
            soft[name] = soft.get(name, ()) + names
    return soft


def _parse_alias(text: str) -> dict[str, tuple[str, ...]]:
    aliases: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "alias":
            alias = words[1].replace("-", "_")
            aliases[alias] = (*aliases.get(alias, ()), words[2].replace("-", "_"))
    return aliases
