"""What a source has to offer, learned before its tree is copied.

Stage 2. In: a `Source`; out: an `Offer` - facts, the layout documents an administrator left there,
and which of the paths that must not be copied exist. Two short requests; the golden client's tree
is not walked.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from si.client.mounts import parse_mountinfo, top_mounts
from si.client.record import MAX_BYTES, Facts, Swap, parse_facts
from si.errors import CaptureFailed, GoldenClientUnreachable
from si.image.excludes import (
    ASKED,
    DBUS_MACHINE_ID,
    Mount,
    asking_rules,
    matches_asked,
    read_mounts,
)
from si.image.metadata import FOLDER
from si.image.source import CaptureTransport, Directory, GoldenClient, Source
from si.system.rsync import PARTIAL, UNREACHABLE, VANISHED, Transfer, begin, transfer

LAYOUT_DOCUMENTS = ("layout.xml", "disks-layout.xml", "autoinstallscript.conf")
"""Where an administrator may leave a layout in /etc/systemimager, the first found counts."""

_FACTS = "facts.json"
_WANTED = (_FACTS, *LAYOUT_DOCUMENTS)
_LISTED = re.compile(rb"([-a-zA-Z]\S{9,10})\s+[\d,.]+ \S+ \S+ (.*)")


@dataclass(frozen=True, slots=True)
class Offer:
    """facts: None for a directory without any. document: name and bytes of the layout that an
    administrator left there. mounts: of the source. identity: paths that exist and are not to be
    copied. dbus_id_is_link: whether the D-Bus machine id is a link, which is."""

    source: Source
    facts: Facts | None
    document: tuple[str, bytes] | None
    mounts: tuple[Mount, ...]
    identity: tuple[str, ...]
    dbus_id_is_link: bool

    @property
    def swaps(self) -> tuple[Swap, ...]:
        """Active swaps of the golden client."""
        return () if self.facts is None else self.facts.swaps


def open_offer(source: Source) -> Offer:
    """Ask `source` what it is.

    Raises GoldenClientUnreachable when it does not answer or was not prepared, FactsInvalid when
    its facts cannot be believed, CaptureFailed for a directory that does not exist.
    """
    if isinstance(source, Directory) and not source.path.is_dir():
        raise CaptureFailed(f"{source.path} is not a directory")
    with tempfile.TemporaryDirectory(prefix="si-offer-") as folder:
        pulled, asked = _ask_both(source, Path(folder))
        files = _read_files(source, Path(folder), pulled)
    facts = None
    if _FACTS in files:
        facts = parse_facts(files[_FACTS], f"{FOLDER}/{_FACTS} of {source.name}")
    elif isinstance(source, GoldenClient):
        raise _unprepared(source, "it has no facts.json")
    document = next(((n, files[n]) for n in LAYOUT_DOCUMENTS if n in files), None)
    listed = _read_list(source, *asked)
    dbus_id_is_link = ("l", DBUS_MACHINE_ID) in listed
    return Offer(
        source=source,
        facts=facts,
        document=document,
        mounts=_mounts_of(source, facts),
        identity=tuple(path for kind, path in listed if (kind, path) != ("l", DBUS_MACHINE_ID)),
        dbus_id_is_link=dbus_id_is_link,
    )


def _ask_both(source: Source, folder: Path) -> tuple[Transfer, tuple[Transfer, list[bytes]]]:
    """Both requests at once: a request costs a few round trips and little else. The small files
    of etc/systemimager come as plain files of a bounded size; the paths that are not copied are
    listed only."""
    rules = (f"--filter={rule}" for rule in asking_rules(ASKED))
    listing = begin(["-rl", "--list-only", *source.options, *rules, source.locate()])
    try:
        pulled = transfer(
            [
                "-rt",
                "--no-links",
                f"--max-size={MAX_BYTES}",
                *source.options,
                *(f"--include=/{name}" for name in _WANTED),
                "--exclude=*",
                source.locate(f"{FOLDER}/"),
                f"{folder}/",
            ]
        )
    except BaseException:
        listing.cancel()
        raise
    lines: list[bytes] = []
    return pulled, (listing.finish(on_line=lines.append), lines)


def _read_files(source: Source, folder: Path, pulled: Transfer) -> dict[str, bytes]:
    if pulled.exit_code in UNREACHABLE:
        raise _unreachable(source, pulled)
    if pulled.exit_code != 0 and isinstance(source, GoldenClient):
        raise _unprepared(source, pulled.reason)
    return {name: (folder / name).read_bytes() for name in _WANTED if (folder / name).is_file()}


def _read_list(source: Source, done: Transfer, lines: list[bytes]) -> tuple[tuple[str, str], ...]:
    """(kind as in ls -l, absolute path) of what exists of the paths that are not copied."""
    if done.exit_code not in (0, PARTIAL, VANISHED):
        raise _unreachable(source, done)
    found = []
    for line in lines:
        listed = _LISTED.fullmatch(line)
        if listed is None:
            continue
        kind = chr(listed[1][0])
        name = listed[2].split(b" -> ")[0] if kind == "l" else listed[2]
        path = "/" + name.decode("utf-8", "replace")
        if matches_asked(path, ASKED):
            found.append((kind, path))
    return tuple(found)


def _mounts_of(source: Source, facts: Facts | None) -> tuple[Mount, ...]:
    """A golden client's own list; for a directory what is mounted below it here and now."""
    if isinstance(source, GoldenClient):
        return () if facts is None else read_mounts(facts.findmnt)
    tree = str(source.path.resolve()).rstrip("/")
    mounts = []
    for mount in top_mounts(parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())).values():
        target = mount.target.decode("utf-8", "surrogateescape")
        if target.startswith(f"{tree}/") and target != "/":
            mounts.append(Mount(target[len(tree) :], mount.type, is_bind=False))
    return tuple(mounts)


def _unreachable(source: Source, done: Transfer) -> GoldenClientUnreachable:
    if isinstance(source, GoldenClient) and source.transport is CaptureTransport.SSH:
        hint = f"check that root may log in without a password: ssh root@{source.address} true"
    else:
        hint = "run si-prepareclient on it first; its offer ends after a capture or a time-out"
    return GoldenClientUnreachable(f"cannot read from {source.name}: {done.reason}", hint=hint)


def _unprepared(source: Source, reason: str) -> GoldenClientUnreachable:
    return GoldenClientUnreachable(
        f"golden client {source.name} was not prepared: {reason}",
        hint="run si-prepareclient on it first",
    )
