"""The two rsync runs of a capture: comparing with the image that stands, and filling a new tree.

Stage 2. In: a `Pull` (what, from where, into which image); out: `Changes` and rsync's figures.
The staging tree is always empty at the start, since rsync adjusts the attributes of files that it
finds there in place, and those may share their inode with the image that clients read. Unchanged
files are hard links to the image (`--link-dest`); what a failed capture had brought is a second
place to link from, and that is how the next one resumes, in the middle of a file too.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from si.config import Settings
from si.errors import CaptureFailed, NoSpace
from si.image.excludes import Excludes
from si.image.metadata import RECORD
from si.image.source import Source
from si.image.swap import leftovers, partial_paths, remove_tree, set_partial, staging_path
from si.system.rsync import (
    EXACT_TIMES,
    FIDELITY,
    VANISHED,
    Progress,
    Transfer,
    begin,
    parse_item,
    transfer,
)

_MOST_LINK_DESTS = 20  # rsync(1), --link-dest
_RECORD_STAYS = ("--filter=P /etc/", "--filter=P /etc/systemimager/", f"--filter=P /{RECORD}")
_RECORD_HIDDEN = f"--filter=H /{RECORD}"


@dataclass(slots=True)
class Changes:
    """What a dry run says: paths that are new, changed and gone."""

    new: int = 0
    changed: int = 0
    gone: int = 0

    def count(self, line: bytes) -> None:
        """Take one line of rsync's output."""
        item = parse_item(line)
        if item is None:
            return
        code = item[0]
        if code == "*deleting":
            self.gone += 1
        elif code.endswith("+++"):
            self.new += 1
        else:
            self.changed += 1

    @property
    def any(self) -> bool:
        """Whether there is a difference at all."""
        return bool(self.new or self.changed or self.gone)


@contextlib.contextmanager
def rules_file(excludes: Excludes) -> Iterator[Path]:
    """The rules as a file for rsync, as long as the context lasts."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="surrogateescape") as rules:
        rules.write(excludes.text)
        rules.flush()
        yield Path(rules.name)


@dataclass(frozen=True, slots=True)
class Pull:
    """Which tree comes into which image, and the file of rules for what stays out."""

    settings: Settings
    name: str
    source: Source
    rules_file: Path
    on_progress: Callable[[Progress], None] | None = None

    @property
    def image(self) -> Path:
        """The tree that stands, if one does."""
        return self.settings.images / self.name

    @property
    def staging(self) -> Path:
        """The tree that is filled."""
        return staging_path(self.settings, self.name)

    @property
    def words(self) -> tuple[str, ...]:
        """What both runs have in common."""
        return (
            *FIDELITY,
            *EXACT_TIMES,
            *self.source.options,
            _RECORD_HIDDEN,
            f"--exclude-from={self.rules_file}",
        )


class Comparison:
    """A dry run against the image that stands, under way."""

    def __init__(self, pull: Pull) -> None:
        self._pull = pull
        self._running = begin(
            [
                "--dry-run",
                "--itemize-changes",
                "--delete",
                "--delete-excluded",
                *_RECORD_STAYS,
                *pull.words,
                pull.source.locate(),
                f"{pull.image}/",
            ],
            die_with_parent=True,
        )

    def finish(self) -> tuple[Changes, Transfer]:
        """What it found. Raises CaptureFailed, NoSpace."""
        changes = Changes()
        done = self._running.finish(on_line=changes.count)
        _judge(self._pull, done)
        return changes, done

    def cancel(self) -> None:
        """Stop it, if it still runs."""
        self._running.cancel()


def fill(pull: Pull) -> Transfer:
    """Bring the tree into an empty staging tree. Raises CaptureFailed, which leaves what has
    arrived for the next try, and NoSpace, which does not."""
    if pull.staging.exists():
        set_partial(pull.settings, pull.staging, pull.name)
    pull.staging.mkdir(mode=0o700)
    linked = [pull.image] if pull.image.exists() else []
    linked += partial_paths(pull.settings, pull.name)
    done = transfer(
        [
            "--partial",
            *(f"--link-dest={tree}" for tree in linked[:_MOST_LINK_DESTS]),
            *pull.words,
            pull.source.locate(),
            f"{pull.staging}/",
        ],
        on_progress=pull.on_progress,
        die_with_parent=True,
    )
    if done.no_space:
        for tree in leftovers(pull.settings, pull.name):
            remove_tree(pull.settings, tree)
    _judge(pull, done)
    return done


def _judge(pull: Pull, done: Transfer) -> None:
    """Raise what a transfer's exit code means; that files vanished is the caller's to tell."""
    if done.exit_code in (0, VANISHED):
        return
    name = pull.name
    stands = f"image {name} is as it was" if pull.image.exists() else f"there is no image {name}"
    if done.no_space:
        raise NoSpace(
            f"the store is full ({pull.settings.images}); {stands}",
            hint="make room there; what had arrived was removed, for running clients need some too",
        )
    raise CaptureFailed(
        f"capture from {pull.source.name} failed, {stands}: {done.reason}",
        hint=f"run the command again: it goes on from what has arrived (si-rmimage {name} drops it)"
        if not pull.image.exists()
        else "run the command again: it goes on from what has arrived",
    )
