"""Run an administrator's own scripts around an update: pre-update.d and post-update.d.

Stage 8, effects; runs on clients (Python 3.9). They are files of the image like any other: before
the update those that are here run, after it those that it brought. `si.client.hooks` says which.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterable
from pathlib import Path

from si.client.hooks import choose_scripts
from si.client.itemize import Item
from si.client.places import Places
from si.client.server import Update
from si.errors import CommandFailed, SIError, UpdateRefused
from si.system.run import run

PRE_UPDATE, POST_UPDATE = "pre-update.d", "post-update.d"

_log = logging.getLogger(__name__)


def run_hooks(
    places: Places, stage: str, update: Update, items: Iterable[Item], *, version: int | None
) -> None:
    """Run the scripts of `stage`, each with the changed paths on its standard input, ended by NUL.

    Raises UpdateRefused for one that others than root may write to, CommandFailed for one that
    ends with an error; those after it do not run.
    """
    folder = places.etc / stage
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return
    chosen = choose_scripts(names, image=update.image, client=update.client, groups=update.groups)
    paths = b"".join(_full_path(item) + b"\0" for item in items)
    environment = {
        "SI_CLIENT": update.client,
        "SI_IMAGE": update.image,
        "SI_VERSION": "" if version is None else str(version),
    }
    for name in chosen:
        _refuse_foreign(folder / name)
        _run_one(places, f"{stage}/{name}", paths, environment)


def _full_path(item: Item) -> bytes:
    return b"/" if item.path == b"." else b"/" + item.path


def _refuse_foreign(script: Path) -> None:
    for path in (script, script.parent):
        about = path.lstat()
        if about.st_uid != 0 or about.st_mode & 0o022 or stat.S_ISLNK(about.st_mode):
            raise UpdateRefused(
                f"{path} is not run: not only root can write to it",
                hint="make it a file of root with mode 0755, or remove it",
            )


def _run_one(places: Places, name: str, paths: bytes, environment: dict[str, str]) -> None:
    enter = [] if places.root == Path("/") else ["chroot", str(places.root)]
    inside = f"/{(places.etc / name).relative_to(places.root)}"
    try:
        done = run([*enter, inside], stdin=paths, env=environment)
    except (SIError, OSError) as error:
        said = error.message if isinstance(error, SIError) else error.strerror
        raise CommandFailed(
            f"{name} failed: {said}", hint=f"see what it wants: run {inside} by hand"
        ) from error
    for line in done.text.splitlines():
        _log.info("%s: %s", name, line)
