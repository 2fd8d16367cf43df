"""The store of versions: `versions/NAME/N`, which of them is current, and how long they are kept.

Stage 3. In: Settings and names; out: `Version`s, and changed folders. A version is a folder that
got its name in one step and never changes. Which one is current needs no second step after that:
it is the latest, unless `state.json` names another and knew the latest when it was written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from si.config import Settings
from si.errors import ManifestInvalid, VersionInUse, VersionNotFound
from si.image.lock import HeldImage
from si.image.store import load_image
from si.names_check import VersionName, check_name
from si.system.files import replace_file
from si.version.delta import delta_name, index_name
from si.version.manifest import Head, parse_head

MANIFEST = "manifest"
SIGNATURE = "manifest.sig"
PACK = "image.tar.zst"
TORRENT = "image.torrent"
SCRIPT = "script"
STATE = "state.json"
_CACHE = "cache"
_FORMAT = 1
MODE = 0o750  # a pack holds /etc/shadow
HEAD_BYTES = 64 * 1024


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """last: the highest number ever given, so that none is given twice. current: a version that
    was chosen while `last` was the latest; None when the latest is current."""

    format: int
    last: int
    current: int | None


@dataclass(frozen=True, slots=True)
class Version:
    """A published version. pack: the size of what travels, in bytes."""

    name: VersionName
    path: Path
    head: Head
    current: bool


def versions_path(settings: Settings, image: str) -> Path:
    """Where the versions of an image lie."""
    return settings.versions / check_name("image", image)


def version_path(settings: Settings, image: str, number: int) -> Path:
    """Where a version lies, or would."""
    return versions_path(settings, image) / str(number)


def cache_path(settings: Settings, image: str) -> Path:
    """What publishing remembers of the image's tree."""
    return versions_path(settings, image) / _CACHE


def staging_path(settings: Settings, image: str) -> Path:
    """Where the next version is filled."""
    return versions_path(settings, image) / ".staging"


def list_numbers(settings: Settings, image: str) -> tuple[int, ...]:
    """The numbers of the versions that there are, in order."""
    try:
        entries = list(versions_path(settings, image).iterdir())
    except FileNotFoundError:
        return ()
    return tuple(sorted(int(entry.name) for entry in entries if _is_number(entry.name)))


def list_versions(settings: Settings, image: str) -> tuple[Version, ...]:
    """The versions of an image, oldest first. Raises ManifestInvalid."""
    current = current_number(settings, image)
    return tuple(
        _load(settings, image, number, current) for number in list_numbers(settings, image)
    )


def current_number(settings: Settings, image: str) -> int | None:
    """The version that clients get; None when none is published."""
    numbers = list_numbers(settings, image)
    if not numbers:
        return None
    state = _load_state(settings, image)
    if state.current in numbers and state.last >= numbers[-1]:
        return state.current
    return numbers[-1]


def next_number(settings: Settings, image: str) -> int:
    """The number of the next version: none is ever given twice."""
    latest = list_numbers(settings, image)[-1:]
    return max(_load_state(settings, image).last, *latest, 0) + 1


def load_version(settings: Settings, name: VersionName) -> Version:
    """One version; the current one when `name` has no number.

    Raises VersionNotFound, ImageNotFound, ManifestInvalid.
    """
    numbers = list_numbers(settings, name.image)
    if not numbers:
        load_image(settings, name.image)
        raise VersionNotFound(
            f"image {name.image} has no version yet", hint=f"si-publish {name.image} makes one"
        )
    current = current_number(settings, name.image)
    number = name.number if name.number is not None else current
    if number is None or number not in numbers:
        known = ", ".join(map(str, numbers))
        raise VersionNotFound(f"there is no version {name}", hint=f"versions of it: {known}")
    return _load(settings, name.image, number, current)


def read_manifest(version: Version) -> bytes:
    """The bytes of a version's manifest."""
    return (version.path / MANIFEST).read_bytes()


def roll_back(settings: Settings, held: HeldImage, number: int) -> Version:
    """Make a version the current one, until the next is published. Raises VersionNotFound."""
    name = VersionName(held.name, number)
    load_version(settings, name)
    last = next_number(settings, held.name) - 1
    latest = list_numbers(settings, held.name)[-1]
    _store_state(settings, held.name, last, None if number == latest else number)
    return load_version(settings, name)


def remove_version(settings: Settings, held: HeldImage, number: int) -> None:
    """Remove a version. Raises VersionNotFound; VersionInUse for the current one."""
    version = load_version(settings, VersionName(held.name, number))
    if version.current:
        raise VersionInUse(
            f"{version.name} is the current version",
            hint=f"make another one current first, with si-rollback {held.name}@N",
        )
    _forget(settings, held.name, number)


def prune_versions(settings: Settings, held: HeldImage, needed: Collection[int]) -> tuple[int, ...]:
    """Remove what the settings do not keep, neither current nor needed; gives the numbers."""
    keep, current = settings.publish.keep, current_number(settings, held.name)
    numbers = list_numbers(settings, held.name)[: -keep or None] if keep > 0 else ()
    old = tuple(number for number in numbers if number not in {current, *needed})
    for number in old:
        _forget(settings, held.name, number)
    return old


def sweep(settings: Settings, image: str) -> None:
    """Remove what a publishing or a removal that was cut off left behind."""
    folder = versions_path(settings, image)
    if folder.is_dir():
        for entry in folder.iterdir():
            if entry.name.startswith(".") and entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name.startswith("."):
                entry.unlink()


def remove_versions(settings: Settings, image: str) -> None:
    """Remove all versions of an image, and what is remembered of them."""
    folder = versions_path(settings, image)
    if folder.is_dir():
        old = settings.versions / f".{image}.old"
        if old.exists():
            shutil.rmtree(old)
        folder.rename(old)
        shutil.rmtree(old)


def make_folder(settings: Settings, image: str) -> Path:
    """The folder of an image's versions, made when it is missing, closed to other users."""
    for folder in (settings.versions, versions_path(settings, image)):
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(MODE)
    return versions_path(settings, image)


def flush(path: Path) -> None:
    """Bring a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _load(settings: Settings, image: str, number: int, current: int | None) -> Version:
    path = version_path(settings, image, number)
    try:
        with (path / MANIFEST).open("rb") as file:
            head = parse_head(file.read(HEAD_BYTES), str(path / MANIFEST))
    except OSError as error:
        raise ManifestInvalid(f"cannot read {path / MANIFEST}: {error.strerror}") from None
    if (head.image, head.number) != (image, number):
        raise ManifestInvalid(f"{path / MANIFEST} is that of {head.image}@{head.number}")
    return Version(VersionName(image, number), path, head, number == current)


def _forget(settings: Settings, image: str, number: int) -> None:
    """Remove a version, and the deltas from it: its name goes in one step, never given again."""
    state = _load_state(settings, image)
    last = next_number(settings, image) - 1
    if state.last != last:
        current = current_number(settings, image)
        latest = list_numbers(settings, image)[-1]
        _store_state(settings, image, last, None if current == latest else current)
    for name in (index_name(number), delta_name(number)):
        for delta in versions_path(settings, image).glob(f"*/{name}"):
            delta.unlink()
    gone = versions_path(settings, image) / f".{number}.old"
    version_path(settings, image, number).rename(gone)
    shutil.rmtree(gone)


def _load_state(settings: Settings, image: str) -> _State:
    try:
        text = (versions_path(settings, image) / STATE).read_bytes()
    except FileNotFoundError:
        return _State(_FORMAT, 0, None)
    path = versions_path(settings, image) / STATE
    try:
        state = msgspec.json.decode(text, type=_State)
    except msgspec.DecodeError as error:
        raise ManifestInvalid(f"{path}: {error}", hint="remove it: the latest is current") from None
    if state.format != _FORMAT:
        raise ManifestInvalid(f"{path}: format {state.format} is not known, only {_FORMAT}")
    return state


def _store_state(settings: Settings, image: str, last: int, current: int | None) -> None:
    data = msgspec.json.encode(_State(_FORMAT, last, current)) + b"\n"
    replace_file(versions_path(settings, image) / STATE, data)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and not name.startswith("0") and len(name) < 10
