"""Newer packages for the golden client's tree: a kernel, a library, a program, many small files.

They are what apt, with the packages of the tree before it, takes from Debian's security archive:
downloaded once, and kept beside the tree. The tree's own kernel may be the newest of its series,
so the new one is of the next series.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from scripts.lab.golden import alone
from scripts.lab.golden_tree import SUITE, Progress, ensure_tree, tree_hash
from scripts.lab.scratch import scratch_folder
from si.system.run import run

NAMES = ("linux-image-6.12-cloud-amd64", "libssl3", "rsync", "tzdata")
SECURITY = f"{SUITE}-security"
DEFAULT_MIRROR = "http://deb.debian.org/debian-security/"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
STATUS = "./var/lib/dpkg/status"


def ensure_upgrade(folder: Path, progress: Progress) -> tuple[Path, ...]:
    """The packages, below `folder`; all that NAMES need and the tree does not have is among them.

    Raises LabError, ToolMissing, CommandFailed.
    """
    folder = folder.resolve()
    with alone(folder):
        tree = ensure_tree(folder, progress)
        kept = folder / f"upgrade-{_upgrade_hash()}"
        if not kept.exists():
            progress(f"downloading {', '.join(NAMES)}")
            with scratch_folder(folder, "upgrade") as aside:
                _download(tree, aside)
                for old in folder.glob("upgrade-*"):
                    run(["rm", "-r", old])
                (aside / "archives").rename(kept)
    return tuple(sorted(kept.glob("*.deb")))


def _upgrade_hash() -> str:
    text = " ".join((tree_hash(), *NAMES))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _download(tree: Path, folder: Path) -> None:
    """Into `folder`/archives. Nothing of this machine's own packages is read or changed."""
    for name in ("archives/partial", "lists/partial", "tree"):
        (folder / name).mkdir(parents=True)
    run(["tar", "--extract", "--file", tree, "--zstd", "--directory", folder / "tree", STATUS])
    source = f"deb [signed-by={KEYRING}] {_find_mirror()} {SECURITY} main\n"
    (folder / "sources").write_text(source)
    options = {
        "Dir::Etc::SourceList": folder / "sources",
        "Dir::Etc::SourceParts": os.devnull,
        "Dir::State::Lists": folder / "lists",
        "Dir::State::Status": folder / "tree" / STATUS,
        "Dir::Cache::Archives": folder / "archives",
        "Dir::Cache::PkgCache": "",
        "Dir::Cache::SrcPkgCache": "",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "root",  # nobody else may be able to enter the folder
        "Acquire::Languages": "none",
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "--quiet", "--yes"]
    apt += [word for key, value in options.items() for word in ("--option", f"{key}={value}")]
    run([*apt, "update"])
    run([*apt, "--download-only", "--no-install-recommends", "install", *NAMES])
    (folder / "archives/partial").rmdir()


def _find_mirror() -> str:
    """The one this machine itself has Debian's security updates from, else the usual one."""
    asked = ["--format", "$(REPO_URI)", f"Release: {SECURITY}", "Created-By: Packages"]
    return next(iter(run(["apt-get", "indextargets", *asked]).text.split()), DEFAULT_MIRROR)
