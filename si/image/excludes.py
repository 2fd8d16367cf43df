"""What a capture leaves out: rsync rules from the golden client's mounts and identity.

Stage 2. Pure. In: facts and the administrator's own rules; out: the text of one rsync rules file,
first match counts, and the paths to ask the golden client about for the report. Identity is what
two machines must not share (decision 6); each installed client gets its own. The administrator's
rules stand before the identity list, so a `+ /etc/hostname` in getimage.exclude wins over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from si.client.mounts import DISK_TYPES
from si.client.record import Swap
from si.errors import ConfigInvalid

IDENTITY = (
    "/etc/machine-id",
    "/etc/hostname",
    "/etc/HOSTNAME",
    "/etc/hostid",
    "/etc/ssh/ssh_host_*",
    "/etc/systemimager/client.json",
    "/etc/systemimager/last-update.json",
    "/etc/network/interfaces",
    "/etc/network/interfaces.d/*",
    "/etc/systemd/network/*.network",
    "/etc/systemd/network/*.link",
    "/etc/NetworkManager/system-connections/*",
    "/etc/netplan/*",
    "/etc/iftab",
    "/etc/udev/rules.d/70-persistent-net.rules",
    "/etc/udev/rules.d/75-persistent-net-generator.rules",
    "/etc/udev/rules.d/z25_persistent-net.rules",
    "/etc/udev/rules.d/z45_persistent-net-generator.rules",
    "/etc/nvme/hostid",
    "/etc/nvme/hostnqn",
    "/etc/iscsi/initiatorname.iscsi",
    "/var/lib/dhcp/*",
    "/var/lib/dhclient/*",
    "/var/lib/dhcpcd/*",
    "/var/lib/NetworkManager/*",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/systemd/network/*",
    "/var/lib/urandom/random-seed",
)
"""What makes the golden client itself rather than its image."""

DBUS_MACHINE_ID = "/var/lib/dbus/machine-id"
"""Identity where it is a file; on most systems a link to /etc/machine-id, which is kept."""

ASKED = (*IDENTITY, DBUS_MACHINE_ID)
"""What to ask the golden client for, to tell what was left out and what kind it is."""

CACHES = (
    "/etc/blkid.tab",
    "/etc/blkid/blkid.tab",
    "/etc/lvm/archive/*",
    "/etc/lvm/backup/*",
    "/etc/lvm/cache/*",
    "/etc/lvm/.cache",
    "/var/cache/systemimager/",
)
"""What programs noted about the golden client's own disks (reference 3.5) and version."""

_SUBVOLUME_TYPES = ("btrfs", "bcachefs")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount of the golden client; is_bind: its files also lie elsewhere in the tree."""

    point: str
    type: str
    is_bind: bool


@dataclass(frozen=True, slots=True)
class Excludes:
    """rules: lines of an rsync exclude file. mounts: (mount point, type) whose contents stay
    out."""

    rules: tuple[str, ...]
    mounts: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The rules file."""
        return "".join(f"{rule}\n" for rule in self.rules)


def make_excludes(
    mounts: Iterable[Mount],
    swaps: Iterable[Swap] = (),
    *,
    own: Iterable[str] = (),
    dbus_id_is_link: bool,
) -> Excludes:
    """Put the rules together.

    mounts: see `read_mounts`; points are relative to the captured tree. own: the administrator's
    lines in rsync syntax (getimage.exclude, --exclude-file, --exclude), see `parse_own` and
    `check_path`.
    """
    known = tuple(mounts)
    left = tuple(m for m in known if m.point != "/" and _is_left_out(m))
    kept = {"/": None} | {m.point: None for m in known if not _is_left_out(m)}
    swap_files = tuple(swap.name for swap in swaps if swap.type == "file")
    identity = (*IDENTITY, *(() if dbus_id_is_link else (DBUS_MACHINE_ID,)))
    rules = [f"{_escape(mount.point)}/*" for mount in left]
    rules += [f"{_literal(point.rstrip('/'))}/lost+found/" for point in kept]
    rules += [_literal(name) for name in swap_files]
    rules += own
    rules += [*identity, *CACHES]
    return Excludes(tuple(rules), tuple((mount.point, mount.type) for mount in left))


def parse_own(text: str, source: str) -> tuple[str, ...]:
    """The rules of an administrator's file: rsync's exclude-from syntax, comments left out.

    Raises ConfigInvalid for a NUL character, which rsync would take for the end of the line.
    """
    if "\0" in text:
        raise ConfigInvalid(f"{source}: is no text file")
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return tuple(line for line in lines if line.strip() and line[0] not in "#;")


def check_path(path: str) -> str:
    """One --exclude: `/d/f` a file, `/d/` a directory with all below, `/d/*` its contents.

    Raises ConfigInvalid for anything that does not begin with a slash.
    """
    if not path.startswith("/") or "\n" in path or "\0" in path:
        raise ConfigInvalid(
            f"--exclude {path!r} is not an absolute path",
            hint="write it as the golden client has it, like /srv/scratch/*",
        )
    return path


def asking_rules(patterns: Iterable[str]) -> tuple[str, ...]:
    """Rules that make rsync list exactly what matches `patterns`, walking no other directory."""
    rules: dict[str, None] = {}
    for pattern in patterns:
        parts = pattern.strip("/").split("/")
        for depth in range(1, len(parts)):
            rules["+ /" + "/".join(parts[:depth]) + "/"] = None
        rules["+ /" + "/".join(parts)] = None
    return (*rules, "- *")


def matches_asked(path: str, patterns: Iterable[str]) -> bool:
    """Whether an absolute path is what one of `patterns` speaks of (`*` does not cross `/`)."""
    return any(PurePosixPath(path).match(pattern) for pattern in patterns)


def read_mounts(findmnt: dict[str, Any]) -> tuple[Mount, ...]:
    """The mounts in what `findmnt --json` said, outer ones first."""
    seen: set[str] = set()
    mounts = []
    for entry in _entries(findmnt.get("filesystems", [])):
        source, kind = str(entry.get("source")), entry["fstype"]
        whole = source.partition("[")[0]
        is_bind = kind not in _SUBVOLUME_TYPES and (source.endswith("]") or whole in seen)
        mounts.append(Mount(entry["target"], kind, is_bind))
        seen.add(whole)
    return tuple(mounts)


def _entries(filesystems: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in filesystems:
        yield entry
        yield from _entries(entry.get("children", []))


def _is_left_out(mount: Mount) -> bool:
    """All but disk file systems; and what also lies elsewhere, which fstab mounts there again."""
    return mount.type not in DISK_TYPES or mount.is_bind


def _literal(path: str) -> str:
    """A pattern for one path: a backslash escapes only where a wildcard is (rsync(1))."""
    return _escape(path) if any(sign in path for sign in "*?[\n\r") else path


def _escape(path: str) -> str:
    """`path` as part of a pattern that has a wildcard; what would end the line becomes `?`."""
    return re.sub(r"([\\*?\[])", r"\\\1", path).replace("\n", "?").replace("\r", "?")
