"""What hands do to a running machine: a difference of every class that an audit knows, and changes
of what updates leave alone."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from scripts.lab.ssh import Login

SPECIMENS = "/srv/specimens"


@dataclass(frozen=True, slots=True)
class Drift:
    """One change. classes: what an audit calls it."""

    path: str
    command: str
    classes: tuple[str, ...]


DRIFTS = (
    Drift(f"{SPECIMENS}/owned-by-number", "echo edited >>{}", ("changed",)),
    Drift(f"{SPECIMENS}/links/relative", "ln -sfn second {}", ("changed",)),
    Drift(f"{SPECIMENS}/links/pair-b", "cp -p {0} {0}- && mv {0}- {0}", ("changed",)),
    Drift(f"{SPECIMENS}/fifo", "rm {0} && echo file >{0}", ("changed",)),
    Drift("/usr/bin/less", "rm {}", ("missing",)),
    Drift(f"{SPECIMENS}/names", "rm -r {}", ("missing",)),
    Drift("/opt/stray", "mkdir -p {0}/deep && echo stray >{0}/deep/file", ("extra",)),
    Drift(f"{SPECIMENS}/setuid", "chmod u-s {}", ("mode",)),
    Drift(f"{SPECIMENS}/empty", "chown alice {}", ("owner",)),
    Drift(f"{SPECIMENS}/acl", "setfacl -m u:1000:r--,m::rw- {}", ("attributes",)),
    Drift(f"{SPECIMENS}/xattr-folder", "setfattr -n user.note -v other {}", ("attributes",)),
    Drift(f"{SPECIMENS}/capable", "setcap -r {}", ("capability lost",)),
)
FOLDERS = ("/opt", "/usr/bin", SPECIMENS, f"{SPECIMENS}/links")
"""Their times change with what is made and removed in them."""

PROTECTED = (
    "/home/alice/notes.txt", "/home/bob/thesis", "/root/.bash_history", "/var/log/journal.old",
    "/var/spool/job", "/var/tmp/scratch", "/srv/local/database",
)  # fmt: skip
"""Files that get a line more. The last is nothing that lists know of."""
IDENTITY = (
    "/etc/machine-id", "/etc/hostname", "/etc/fstab", "/etc/hosts", "/etc/ssh/ssh_host_*_key",
    "/etc/network/interfaces", "/etc/systemimager/client.json", "/boot/grub/grub.cfg",
)  # fmt: skip


def look(login: Login) -> str:
    """All that stock tools say of the places that drift."""
    script = """\
for path; do
    stat --format '%N %F %a %u:%g %h %s %y %t:%T' "$path"
    getcap "$path"
    getfacl --numeric --absolute-names "$path"
    getfattr --dump --match=- --absolute-names "$path"
    if [ -d "$path" ]; then find "$path" -type f -exec sha256sum {} + | sort
    elif [ -f "$path" ]; then sha256sum "$path"; fi
done 2>&1
"""
    paths = [*(drift.path for drift in DRIFTS), *FOLDERS]
    return login.run(["sh", "-c", script, "look", *paths]).text


def make(login: Login) -> None:
    """Do it all."""
    lines = [drift.command.format(shlex.quote(drift.path)) for drift in DRIFTS]
    for path in PROTECTED:
        lines += [f"mkdir -p $(dirname {path})", f"echo 'of this machine' >>{path}"]
    login.run("set -eu\n" + "\n".join(lines))


def kept(login: Login) -> str:
    """Hashes of what updates leave alone."""
    return login.run(f"sha256sum {' '.join((*PROTECTED, *IDENTITY))}").text
