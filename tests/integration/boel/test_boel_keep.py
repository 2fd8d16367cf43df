"""Before anything is written: whether what a layout keeps is there as it says; loop devices."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.boel.files import Run

GPT = "label: gpt\nstart=1MiB, size=1MiB\nstart=2MiB, size=10MiB\nstart=12MiB, size=20MiB\n"
MSDOS = "label: dos\nx1: size=8MiB\nx2: size=30MiB, type=5\nx5: size=9MiB\nx6: size=10MiB\n"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    attach = ["losetup", "--find", "--show", str(image)]
    device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["partx", "--delete", device], check=False, capture_output=True)
        subprocess.run(["losetup", "--detach", device], check=True)


def write_table(device: str, text: str) -> None:
    sfdisk = ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe=always", device]
    subprocess.run(sfdisk, input=text, text=True, check=True)
    deadline = time.monotonic() + 15
    while subprocess.run(["partx", "--update", device], capture_output=True).returncode != 0:
        assert time.monotonic() < deadline, f"no partitions on {device}"
        time.sleep(0.05)


def ask(boel: Run, call: str) -> str:
    """Nothing when it is right, else what is said."""
    done = boel(f"load_modules() {{ :; }}\nusleep() {{ :; }}\n{call}")
    return "" if done.returncode == 0 else done.stderr


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("gpt 1=1 2=10 3=20", ""),
        ("gpt 1=1 2=9-10 3=20-", ""),
        ("gpt 2=10", ""),
        ("dos 1=1 2=10", "its table is gpt, not dos"),
        ("gpt 1=2 2=10 3=21-", "partition 1 has 1 MiB, not 2; partition 3 has 20 MiB, not 21-"),
        ("gpt 2=1-9", "partition 2 has 10 MiB, not 1-9"),
        ("gpt 1=1 4=5", "there is no partition 4"),
        ("gpt 2=10 1=1", "partition 1 lies before 2"),
    ],
)
def test_a_table_of_gpt(boel: Run, disk: str, wanted: str, says: str) -> None:
    write_table(disk, GPT)
    said = ask(boel, f"check_kept_disk {disk} {wanted}")
    assert says in said if says else said == ""


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("dos 1=8 2=30 5=9 6=10", ""),
        ("dos 1=8 2=30 5=10 6=10", "partition 5 has 9 MiB, not 10"),
        ("dos 1=8 2=30 6=10 5=9", "partition 5 lies before 6"),
    ],
)
def test_a_table_of_msdos(boel: Run, disk: str, wanted: str, says: str) -> None:
    write_table(disk, MSDOS)
    said = ask(boel, f"check_kept_disk {disk} {wanted}")
    assert says in said if says else said == ""


def test_a_disk_without_a_table(boel: Run, disk: str) -> None:
    assert "no partition table" in ask(boel, f"check_kept_disk {disk} gpt 1=1")


def test_a_file_system_that_is_kept(boel: Run, disk: str) -> None:
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "home", disk], check=True)
    assert ask(boel, f"check_kept {disk} ext4 LABEL=home") == ""
    assert ask(boel, f"check_kept {disk} ext4") == ""
    assert "that is LABEL=home" in ask(boel, f"check_kept {disk} ext4 LABEL=HOME")
    uuid = "0A0B0C0D-1111-2222-3333-444455556666"
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "home", "-U", uuid, disk], check=True)
    assert ask(boel, f"check_kept {disk} ext4 UUID={uuid}") == ""
    assert "keeps xfs on" in ask(boel, f"check_kept {disk} xfs")
    assert "that is LABEL=home" in ask(boel, f"check_kept {disk} ext4 LABEL=Homes")
    assert "that is UUID=" in ask(boel, f"check_kept {disk} ext4 UUID=1-2")
    subprocess.run(["wipefs", "--quiet", "--all", disk], check=True)
    assert "holds nothing that is known" in ask(boel, f"check_kept {disk} ext4")


def test_only_the_partitions_that_are_written_are_wiped(boel: Run, disk: str) -> None:
    write_table(disk, GPT)
    for number in (2, 3):
        subprocess.run(["mkfs.ext4", "-q", "-F", f"{disk}p{number}"], check=True)
    kept = Path(f"{disk}p3").read_bytes()
    assert ask(boel, f"check_layers {disk}p2; clear_disks {disk}p1 {disk}p2") == ""
    assert Path(f"{disk}p3").read_bytes() == kept
    blkid = ["blkid", "-p", "-s", "TYPE", "-o", "value", f"{disk}p2"]
    assert subprocess.run(blkid, capture_output=True, text=True).stdout == ""
    assert subprocess.run(["sfdisk", "--verify", disk], capture_output=True).returncode == 0


def test_a_group_beyond_the_partitions_that_are_written_is_refused(boel: Run, disk: str) -> None:
    """A partition beside them counts as another disk does; with it, the group may go."""
    write_table(disk, GPT)
    group = "kept-" + disk.rpartition("/")[2]
    lvm = ["lvm", "vgcreate", "--quiet", "--yes", "--physicalextentsize", "64k", group]
    subprocess.run([*lvm, f"{disk}p2", f"{disk}p3"], check=True, capture_output=True)
    try:
        said = ask(boel, f"check_layers {disk}p1 {disk}p2")
        assert f"group {group} is on disks of the layout and on {disk}p3, which is not one" in said
        assert ask(boel, f"check_layers {disk}p2 {disk}p3") == ""
        assert ask(boel, f"check_layers {disk}") == ""
        assert ask(boel, f"check_layers {disk}p1") == ""
    finally:
        subprocess.run(["wipefs", "--all", "--quiet", f"{disk}p2", f"{disk}p3"], check=True)
