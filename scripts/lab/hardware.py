"""What a machine of the lab can be made of, as QEMU's command line wants it.

Pure but for `make_nvram`. Slots are fixed, so that a disk or card has the same name at every start.
A BIOS machine is the old PC, an UEFI one the newer q35; disks of a machine hang on one bus.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from scripts.lab.errors import LabError

OVMF = Path("/usr/share/OVMF")
CODE = OVMF / "OVMF_CODE_4M.fd"
NVRAM = OVMF / "OVMF_VARS_4M.fd"
BOTH_SECTORS = 512


class Firmware(StrEnum):
    """What starts the machine."""

    BIOS = "bios"
    UEFI = "uefi"


class Bus(StrEnum):
    """How its disks are attached, and what Linux calls them: vda, nvme0n1, sda, sda."""

    VIRTIO = "virtio"
    NVME = "nvme"
    SATA = "sata"
    SCSI = "scsi"

    def device(self, number: int) -> str:
        """The name that Linux gives the disk `number` (from 0)."""
        if self is Bus.NVME:
            return f"/dev/nvme{number}n1"
        return f"/dev/{'vd' if self is Bus.VIRTIO else 'sd'}{chr(ord('a') + number)}"


@dataclass(frozen=True, slots=True)
class Attached:
    """A raw image as a disk of a machine."""

    path: Path
    sector_bytes: int = BOTH_SECTORS
    """Logical and physical."""
    keep: bool = True
    """False: what is written to it is forgotten when the machine ends."""
    boot: int | None = None
    """Its place in the firmware's order."""
    read_only: bool = False
    """True: the disk itself refuses to be written to."""


def firmware_arguments(firmware: Firmware, bus: Bus, nvram: Path | None) -> list[str]:
    """Machine type, and for UEFI the firmware with this machine's own variables."""
    modern = firmware is Firmware.UEFI or bus is Bus.SATA
    words = ["-machine", f"{'q35' if modern else 'pc'},graphics=off"]
    if firmware is Firmware.UEFI:
        words += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={CODE}",
                  "-drive", f"if=pflash,format=raw,unit=1,file={nvram}",
                  # Else it asks for a minute by IPv6 too, before it goes on to the disk.
                  "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"]  # fmt: skip
    return words


def make_nvram(path: Path) -> Path:
    """UEFI variables of a machine that has never booted. Raises LabError without OVMF."""
    if not NVRAM.exists() or not CODE.exists():
        raise LabError("there is no UEFI firmware", hint="install the package ovmf")
    shutil.copyfile(NVRAM, path)
    return path


def disk_arguments(disks: Sequence[Attached], bus: Bus) -> list[str]:
    """Drives and devices of all disks."""
    words = ["-device", "virtio-scsi-pci,id=scsi0,addr=0x6"] if bus is Bus.SCSI else []
    for number, disk in enumerate(disks):
        words += [
            "-drive", f"file={disk.path},format=raw,if=none,id=disk{number},cache=unsafe,"
            f"discard=unmap,snapshot={'off' if disk.keep else 'on'},"
            f"readonly={'on' if disk.read_only else 'off'}",
            "-device", ",".join(_device(bus, number, disk)),
        ]  # fmt: skip
    return words


def _device(bus: Bus, number: int, disk: Attached) -> list[str]:
    serial = f"lab{number}"
    kinds = {
        # From slot 0x10 on; a PC has 0x20 of them.
        Bus.VIRTIO: ["virtio-blk-pci", f"addr={0x10 + number:#x}"],
        Bus.NVME: ["nvme", f"addr={0x10 + number:#x}"],
        Bus.SATA: ["ide-hd", f"bus=ide.{number}"],
        Bus.SCSI: ["scsi-hd", "bus=scsi0.0", f"scsi-id={number}"],
    }
    words = [*kinds[bus], f"drive=disk{number}", f"serial={serial}"]
    if disk.sector_bytes != BOTH_SECTORS:
        words += [f"{kind}_block_size={disk.sector_bytes}" for kind in ("logical", "physical")]
    return words if disk.boot is None else [*words, f"bootindex={disk.boot}"]
