"""si-chroot killed with -9 in the image of a real Debian, while a package is being configured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.lab.proof import COMPARE
from scripts.lab.site import IMAGE
from si.system.run import DEVNULL, run, start
from tests.e2e.fault_yard import Yard

COPY = "patched"
PACKAGE = "slow"
POST_INSTALL = f"#!/bin/sh\n[ -e /root/hurry ] || exec sleep 1000 </dev/null # {PACKAGE}\n"
DPKG_WRITES = {
    "/var/lib/dpkg/updates": "its time",
    "/var/lib/dpkg/updates/0000": "dpkg's journal, which its next run takes in",
    "/var/lib/dpkg/updates/0001": "dpkg's journal, which its next run takes in",
    "/var/lib/dpkg/updates/tmp.i": "the next leaf of that journal",
    "/var/lib/dpkg/lock": "its time: taken",
    "/var/lib/dpkg/lock-frontend": "its time: taken",
    "/var/lib/dpkg/triggers/Lock": "its time: taken",
    "/var/log/dpkg.log": "dpkg's log",
}
"""What dpkg, which the user ran, writes of its own before the package's script begins."""


@pytest.fixture(scope="module")
def tree(yard: Yard) -> Path:
    """The image, with a package that is unpacked and not yet configured."""
    yard.site.run("cpimage", IMAGE, COPY)
    tree = yard.site.image.with_name(COPY)
    run(["cp", build_package(yard.folder), tree / f"root/{PACKAGE}.deb"])
    yard.site.run("chroot", COPY, "--", "dpkg", "--unpack", f"/root/{PACKAGE}.deb")
    return tree


@pytest.mark.parametrize(
    ("command", "writes"),
    [(["sleep", "1000"], {}), (["dpkg", "--configure", PACKAGE], DPKG_WRITES)],
    ids=["sleep", "dpkg"],
)
def test_killed(
    yard: Yard, tree: Path, tmp_path: Path, command: list[str], writes: dict[str, str]
) -> None:
    run(["cp", "-a", "--reflink=auto", tree, tmp_path / "before"])
    chroot = start(
        [Path(sys.executable).with_name("si-chroot"), COPY, "--", *command],
        env={"SI_ROOT": str(yard.site.root)}, stdout=DEVNULL,
    )  # fmt: skip
    wait_for(lambda: any("sleep 1000" in words for words in inside(tree)), 120, chroot)
    assert mounts_below(tree)
    os.kill(chroot.pid, signal.SIGKILL)
    assert chroot.wait() == -signal.SIGKILL
    wait_for(lambda: not inside(tree), 30)
    assert mounts_below(tree) == []
    allowed = tmp_path / "allowed"
    allowed.write_text("".join(f"{path}\t{reason}\n" for path, reason in writes.items()))
    words = [sys.executable, COMPARE, tmp_path / "before", tree, "--allow", allowed]
    compared = run([str(word) for word in words], check=False)
    assert compared.exit_code == 0, compared.text
    assert "paths compared" in compared.text


def test_afterwards_the_image_can_be_worked_on(yard: Yard, tree: Path) -> None:
    finish = f"touch /root/hurry && dpkg --configure {PACKAGE} && dpkg --status {PACKAGE}"
    done = yard.site.run("chroot", COPY, "--", "sh", "-c", finish)
    assert "Status: install ok installed" in done.text


def build_package(folder: Path) -> Path:
    """A .deb whose configuration takes long."""
    tree = folder / "package"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {PACKAGE}\nVersion: 1.0\nArchitecture: all\n"
        "Maintainer: nobody <nobody@localhost>\nDescription: takes its time\n"
    )
    (tree / "DEBIAN/postinst").write_text(POST_INSTALL)
    (tree / "DEBIAN/postinst").chmod(0o755)
    deb = folder / f"{PACKAGE}.deb"
    run(["dpkg-deb", "--root-owner-group", "--build", tree, deb])
    return deb


def inside(tree: Path) -> list[str]:
    """Processes whose root is the tree, in whatever namespace."""
    at = tree.stat()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            about = (process / "root").stat()
            if (about.st_dev, about.st_ino) == (at.st_dev, at.st_ino):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def mounts_below(tree: Path) -> list[str]:
    """In every mount namespace that a process of this machine is in."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            lines = (process / "mountinfo").read_text(errors="replace").splitlines()
        except OSError:
            continue
        found += [line for line in lines if str(tree) in line]
    return found


def wait_for(
    true: Callable[[], bool], timeout_s: float, process: subprocess.Popen[bytes] | None = None
) -> None:
    """Poll until `true()`; `process` must not end before."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert process is None or process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.05)
