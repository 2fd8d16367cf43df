"""What the golden client's side asks of real LUKS containers and a real btrfs, on loop devices."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from si.client.ask_layers import gather_layers

MIB = 1024 * 1024


def run(*argv: str | Path, stdin: bytes | None = None) -> str:
    done = subprocess.run([str(word) for word in argv], input=stdin, capture_output=True)
    assert done.returncode == 0, f"{argv}: {done.stderr.decode()}"
    return done.stdout.decode()


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[list[str]]:
    made = []
    for number in range(2):
        file = tmp_path / f"disk{number}.img"
        with file.open("wb") as image:
            image.truncate(160 * MIB)
        made.append(run("losetup", "--find", "--show", file).strip())
    yield made
    for device in made:
        run("losetup", "--detach", device)


def ask(*argv: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*argv))
    return found


def test_a_container(devices: list[str], tmp_path: Path) -> None:
    kdf = ("--pbkdf", "argon2id", "--pbkdf-memory", "32768", "--pbkdf-force-iterations", "4")
    luks = ("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", *kdf)
    run(*luks, devices[0], "-", stdin=b"a passphrase")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/crypttab").write_text("secret UUID=x none luks\n")
    lsblk = {"blockdevices": [{"path": devices[0], "type": "loop", "fstype": "crypto_LUKS"}]}
    layers = gather_layers(tmp_path, lsblk, {"filesystems": []})
    assert layers.luks == {
        devices[0]: {"type": "LUKS2", "kdf": "argon2id", "iterations": 4, "memory_kib": 32768}
    }
    assert layers.crypttab == "secret UUID=x none luks\n"
    assert (layers.lvs, layers.mdadm, layers.efi) == ([], {}, "")


def test_subvolumes(devices: list[str], tmp_path: Path) -> None:
    run("mkfs.btrfs", "-q", devices[1])
    top, root = tmp_path / "top", tmp_path / "root"
    top.mkdir()
    root.mkdir()
    run("mount", "-t", "btrfs", devices[1], top)
    run("btrfs", "-q", "subvolume", "create", top / "@")
    run("mount", "-t", "btrfs", "-o", "subvol=@", devices[1], root)
    try:
        columns = "TARGET,SOURCE,FSTYPE,UUID,FSROOT"
        findmnt = ask("findmnt", "--json", "--list", "--types", "btrfs", "--output", columns)
        ours = [each for each in findmnt["filesystems"] if each["target"].startswith(str(tmp_path))]
        layers = gather_layers(tmp_path, {"blockdevices": []}, {"filesystems": ours})
    finally:
        run("umount", root)
        run("umount", top)
    (text,) = layers.btrfs.values()
    assert text.strip().endswith("path @")
    assert [each["fsroot"] for each in ours] == ["/", "/@"]
