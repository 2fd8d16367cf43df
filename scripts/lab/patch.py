"""The patch of the story, what happens to a client in the meantime, and what must come of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from scripts.lab.site import IMAGE, Site
from scripts.lab.ssh import Login
from si.system.run import Completed, run

PACKAGE = "si-demo"
PATCH = """\
set -eu
dpkg --install /root/si-demo.deb >/dev/null
rm /root/si-demo.deb
echo 'Welcome. This line came with a patch of the image.' >/etc/issue
chmod 0700 /srv/specimens/empty-folder
rm /srv/specimens/links/pair-b
rm -r /srv/specimens/names
"""
DRIFT = """\
set -eu
echo 'edited on the client' >>/srv/specimens/owned-by-number
rm /srv/specimens/xattr
mkdir -p /opt/stray && echo stray >/opt/stray/file
echo 'of this client' >>/home/alice/notes.txt
mkdir -p /srv/local && echo data >/srv/local/database
echo '/srv/local/' >>/etc/systemimager/updateclient.local.exclude
"""
MUST_LIST = (
    "/usr/bin/si-demo",
    "/etc/issue",
    "/srv/specimens/empty-folder",
    "/srv/specimens/links/pair-b",
    "/srv/specimens/names",
    "/srv/specimens/owned-by-number",
    "/srv/specimens/xattr",
    "/opt/stray/file",
)
MUST_NOT_LIST = (
    "/home/alice/notes.txt",
    "/srv/local",
    "/etc/fstab",
    "/etc/hostname",
    "/etc/machine-id",
    "/etc/ssh/ssh_host",
    "/etc/motd",
    "/etc/from-",
    "/boot/grub/grub.cfg",
)
IDENTITY = """\
import glob, json, socket
read = lambda name: open(name).read().strip()
print(json.dumps({"hostname": socket.gethostname(), "machine-id": read("/etc/machine-id"),
                  "host keys": sorted(map(read, glob.glob("/etc/ssh/ssh_host_*_key.pub")))}))
"""


def read_identity(login: Login) -> dict[str, object]:
    """Host name, machine-id and ssh host keys of a running machine."""
    identity: dict[str, object] = json.loads(login.run(["python3", "-c", IDENTITY]).stdout)
    return identity


LASTING = ("UUID=", "LABEL=", "/dev/mapper/")
DISK_TYPES = ("ext4", "xfs", "btrfs", "vfat", "swap")


def check_booted(
    login: Login, name: str, golden: dict[str, object], address: str, disk_lines: int = 3
) -> str:
    """What is wrong with an installed machine seen from inside; empty when nothing is.

    `disk_lines`: how many lines of its fstab are of disks.
    """
    login.wait(600)
    wrong = []
    state = login.wait_running(600)
    if state != "running":
        failed = login.run("systemctl --failed --plain --no-legend", check=False).text.split("\n")
        wrong.append(f"systemctl is-system-running says {state} ({failed[0]})")
    identity = read_identity(login)
    if identity["hostname"] != name:
        wrong.append(f"its host name is {identity['hostname']}")
    for what in ("machine-id", "host keys"):
        if not identity[what] or identity[what] == golden[what]:
            wrong.append(f"its {what} is that of the golden client, or empty")
    lines = [line.split() for line in login.run("cat /etc/fstab").text.splitlines()]
    disks = [words for words in lines if len(words) > 3 and words[2] in DISK_TYPES]
    if len(disks) != disk_lines or not all(words[0].startswith(LASTING) for words in disks):
        wrong.append(f"fstab does not mount {disk_lines} file systems by lasting names")
    swap = any(words[2] == "swap" for words in disks)
    if swap and not login.run("swapon --show --noheadings").text.strip():
        wrong.append("no swap is active")
    if f" {address}/" not in login.run("ip -4 address").text:
        wrong.append(f"it does not have its address {address}")
    return "; ".join(wrong)


def patch_image(site: Site) -> None:
    """What the administrator changes in the image: a package, changed and removed files. The result
    is published."""
    deb = _build_package(site.folder)
    shutil.copy(deb, site.image / "root/si-demo.deb")
    site.run("chroot", "--publish", IMAGE, "--", "sh", "-c", PATCH)


def drift(login: Login) -> None:
    """Changes on the client: some that an update must undo, some that it must spare."""
    login.run(DRIFT)


def check_listing(done: Completed) -> str:
    """What is wrong with a dry run's list; empty when nothing is."""
    text = done.stdout.decode("utf-8", "replace")
    wrong = [f"{path} is not listed" for path in MUST_LIST if path not in text]
    wrong += [f"{path} is listed" for path in MUST_NOT_LIST if path in text]
    if done.exit_code != 4:
        wrong.append(f"it ended with {done.exit_code}, not 4: {_last_words(done)}")
    return "; ".join(wrong)


def check_updated(login: Login, done: Completed, again: Completed) -> str:
    """What is wrong after the update; empty when nothing is."""
    if done.exit_code != 0:
        return f"si-updateclient ended with {done.exit_code}: {_last_words(done)}"
    wrong = []
    if again.exit_code != 0:
        first = again.stdout.decode("utf-8", "replace").splitlines()[:4]
        wrong.append(f"a second dry run still lists: {' | '.join(first)}")
    audit = login.run("si-audit --full", timeout_s=300, check=False)
    if audit.exit_code != 0:
        first = audit.stdout.decode("utf-8", "replace").splitlines()[:4]
        wrong.append(f"an audit ended with {audit.exit_code}: {' | '.join(first)}")
    if "patch" not in login.run("si-demo; cat /etc/issue", check=False).text:
        wrong.append("the package of the patch does not run")
    kept = login.run("tail -n1 /home/alice/notes.txt; cat /srv/local/database", check=False).text
    if kept != "of this client\ndata\n":
        wrong.append(f"protected files were not kept: {kept!r}")
    return "; ".join(wrong)


def _build_package(folder: Path) -> Path:
    """A small .deb, as an administrator's own package may be."""
    tree = folder / "package"
    (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {PACKAGE}\nVersion: 1.0\nArchitecture: all\n"
        "Maintainer: nobody <nobody@localhost>\n"
        "Description: a patch of the image\n"
    )
    (tree / "usr/bin").mkdir(parents=True, exist_ok=True)
    program = tree / "usr/bin/si-demo"
    program.write_text("#!/bin/sh\necho 'si-demo: installed by a patch of the image'\n")
    program.chmod(0o755)
    deb = folder / "si-demo.deb"
    run(["dpkg-deb", "--root-owner-group", "--build", tree, deb])
    return deb


def _last_words(done: Completed) -> str:
    return (done.stderr or done.stdout).decode("utf-8", "replace").strip()[-300:]
