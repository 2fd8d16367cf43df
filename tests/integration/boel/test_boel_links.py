"""The names that udev would give to devices, which programs of an image look for."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.integration.boel.files import Run

UUID = "0a0b0c0d-1111-2222-3333-444455556666"
PART = "0A0B0C0D-AAAA-BBBB-CCCC-444455556666"
TABLE = f'label: gpt\nstart=1MiB, size=20MiB, uuid={PART}, name="bulk data/1"\nsize=20MiB\n'


def test_links_of_udev(boel: Run, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["sfdisk", "--quiet", image], input=TABLE, text=True, check=True)
    attach = ["losetup", "--find", "--show", str(image)]
    device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    try:
        deadline = time.monotonic() + 15
        while subprocess.run(["partx", "--update", device], capture_output=True).returncode != 0:
            assert time.monotonic() < deadline, f"no partitions on {device}"
            time.sleep(0.05)
        mkfs = ["mkfs.ext4", "-q", "-F", "-U", UUID, "-L", "my data", f"{device}p1"]
        subprocess.run(mkfs, check=True)
        done = boel(f"link_devices {tmp_path}/disk; link_devices {tmp_path}/disk")
        assert done.returncode == 0, done.stderr
        found = {
            str(path.relative_to(tmp_path / "disk")): str(path.readlink())
            for path in (tmp_path / "disk").glob("*/*")
            if str(path.readlink()).startswith(device)
        }
    finally:
        subprocess.run(["partx", "--delete", device], check=False, capture_output=True)
        subprocess.run(["losetup", "--detach", device], check=True)
    other = next(name for name in found if found[name] == f"{device}p2")
    assert other.startswith("by-partuuid/")
    del found[other]
    assert found == {
        f"by-uuid/{UUID}": f"{device}p1",
        r"by-label/my\x20data": f"{device}p1",
        f"by-partuuid/{PART.lower()}": f"{device}p1",
        r"by-partlabel/bulk\x20data\x2f1": f"{device}p1",
    }
