"""The written disks of a row against their image, before they boot.

Plain file systems are mounted here. Arrays, volumes and encrypted partitions need drivers that this
machine's kernel may lack: a machine of the lab opens those, as partition/look/ROW.sh says, and the
comparing program runs there, on a disk with a copy of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.lab.accel import choose_accelerator
from scripts.lab.disk import filled, mounted_tree
from scripts.lab.golden import ADDRESS, FOLDER, MAC
from scripts.lab.hardware import Attached, Bus
from scripts.lab.machine import Machine, Spec, make_disk
from scripts.lab.network import Network
from scripts.lab.proof import ALLOWED, COMPARE, SHOWN, compare_disk
from scripts.lab.row_golden import BOOT_S, SCRIPTS, ensure_maker
from scripts.lab.rows import PASSPHRASE, Row
from scripts.lab.ssh import Login
from si.system.run import run

IMAGE_MIB = 2048
COMPARE_S = 900
RETARGET = ALLOWED / "retarget.txt"


def prove_row(row: Row, disks: Sequence[Path], image: Path, folder: Path) -> tuple[bool, str]:
    """Whether the disks equal `image` but for a closed list, and a line about it."""
    output = folder / "proof.txt"
    if not row.places:
        return _prove_inside(row, disks, image, folder, output)
    with mounted_tree(disks[0], row.places, folder / "mnt", row.sector_bytes) as tree:
        return compare_disk(
            image, tree, output, allowed=_allowed(row, image, folder), ahead=row.ahead,
            more_allowed=RETARGET if row.source else None,
        )  # fmt: skip


def _prove_inside(
    row: Row, disks: Sequence[Path], image: Path, folder: Path, output: Path
) -> tuple[bool, str]:
    maker = ensure_maker(FOLDER, print)
    copy = _copy_image(image, folder)
    spec = Spec(
        name="reader", mac=MAC, disks=(maker.disk,), keep_disks=False,
        accelerator=choose_accelerator(FOLDER).name,
        more=(Attached(copy, keep=False),
              *(Attached(path, row.sector_bytes, keep=False) for path in disks)),
    )  # fmt: skip
    with Network() as network, Machine(network, spec, folder / "reader.console"):
        login = Login(network, ADDRESS, maker.key)
        login.wait(BOOT_S)
        login.copy_to(COMPARE, "/run/compare.py")
        login.copy_to(_allowed(row, image, folder), "/run/allowed")
        login.copy_to(RETARGET, "/run/retarget")
        names = [Bus.VIRTIO.device(number) for number in range(2, 2 + len(disks))]
        look = (SCRIPTS / "begin.sh").read_bytes() + (SCRIPTS / f"look/{row.name}.sh").read_bytes()
        login.run(["env", f"PASSPHRASE={PASSPHRASE}", "sh", "-s", "--", *names], stdin=look)
        options = f"{'--ahead' if row.ahead else ''} {'--ran /run/retarget' if row.source else ''}"
        done = login.run(
            "mkdir -p /image && mount -o ro,noload /dev/vdb /image && "
            f"python3 /run/compare.py /image /new --allow /run/allowed {options}",
            timeout_s=COMPARE_S, check=False,
        )  # fmt: skip
    output.write_bytes(done.stdout + done.stderr)
    lines = (done.text + done.stderr.decode("utf-8", "replace")).splitlines() or ["no output"]
    return done.exit_code == 0, lines[-1] if done.exit_code == 0 else " | ".join(lines[:SHOWN])


def _allowed(row: Row, image: Path, folder: Path) -> Path:
    """The closed list of this row, with the release of the image's kernel in it."""
    release = next((image / "lib/modules").iterdir()).name
    made = folder / "allowed.txt"
    made.write_text((ALLOWED / f"{row.allowed}.txt").read_text().replace("RELEASE", release))
    return made


def _copy_image(image: Path, folder: Path) -> Path:
    """The image's tree on a disk of its own."""
    copy = make_disk(folder / "image.raw", IMAGE_MIB << 20)
    run(["mkfs.ext4", "-q", "-F", copy])
    point = folder / "mnt"
    point.mkdir(exist_ok=True)
    with filled(copy, point, "-o", "loop"):
        run(["rsync", "-aHAXS", "--numeric-ids", f"{image}/", f"{point}/"])
    return copy
