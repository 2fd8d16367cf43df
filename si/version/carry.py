"""Give the versions of one image to another: what a copy or another name of an image needs.

Stage 3. In: two names; out: folders of versions. What says the image's name is signed anew; all
else is a hard link, for it never changes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from si.config import Settings
from si.errors import ImageExists
from si.version.manifest import dump_head, parse_head
from si.version.signature import sign
from si.version.store import (
    HEAD_BYTES,
    MANIFEST,
    MODE,
    SIGNATURE,
    STATE,
    flush,
    list_numbers,
    versions_path,
)


def carry_versions(settings: Settings, source: str, destination: str) -> None:
    """Give all versions of `source` to `destination` as well, manifests signed for that name.

    Packs and torrents are hard links, for neither ever changes. What an attempt that was cut off
    left there is replaced. Raises ImageExists when there are whole versions of that name.
    """
    if list_numbers(settings, destination):
        raise ImageExists(
            f"there are versions of {destination} already",
            hint=f"si-rmimage {destination} removes them, if no image is called that any more",
        )
    folder = versions_path(settings, source)
    if not folder.is_dir():
        return
    staging = settings.versions / f".{destination}.staging"
    for stale in (staging, versions_path(settings, destination)):
        if stale.exists():
            shutil.rmtree(stale)
    staging.mkdir(mode=MODE)
    try:
        for number in list_numbers(settings, source):
            _carry(settings, folder / str(number), staging / str(number), destination)
        if (folder / STATE).exists():
            shutil.copy2(folder / STATE, staging / STATE)
        staging.rename(versions_path(settings, destination))
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _carry(settings: Settings, old: Path, new: Path, image: str) -> None:
    new.mkdir(mode=MODE)
    for entry in old.iterdir():
        if _is_carried(entry):
            (new / entry.name).hardlink_to(entry)
    data = (old / MANIFEST).read_bytes()
    head = parse_head(data[:HEAD_BYTES], str(old / MANIFEST))
    data = dump_head(head._replace(image=image)) + data[len(dump_head(head)) :]
    for name, text in ((MANIFEST, data), (SIGNATURE, sign(settings, data))):
        (new / name).write_bytes(text)
        flush(new / name)


def _is_carried(entry: Path) -> bool:
    is_plain = entry.is_file() and not entry.is_symlink()
    return is_plain and entry.name not in (MANIFEST, SIGNATURE)
