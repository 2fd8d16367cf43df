"""What an image knows of itself: `etc/systemimager/image.json`, written by a capture.

Stage 2. In: a tree; out: a `Record`. It lies in the tree, so that it travels with every copy and
an installed client can tell what it runs. Every file here is reached without following a link:
the tree came from another machine, and a link in it must not lead anywhere on this one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from si.client.fields import load_fields
from si.errors import CaptureFailed, SIError

FORMAT = 1
FOLDER = "etc/systemimager"
RECORD = f"{FOLDER}/image.json"
FACTS = f"{FOLDER}/facts.json"
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """image: the name. captured: ISO time in UTC. golden_client: as it was named, or the
    directory. arch: "" when unknown. bytes, paths: what the capture brought."""

    image: str
    captured: str
    golden_client: str
    arch: str
    bytes: int
    paths: int


def dump_record(record: Record) -> str:
    """The text of image.json."""
    data = {
        "format": FORMAT,
        "image": record.image,
        "captured": record.captured,
        "golden_client": record.golden_client,
        "arch": record.arch,
        "bytes": record.bytes,
        "paths": record.paths,
    }
    return json.dumps(data, indent=1, ensure_ascii=True) + "\n"


def parse_record(text: str | bytes, source: str) -> Record:
    """Read the text of image.json. Raises CaptureFailed for anything `dump_record` never wrote."""
    fields = load_fields(text, source, error=CaptureFailed, max_bytes=_MAX_BYTES)
    if fields.integer("format") != FORMAT:
        raise fields.wrong("format", str(FORMAT))
    record = Record(
        image=fields.text("image"),
        captured=fields.text("captured"),
        golden_client=fields.text("golden_client"),
        arch=fields.text("arch"),
        bytes=fields.integer("bytes"),
        paths=fields.integer("paths"),
    )
    fields.finish()
    return record


def load_record(tree: Path) -> Record | None:
    """The record of the image in `tree`; None for a tree made by hand, or a spoiled record."""
    text = read_inside(tree, RECORD, max_bytes=_MAX_BYTES)
    if text is None:
        return None
    try:
        return parse_record(text, str(tree / RECORD))
    except SIError as error:
        logging.getLogger(__name__).warning("%s: taken as an image made by hand", error.message)
        return None


def read_inside(tree: Path, path: str, *, max_bytes: int) -> bytes | None:
    """At most max_bytes + 1 bytes of a regular file of the tree, None when there is none."""
    folder, _, name = path.rpartition("/")
    try:
        with (
            _open_folder(tree, folder, create=False) as parent,
            _opened(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)) as f,
        ):
            if not stat.S_ISREG(os.fstat(f).st_mode):
                return None
            with open(f, "rb", closefd=False) as stream:
                return stream.read(max_bytes + 1)
    except OSError:
        return None


def write_record(tree: Path, record: Record) -> None:
    """Write image.json into the tree, leaving the times of its folder as they are.

    Raises CaptureFailed when etc/systemimager is no directory.
    """
    data = dump_record(record).encode()
    temporary, name = ".image.json.new", RECORD.rpartition("/")[2]
    try:
        with _open_folder(tree, FOLDER, create=True) as folder, _keep_times(folder):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with _opened(os.open(temporary, flags, 0o644, dir_fd=folder)) as f:
                os.fchmod(f, 0o644)
                os.write(f, data)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        raise CaptureFailed(
            f"cannot write {tree / RECORD}: {error.strerror}",
            hint=f"{FOLDER} must be a directory in the tree, not a link",
        ) from error


@contextlib.contextmanager
def _open_folder(tree: Path, path: str, *, create: bool) -> Iterator[int]:
    """A descriptor of a folder of the tree, each step of the way a real directory."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    current = os.open(tree, flags)
    try:
        for part in path.split("/"):
            if create:
                with contextlib.suppress(FileExistsError), _keep_times(current):
                    os.mkdir(part, 0o755, dir_fd=current)
            inner = os.open(part, flags, dir_fd=current)
            os.close(current)
            current = inner
        yield current
    finally:
        os.close(current)


@contextlib.contextmanager
def _keep_times(folder: int) -> Iterator[None]:
    before = os.fstat(folder)
    try:
        yield
    finally:
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextlib.contextmanager
def _opened(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
