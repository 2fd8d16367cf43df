"""Put the client commands, the exclude list and the report unit into a golden client.

Stage 1, effects; runs on clients (Python 3.9). What is there already, byte for byte, is left
untouched, so that preparing a second time makes no difference for the next capture.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from si.client.archive import with_bytecode
from si.client.excludes import DEFAULT_LIST
from si.client.files import write_atomically
from si.client.places import Places
from si.errors import PrivilegeMissing, ToolMissing, UpdateRefused
from si.system.run import find_tool

COMMANDS = ("prepareclient", "updateclient", "audit")
UNIT = "si-report.service"

_WRAPPER = """\
#!/bin/sh
# {command}: the client commands are one file, this is a way to call it.
exec python3 -IB /usr/lib/systemimager/si-client.pyz {word} "$@"
"""

# Type=simple: the machine counts as started while the report is still being tried, and a server
# that is away does not leave the machine "degraded" (33: ServerUnreachable). No Wants= on
# network-online.target: that would pull in a wait for the network, which can fail, on machines
# that do without it; the report tries again until the network is there.
_UNIT = """\
[Unit]
Description=Report to the image server that this machine runs its image
Documentation=man:si-updateclient(8)
ConditionPathExists=/etc/systemimager/client.json
After=network.target network-online.target

[Service]
Type=simple
ExecStart={python} -IB /usr/lib/systemimager/si-client.pyz report
SuccessExitStatus=33
ProtectSystem=full
ProtectHome=yes
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class Change:
    """One file that preparing writes: text or bytes, mode; or a symbolic link."""

    file: Path
    data: bytes
    mode: int
    is_link: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the file is just that already."""
        if self.is_link:
            return self.file.is_symlink() and self.file.readlink() == Path(self.data.decode())
        try:
            mode = self.file.lstat().st_mode & 0o7777
            return mode == self.mode and self.file.read_bytes() == self.data
        except OSError:
            return False


def find_program() -> bytes:
    """The one-file program that this process runs from, with bytecode for the Python that it runs
    on, which is the copies' as well.

    Raises ToolMissing when it runs from anything else, for a client has nothing installed.
    """
    loader = getattr(sys.modules.get("__main__"), "__loader__", None)
    archive = getattr(loader, "archive", None)
    if archive is None:
        raise ToolMissing(
            "this si-prepareclient is not the one file that copies can carry",
            hint="fetch http://SERVER:8080/client/si-client.pyz and run: "
            "python3 si-client.pyz prepareclient",
        )
    return with_bytecode(Path(archive).read_bytes())


def install_commands(places: Places, site_key: Path | None) -> None:
    """Put the client commands, and the key that versions are signed with, onto this machine.

    site_key: a file whose key the caller trusts. Raises PrivilegeMissing, ToolMissing, and
    UpdateRefused when this machine trusts another key.
    """
    if os.geteuid() != 0:
        raise PrivilegeMissing("installing the client commands needs root")
    changes = _commands(places, find_program())
    if site_key is not None:
        key = site_key.read_bytes()
        changes.append(Change(places.site_key, key, 0o644))
        if places.site_key.exists() and places.site_key.read_bytes() != key:
            raise UpdateRefused(
                f"this machine trusts another key already, that of {places.site_key}",
                hint="it belongs to another site; remove that file if it should change over",
            )
    for change in changes:
        if not change.is_done:
            make_change(change)


def render_wrapper(word: str) -> str:
    """The program in /usr/sbin that calls one of `COMMANDS`."""
    return _WRAPPER.format(command=f"si-{word}", word=word)


def planned_changes(places: Places, program: bytes) -> tuple[Change, ...]:
    """What preparing writes beside the facts, without what is there already."""
    changes = _commands(places, program)
    unit = _UNIT.format(python=find_tool("python3")).encode()
    changes.append(Change(places.units / UNIT, unit, 0o644))
    link = places.units / "multi-user.target.wants" / UNIT
    changes.append(Change(link, f"/etc/systemd/system/{UNIT}".encode(), 0o777, is_link=True))
    if not places.local_excludes.exists():
        changes.append(Change(places.local_excludes, DEFAULT_LIST.encode(), 0o644))
    return tuple(change for change in changes if not change.is_done)


def _commands(places: Places, program: bytes) -> list[Change]:
    changes = [Change(places.program, program, 0o644)]
    for word in COMMANDS:
        text = render_wrapper(word)
        changes.append(Change(places.sbin / f"si-{word}", text.encode(), 0o755))
    return changes


def make_change(change: Change) -> None:
    """Write the file, and the directories that it needs."""
    change.file.parent.mkdir(parents=True, exist_ok=True)
    if change.is_link:
        with contextlib.suppress(FileNotFoundError):
            change.file.unlink()
        change.file.symlink_to(change.data.decode())
        return
    write_atomically(change.file, change.data, mode=change.mode)
