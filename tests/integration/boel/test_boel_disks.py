"""What BOEL refuses to wipe, and how it leaves a disk: loop devices, mount namespaces."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from si.boot.flavor import boel_source
from tests.integration.boel.files import Run


@contextmanager
def loop_device(image: Path, *options: str) -> Iterator[str]:
    with image.open("wb") as file:
        file.truncate(64 << 20)
    done = subprocess.run(
        ["losetup", "--find", "--show", *options, image],
        check=True,
        capture_output=True,
        text=True,
    )
    device = done.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["umount", "--quiet", device], check=False)
        subprocess.run(["losetup", "--detach", device], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    with loop_device(tmp_path / "disk.img") as device:
        yield device


def test_check_disk(boel: Run, disk: str, tmp_path: Path) -> None:
    size = 64 << 20
    quick = "load_modules() { :; }\nusleep() { :; }\n"

    def check(text: str) -> str:
        done = boel(quick + text)
        return done.stderr if done.returncode == 1 else f"{done.returncode}: {done.stdout}"

    assert f"disk {disk}: {size} bytes, not in use" in check(f"check_disk {disk} {size}")
    assert f"too small: it has {size} bytes, the layout needs {size + 1}" in check(
        f"check_disk {disk} {size + 1}"
    )
    assert "there is no block device /dev/nothing; there are: /dev/" in check(
        "check_disk /dev/nothing 1"
    )
    subprocess.run(["mkswap", disk], check=True, capture_output=True)
    subprocess.run(["swapon", disk], check=True)
    try:
        assert f"in use: {disk} is active swap" in check(f"check_disk {disk} 1")
    finally:
        subprocess.run(["swapoff", disk], check=True)
    subprocess.run(["mkfs.ext2", "-q", "-F", disk], check=True)
    (tmp_path / "mnt").mkdir()
    subprocess.run(["mount", disk, tmp_path / "mnt"], check=True)
    assert f"is mounted on {tmp_path}/mnt" in check(f"check_disk {disk} 1")
    subprocess.run(["umount", tmp_path / "mnt"], check=True)


def test_check_disk_refuses_a_disk_that_cannot_be_written_to(boel: Run, tmp_path: Path) -> None:
    with loop_device(tmp_path / "disk.img", "--read-only") as disk:
        done = boel(f"check_disk {disk} 1")
    assert done.returncode == 1
    assert f"the disk {disk} cannot be written to" in done.stderr


def test_unmount_all_ends_what_runs_inside(tmp_path: Path, tools: str) -> None:
    """In a mount namespace of its own: spaces in names, nested mounts, a program left behind."""
    new = tmp_path / "a"
    new.mkdir()
    text = f"""
set -eu
. "$BOEL_LIB/functions.sh"
swapoff() {{ :; }}
mount -t tmpfs none "{new}"
mkdir "{new}/with space" "{new}/bin"
mount -t tmpfs none "{new}/with space"
mkdir "{new}/with space/deep"
mount -t tmpfs none "{new}/with space/deep"
cp /bin/busybox "{new}/bin/sleep"
mkdir -p "{new}/lib" "{new}/lib64" "{new}/usr"
mount -o bind /lib "{new}/lib"
mount -o bind /lib64 "{new}/lib64"
mount -o bind /usr "{new}/usr"
chroot "{new}" /bin/sleep 100 </dev/null >/dev/null 2>&1 &
while [ "$(readlink "/proc/$!/root")" != "{new}" ]; do usleep 10000; done
unmount_all "{new}"
! grep -q "{new}" /proc/mounts
! kill -0 "$!" 2>/dev/null
"""
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "dash", "-c", text],
        env={"PATH": tools, "BOEL_LIB": str(boel_source() / "lib"), "BOEL_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "ending a program left in" in done.stdout
