"""The store: images by name, each with its layout, master script and override.

Stage 2. In: Settings and names; out: `Image`s, and changed directories. Writers hold the image's
lock, fill a hidden tree and rename it, so that no name ever stands for half a tree.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from si.client.record import MAX_BYTES, Facts, parse_facts
from si.config import Settings
from si.errors import ImageExists, ImageInUse, ImageNotFound, NameInvalid
from si.image.lock import lock_image, make_store
from si.image.metadata import FACTS, Record, load_record, read_inside, write_record
from si.image.swap import leftovers, remove_tree, retire, staging_path
from si.image.usage import refuse_mounts, refuse_use
from si.names_check import check_name
from si.system.run import run

Beside = Callable[[], None]
"""What a later stage does for an image in the same go, while its lock is held."""


def _nothing() -> None:
    """Nothing beside."""


@dataclass(frozen=True, slots=True)
class Image:
    """A tree of the store.

    captured: ISO time in UTC, None for a tree that was made by hand; then golden_client, arch,
    bytes and paths are unknown too ("" and None).
    """

    name: str
    path: Path
    captured: str | None
    golden_client: str
    arch: str
    bytes: int | None
    paths: int | None

    @property
    def facts(self) -> Facts | None:
        """What si-prepareclient recorded, read from the tree; None when it holds no facts.

        Raises FactsInvalid.
        """
        text = read_inside(self.path, FACTS, max_bytes=MAX_BYTES)
        return None if text is None else parse_facts(text, str(self.path / FACTS))


def layout_path(settings: Settings, name: str) -> Path:
    """Where the layout document of image `name` lies."""
    return settings.layouts / f"{name}.xml"


def script_path(settings: Settings, name: str) -> Path:
    """Where the master script of image `name` lies."""
    return settings.scripts / f"{name}.master"


def override_path(settings: Settings, name: str) -> Path:
    """The override that every client of image `name` gets."""
    return settings.overrides / name


def write_layout(settings: Settings, name: str, text: bytes) -> Path:
    """Put the layout document of image `name` in place in one step; gives its path."""
    path = layout_path(settings, check_name("image", name))
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(text)
    fresh.replace(path)
    return path


def list_images(settings: Settings) -> tuple[Image, ...]:
    """All images, by name."""
    if not settings.images.is_dir():
        return ()
    names = sorted(entry.name for entry in settings.images.iterdir() if _is_image(entry))
    return tuple(_load(settings, name) for name in names)


def load_image(settings: Settings, name: str) -> Image:
    """One image. Raises NameInvalid, ImageNotFound, ImageInUse for a path that is a link."""
    check_name("image", name)
    path = settings.images / name
    if path.is_symlink():
        raise ImageInUse(
            f"{path} is a symbolic link, not an image", hint="an image is a directory of its own"
        )
    if not path.is_dir():
        known = ", ".join(image.name for image in list_images(settings))
        hint = f"images: {known}" if known else "there are none yet: si-getimage makes them"
        raise ImageNotFound(f"no image is named {name}", hint=hint)
    return _load(settings, name)


def copy_image(
    settings: Settings, source: str, destination: str, *, beside: Beside = _nothing
) -> Image:
    """Copy an image with its layout, master script and override; every attribute is kept.

    beside: called before the copy gets its name.
    Raises ImageExists, ImageNotFound, StoreLocked, ImageInUse (mounts in it), CommandFailed.
    """
    _check_two(source, destination)
    with lock_image(settings, source), lock_image(settings, destination):
        image = load_image(settings, source)
        refuse_mounts(image.path, source)
        _refuse_taken(settings, destination)
        staging = staging_path(settings, destination)
        pairs = _companions(settings, source, destination)
        if staging.exists():
            remove_tree(settings, staging)
        try:
            _copy_tree(image.path, staging)
            _rename_record(staging, destination)
            for old, new in pairs:
                _copy_tree(old, new)
            beside()
            staging.rename(settings.images / destination)
        except BaseException:
            for path in (staging, *(new for _old, new in pairs)):
                _discard(settings, path, destination)
            raise
    return load_image(settings, destination)


def move_image(
    settings: Settings, source: str, destination: str, *, beside: Beside = _nothing
) -> Image:
    """Rename an image with its layout, master script and override.

    beside: called before anything is renamed.
    Raises ImageExists, ImageNotFound, StoreLocked, ImageInUse.
    """
    _check_two(source, destination)
    with lock_image(settings, source), lock_image(settings, destination):
        image = load_image(settings, source)
        refuse_use(image.path, source)
        _refuse_taken(settings, destination)
        beside()
        for old, new in _companions(settings, source, destination):
            old.rename(new)
        image.path.rename(settings.images / destination)
        _rename_record(settings.images / destination, destination)
    return load_image(settings, destination)


def remove_image(settings: Settings, name: str, *, beside: Beside = _nothing) -> None:
    """Remove an image with its layout, master script, override, and what captures left.

    Of an image that never came about, only the latter. beside: called when nothing speaks against
    it, before anything is removed. Raises ImageNotFound, StoreLocked, ImageInUse.
    """
    check_name("image", name)
    with lock_image(settings, name):
        left = leftovers(settings, name)
        never = left and not _exists(settings.images / name)
        gone = () if never else _retire(settings, name, beside)
        for tree in (*gone, *left):
            remove_tree(settings, tree)


def _retire(settings: Settings, name: str, beside: Beside) -> tuple[Path, ...]:
    """Take the names from an image and what stands beside it; gives the trees to remove."""
    image = load_image(settings, name)
    refuse_use(image.path, name)
    trees = [image.path]
    override = override_path(settings, name)
    if override.is_dir() and not override.is_symlink():
        refuse_mounts(override, name)
        trees.append(override)
    beside()
    gone = tuple(retire(tree, name) for tree in trees)
    for path in (layout_path(settings, name), script_path(settings, name)):
        path.unlink(missing_ok=True)
    return gone


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _is_image(entry: Path) -> bool:
    try:
        check_name("image", entry.name)
    except NameInvalid:
        return False
    return entry.is_dir() and not entry.is_symlink()


def _load(settings: Settings, name: str) -> Image:
    path = settings.images / name
    record = load_record(path)
    if record is None:
        return Image(name, path, None, "", "", None, None)
    return _image_of(name, path, record)


def _image_of(name: str, path: Path, record: Record) -> Image:
    return Image(
        name=name,
        path=path,
        captured=record.captured,
        golden_client=record.golden_client,
        arch=record.arch,
        bytes=record.bytes,
        paths=record.paths,
    )


def _check_two(source: str, destination: str) -> None:
    check_name("image", source)
    check_name("image", destination)
    if source == destination:
        raise ImageExists(f"source and destination are both {source}")


def _refuse_taken(settings: Settings, name: str) -> None:
    """Raise ImageExists when anything already bears `name`."""
    make_store(settings)
    for path in (
        settings.images / name,
        layout_path(settings, name),
        script_path(settings, name),
        override_path(settings, name),
    ):
        if _exists(path):
            raise ImageExists(
                f"{path} exists already", hint="choose another name, or remove it first"
            )


def _companions(settings: Settings, source: str, destination: str) -> tuple[tuple[Path, Path], ...]:
    """(present path, path under the new name) of what exists beside the tree."""
    pairs = (
        (layout_path(settings, source), layout_path(settings, destination)),
        (script_path(settings, source), script_path(settings, destination)),
        (override_path(settings, source), override_path(settings, destination)),
    )
    return tuple(pair for pair in pairs if pair[0].exists())


def _copy_tree(source: Path, destination: Path) -> None:
    """Copy a file or a tree with every attribute; blocks are shared where the store can.

    `cp -a` forgives an xattr that it cannot write, `--preserve=xattr` does not.
    """
    run(
        [
            "cp",
            "-dR",
            "--preserve=mode,ownership,timestamps,links,xattr",
            "--reflink=auto",
            "--sparse=auto",
            "--one-file-system",
            "--no-target-directory",
            "--",
            source,
            destination,
        ]
    )


def _discard(settings: Settings, path: Path, name: str) -> None:
    """Remove what a copy that failed had made."""
    if path.is_dir():
        remove_tree(settings, retire(path, name))
    else:
        path.unlink(missing_ok=True)


def _rename_record(tree: Path, name: str) -> None:
    record = load_record(tree)
    if record is not None:
        write_record(tree, replace(record, image=name))
