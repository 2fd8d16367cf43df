"""Master scripts on the server: made for an image, and written without loss of a person's work.

Stage 5, effects: reads layout and facts of an image, writes `scripts/NAME.master` in one step.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from si.config import Settings
from si.errors import LayoutNotFound, Problem, ScriptEdited
from si.image.content import measure_content, measure_kernels
from si.image.store import layout_path, load_image, script_path
from si.layout.check import warn_of_layout
from si.layout.contradict import with_capacities
from si.layout.document import MAX_BYTES, load_layout
from si.names_check import check_name
from si.script.bootloader import kernel_arguments
from si.script.master import is_hand_edited, make_master
from si.script.room import filled, with_kernels
from si.script.steps import PostInstall


@dataclass(frozen=True, slots=True)
class MadeScript:
    """A master script, and what its reader should know of the layout it was made of."""

    text: str
    warnings: tuple[Problem, ...]


def make_script(
    settings: Settings,
    image: str,
    *,
    layout_file: Path | None = None,
    post_install: PostInstall = PostInstall.REBOOT,
    command: str = "si-mkautoinstallscript",
) -> MadeScript:
    """The master script of an image; `layout_file` is by default layouts/IMAGE.xml.

    Raises NameInvalid, ImageNotFound, LayoutNotFound, DocumentInvalid, FactsInvalid.
    """
    found = load_image(settings, image)
    document = layout_file if layout_file is not None else layout_path(settings, image)
    layout = load_layout(read_document(document), str(document))
    facts = found.facts
    kernel_args: tuple[str, ...] = ()
    if facts is not None:
        layout = with_capacities(layout, facts)
        kernel_args = kernel_arguments(facts.kernel.cmdline)
    content = measure_content(found.path, [f.mount_point for f in filled(layout)])
    text = make_master(
        layout,
        image=image,
        layout_name=document.name,
        kernel_args=kernel_args,
        post_install=post_install,
        content=with_kernels(layout, content, measure_kernels(found.path)),
        command=command,
    )
    return MadeScript(text, warn_of_layout(layout, str(document)))


def install_script(settings: Settings, image: str, text: str, *, force: bool) -> Path:
    """Write scripts/IMAGE.master. Raises NameInvalid, and ScriptEdited as `write_script` does."""
    path = script_path(settings, check_name("image", image))
    write_script(path, text, force=force)
    return path


def write_script(path: Path, text: str, *, force: bool) -> None:
    """Replace a master script in one step.

    Raises ScriptEdited, unless `force`, for a file that a person has changed.
    """
    if path.exists() and not force and is_hand_edited(path.read_text(errors="surrogateescape")):
        raise ScriptEdited(
            f"{path} was changed by hand",
            hint="keep your changes elsewhere, then overwrite it with --force",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_document(path: Path) -> bytes:
    """The bytes of a document; of a huge one as many as make its reader refuse it.

    Raises LayoutNotFound.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise LayoutNotFound(
            f"cannot read {path}: {error.strerror}",
            hint="si-getimage writes a layout for each image; --layout names another one",
        ) from error
