"""Golden clients of other layouts: their disks, made once and kept in build/lab.

A machine that runs the wide tree gets the blank disks of all rows that are to be made. On each, by
ssh, runs partition/ROW.sh, which partitions it with the usual tools and copies the running system
there. Nothing of si takes part, else inferring a layout and rendering it would prove each other.
The initramfs is made before, natively, for in an emulated machine it takes minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.lab.accel import choose_accelerator
from scripts.lab.errors import LabError
from scripts.lab.golden import ADDRESS, MAC, Golden, alone, copy_disk, ensure_key, usual_umask
from scripts.lab.golden_disk import build_disk
from scripts.lab.golden_tree import Kind, ensure_tree, tree_hash
from scripts.lab.hardware import Attached, Bus
from scripts.lab.machine import Machine, Spec, make_disk
from scripts.lab.network import Network
from scripts.lab.rows import PASSPHRASE, Row
from scripts.lab.scratch import scratch_folder
from scripts.lab.ssh import Login

HERE = Path(__file__).parent
SCRIPTS = HERE / "partition"
SOURCES = ("golden_disk.py", "specimens.py")
FILES = {
    "etc/initramfs-tools/conf.d/resume": "RESUME=none\n",
    "etc/cryptsetup-initramfs/conf-hook": "CRYPTSETUP=y\n",
}
"""The initramfs of all rows can open all of them; it waits for nobody's swap."""
BOOT_S = 240
MAKE_S = 600

Progress = Callable[[str], None]


def ensure_maker(folder: Path, progress: Progress) -> Golden:
    """The disk with the wide tree that makes the others; nothing may be written to it."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder), usual_umask():
        key = ensure_key(folder)
        public = key.with_suffix(".pub").read_text()
        disk = folder / f"maker-{_maker_hash(public)}.raw"
        if not disk.exists():
            tree = ensure_tree(folder, progress, Kind.WIDE)
            with scratch_folder(folder, "maker") as aside:
                build_disk(tree, public, aside / "maker.raw", progress, FILES)
                for old in folder.glob("maker-*.raw"):
                    old.unlink()
                copy_disk(aside / "maker.raw", aside / "kept").rename(disk)
    return Golden(disk=disk, key=key)


def ensure_rows(
    folder: Path, rows: Sequence[Row], progress: Progress
) -> dict[str, tuple[Path, ...]]:
    """Disks of the golden client of each row; those that are not there are made in one machine."""
    folder = folder.resolve()
    maker = ensure_maker(folder, progress)
    with alone(folder):
        disks = {row.name: _disks(folder, row, maker) for row in rows}
        missing = [row for row in rows if not all(path.exists() for path in disks[row.name])]
        if missing:
            with scratch_folder(folder, "rows") as aside:
                made = _make(aside, missing, maker, progress)
                for row in missing:
                    _keep(folder, row, made[row.name], disks[row.name])
    return disks


def _keep(folder: Path, row: Row, made: Sequence[Path], names: Sequence[Path]) -> None:
    for old in folder.glob(f"row-{row.name}-*.raw"):
        old.unlink()
    for path, name in zip(made, names, strict=True):
        copy_disk(path, path.with_suffix(".kept")).rename(name)


def _make(
    folder: Path, rows: Sequence[Row], maker: Golden, progress: Progress
) -> dict[str, list[Path]]:
    blank = {
        row.name: [make_disk(folder / f"{row.name}-{number}.raw", mib << 20)
                   for number, mib in enumerate(row.disks_mib)]
        for row in rows
    }  # fmt: skip
    more = [Attached(path, row.sector_bytes) for row in rows for path in blank[row.name]]
    spec = Spec(
        name="maker", mac=MAC, disks=(maker.disk,), keep_disks=False, more=tuple(more),
        accelerator=choose_accelerator(folder.parent).name,
    )  # fmt: skip
    progress("a machine starts that partitions disks by hand")
    log = folder.parent / "maker.console"
    log.unlink(missing_ok=True)
    with Network() as network, Machine(network, spec, log) as machine:
        login = Login(network, ADDRESS, maker.key)
        login.wait(BOOT_S)
        number = 1
        for row in rows:
            progress(row.name)
            count = len(row.disks_mib)
            names = [Bus.VIRTIO.device(number + other) for other in range(count)]
            _run_script(login, row, names, folder.parent / f"row-{row.name}.log")
            number += count
        machine.power_down(90)
    return blank


def _run_script(login: Login, row: Row, disks: Sequence[str], log: Path) -> None:
    done = login.run(
        ["env", f"PASSPHRASE={PASSPHRASE}", "sh", "-s", "--", *disks],
        stdin=_script(row), timeout_s=MAKE_S, check=False,
    )  # fmt: skip
    log.write_bytes(done.stdout + done.stderr)
    if done.exit_code != 0:
        raise LabError(f"partition/{row.name}.sh failed: {done.stderr[-500:].decode()}")


def _script(row: Row) -> bytes:
    return (SCRIPTS / "begin.sh").read_bytes() + (SCRIPTS / f"{row.name}.sh").read_bytes()


def _maker_hash(public_key: str) -> str:
    parts = [tree_hash(Kind.WIDE).encode(), public_key.encode(), repr(FILES).encode()]
    parts += [(HERE / name).read_bytes() for name in SOURCES]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _disks(folder: Path, row: Row, maker: Golden) -> tuple[Path, ...]:
    what = f"{maker.disk.name} {row.disks_mib} {row.sector_bytes}".encode()
    digest = hashlib.sha256(what + _script(row)).hexdigest()[:12]
    return tuple(
        folder / f"row-{row.name}-{digest}-{number}.raw" for number in range(len(row.disks_mib))
    )
