"""One rsync pass over a file tree: what it would change, or doing it.

Stage 8, effects; runs on clients (Python 3.9). The image is one pass that also removes, each
override is one that does not. Filter rules travel in a private file.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from si.client.excludes import below, join_rules, literal
from si.client.itemize import OUT_FORMAT, Item, parse_item
from si.errors import CommandFailed, ImageNotFound, NoSpace, ServerUnreachable, SIError
from si.system.run import PIPE, Arg, Completed, failure, find_tool, read_lines, start

FIDELITY = ("-aHAXS", "--numeric-ids")
"""Hard links, ACLs, xattrs (capabilities among them), sparse files, numbers of owners."""

_IO_TIMEOUT_S = 300
_UNREACHABLE = (10, 12, 30, 35)
_VANISHED = 24


@dataclass(frozen=True)
class Pass:
    """One source tree to lay over the destination, with the filter rules it is read through."""

    url: str
    rules: tuple[str, ...]
    is_removing: bool


def preview(work: Pass, destination: Path) -> tuple[Item, ...]:
    """What the pass would change. Raises ServerUnreachable, ImageNotFound, CommandFailed."""
    items: list[Item] = []
    _rsync(work, destination, ["--dry-run"], items.append)
    return tuple(_weighed(work, destination, items))


def perform(work: Pass, destination: Path, each: Callable[[Item], None]) -> None:
    """Do it; `each` is called with every item as rsync comes to it. Raises as `preview`."""
    # Removing last: an update that breaks off has removed nothing.
    _rsync(work, destination, [], each)


def list_tree(work: Pass) -> tuple[Item, ...]:
    """Every path that the source has behind the pass's rules."""
    items: list[Item] = []
    with tempfile.TemporaryDirectory(prefix="si-updateclient-") as empty:
        _rsync(work, Path(empty), ["--dry-run"], items.append)
    return tuple(items)


def is_empty_below(image: Pass, path: str) -> bool:
    """Whether the image has nothing below `path`."""
    parents = [str(parent) for parent in reversed(PurePosixPath(path).parents)][1:]
    rules = [f"+ {literal(parent)}/" for parent in (*parents, path)]
    rules += ["- lost+found/", f"+ {below(path)}", "- *"]
    items = list_tree(dataclasses.replace(image, rules=tuple(rules)))
    inside = os.fsencode(path).lstrip(b"/") + b"/"
    return not any(item.path.startswith(inside) for item in items)


def _weighed(work: Pass, destination: Path, items: Sequence[Item]) -> Iterable[Item]:
    """The items, with "contents" taken off those where only the time differs.

    rsync's quick check sends a file whose time differs without having looked into it; to say
    exactly what an update would change, those alone are compared by checksum.
    """
    doubtful = [item.path for item in items if item.is_doubtful]
    if not doubtful:
        return items
    surely: dict[bytes, Item] = {}

    def note(item: Item) -> None:
        surely[item.path] = item

    with tempfile.NamedTemporaryFile(prefix="si-updateclient-") as names:
        names.write(b"".join(path + b"\0" for path in doubtful))
        names.flush()
        look = dataclasses.replace(work, is_removing=False)
        options = ["--dry-run", "--checksum", "--no-recursive", f"--files-from={names.name}"]
        _rsync(look, destination, options, note)
    return [
        dataclasses.replace(item, what=surely[item.path].what)
        if item.is_doubtful and item.path in surely
        else item
        for item in items
    ]


def _rsync(
    work: Pass, destination: Path, options: Sequence[str], each: Callable[[Item], None]
) -> None:
    with tempfile.NamedTemporaryFile(prefix="si-updateclient-") as rules:
        rules.write(join_rules(work.rules))
        rules.flush()
        argv: list[Arg] = [find_tool("rsync"), *FIDELITY, "-8", "--outbuf=L", "--from0"]
        argv += [f"--filter=merge {rules.name}", f"--out-format={OUT_FORMAT}"]
        argv += [f"--timeout={_IO_TIMEOUT_S}", *options]
        argv += ["--delete-delay"] if work.is_removing else []
        argv += [work.url, f"{destination}/"]
        with tempfile.TemporaryFile() as errors:
            process = start(argv, stdout=PIPE, stderr=errors)
            try:
                for line in read_lines(process):
                    item = parse_item(line)
                    if item is not None:
                        each(item)
            except BaseException:
                process.terminate()
                raise
            finally:
                code = process.wait()
            errors.seek(0)
            words = tuple(str(word) for word in argv)
            done = Completed(words, code, b"", errors.read())
    if code != 0:
        raise _explain(work.url, done)


def _explain(url: str, done: Completed) -> SIError:
    """The error for an rsync that ended badly (exit codes: rsync(1))."""
    said = done.stderr.decode("utf-8", "replace")
    fault = failure(done)
    if "@ERROR: Unknown module" in said or "@ERROR: access denied" in said:
        # rsyncd says the one for the other where it may not list its modules.
        return ImageNotFound(
            f"the server has no {url} for this machine",
            hint="si-lsimage on the server lists its images; it answers the networks of its "
            "si.toml only",
        )
    if done.exit_code in _UNREACHABLE:
        return ServerUnreachable(f"{url}: {fault.message}", hint="run the same command again")
    if "No space left on device" in said:
        return NoSpace(fault.message, hint="make room and run the same command again")
    if done.exit_code == _VANISHED:
        return CommandFailed(f"{url} changed while it was read", hint="run the same command again")
    return fault
