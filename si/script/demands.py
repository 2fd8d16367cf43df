"""What a master script needs of the server, read from its text.

Stage 5. Pure. A script may have been made of another layout than the image's own (a retarget), or
changed by hand; what it reads from the header, which passphrases it fetches and which disks it
wipes is therefore asked of the script itself.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from si.script.identifiers import Identifier, IdentifierKind

_REQUIRED = re.compile(r'^: "\$\{([A-Za-z_][A-Za-z0-9_]*):\?\}"$', re.MULTILINE)
_FIT_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Demands:
    """identifiers: variables of the header. keys: names of passphrase files. disks: wiped ones, by
    their rule where they are chosen by one."""

    identifiers: tuple[Identifier, ...]
    keys: tuple[str, ...]
    disks: tuple[str, ...]


def read_demands(script: str) -> Demands:
    """The demands of a master script; nothing for a text that is none."""
    calls = [words for line in script.splitlines() for words in _call(line)]
    keys = [words[2] for words in calls if words[0] == "get_passphrase" and len(words) == 3]
    rules = {words[1]: _rule(words[2:]) for words in calls if words[0] == "choose_disk"}
    disks = [words[1] for words in calls if words[0] == "check_disk"]
    disks += [device for words in calls if words[0] == "clear_disks" for device in words[1:]]
    return Demands(
        tuple(Identifier(name, _kind(name, script)) for name in _REQUIRED.findall(script)),
        tuple(dict.fromkeys(key for key in keys if _FIT_KEY.fullmatch(key))),
        tuple(dict.fromkeys(rules.get(disk, disk) for disk in disks)),
    )


def _rule(words: list[str]) -> str:
    """As `DiskRule` has it; what else the layout names needs no telling."""
    return f"disk by rule: {', '.join(w for w in words if not w.startswith('except='))}"


def _call(line: str) -> Iterator[list[str]]:
    if line.startswith(("get_passphrase ", "choose_disk ", "check_disk ", "clear_disks ")):
        with suppress(ValueError):
            words = shlex.split(line)
            if len(words) > 1:
                yield words


def _kind(variable: str, script: str) -> IdentifierKind:
    if variable.startswith("DISK_ID_"):
        return IdentifierKind.MBR_ID
    # mkfs.vfat takes the number without its hyphen, which nothing else does.
    vfat = f"${{{variable}%-*}}" in script
    return IdentifierKind.VFAT_ID if vfat else IdentifierKind.UUID
