"""The rows of the matrix: what each golden client of another layout is made of.

Pure. How its disks are partitioned stands in partition/NAME.sh, which a machine of the lab runs by
hand (`row_golden`); what is done with it, in `matrix`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scripts.lab.disk import Place
from scripts.lab.hardware import Bus, Firmware

PASSPHRASE = "four words of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A golden client, and the machines that are installed from it."""

    name: str
    firmware: Firmware
    bus: Bus = Bus.VIRTIO
    disks_mib: tuple[int, ...] = (3072,)
    """Sizes of the golden client's disks; the clients' are larger by a third."""
    sector_bytes: int = 512
    flavor: str = "virtio"
    boot_rom: bool = True
    """False: it is installed through UEFI's own PXE."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """File systems that this machine can mount; empty: read from inside a machine."""
    fstab: int = 3
    """Lines of fstab for disks."""
    in_layout: tuple[str, ...] = ()
    """Words that the captured layout must hold."""
    passphrase: bool = False
    """It is asked for on the console at each start."""
    ahead: bool = False
    """It has a file system that lays out more than is written."""
    allowed: str = "matrix"
    """The closed list of what a written disk may differ in."""
    source: str = ""
    """Of a retarget: the row whose golden client is captured; layouts/NAME.xml is what is installed
    instead of the layout that was captured."""
    mirrored: bool = False
    """Boots with any one of its disks removed."""

    @property
    def boots(self) -> int:
        """How often it is started once it is installed."""
        return 2 + (len(self.disks_mib) if self.mirrored else 0)


XFS = "ro,norecovery"
BTRFS = "ro,norecovery"
ROWS = {
    row.name: row
    for row in (
        Row(
            name="uefi-nvme-xfs", firmware=Firmware.UEFI, bus=Bus.NVME, flavor="standard",
            boot_rom=False, fstab=4, ahead=True,
            places={"/": Place(4, XFS), "/boot": Place(2)},
            in_layout=("/dev/nvme0n1", "gpt", "esp", "xfs", "vfat"),
        ),
        Row(
            name="bios-gpt", firmware=Firmware.BIOS, places={"/": Place(4), "/boot": Place(2)},
            in_layout=("/dev/vda", "gpt", "bios_grub"),
        ),
        Row(
            name="bios-logical", firmware=Firmware.BIOS, fstab=5, ahead=True,
            places={"/": Place(2), "/boot": Place(1), "/var": Place(6),
                    "/usr/local": Place(7, XFS)},
            in_layout=("/dev/vda", "msdos", "logical", "xfs"),
        ),
        Row(
            name="uefi-raid1-lvm", firmware=Firmware.UEFI, disks_mib=(3072, 3072), fstab=5,
            in_layout=("/dev/vdb", "/dev/md", "vg-main", "var-log"), mirrored=True,
            allowed="matrix-storage",
        ),
        Row(
            name="uefi-luks", firmware=Firmware.UEFI, passphrase=True, allowed="matrix-storage",
            in_layout=("root_crypt", "luks"),
        ),
        Row(
            name="bios-btrfs", firmware=Firmware.BIOS, fstab=4,
            places={"/": Place(3, f"{BTRFS},subvol=@"),
                    "/root": Place(3, f"{BTRFS},subvol=@root-home"),
                    "/var/log": Place(3, f"{BTRFS},subvol=@var-log")},
            in_layout=("btrfs", "@root-home", "@var-log"),
        ),
        Row(
            name="sata-standard", firmware=Firmware.BIOS, bus=Bus.SATA, flavor="standard",
            places={"/": Place(3), "/boot": Place(1)}, in_layout=("/dev/sda", "msdos"),
        ),
        Row(
            name="uefi-4k", firmware=Firmware.UEFI, sector_bytes=4096, fstab=4,
            places={"/": Place(4), "/boot": Place(2)}, in_layout=("gpt", "esp", "LABEL=system"),
        ),
        Row(
            name="to-smaller", source="bios-logical", firmware=Firmware.BIOS, fstab=2,
            disks_mib=(1024,), places={"/": Place(1)},
        ),
        Row(
            name="to-nvme-lvm", source="bios-logical", firmware=Firmware.UEFI, bus=Bus.NVME,
            fstab=4, ahead=True, allowed="matrix-storage",
        ),
        Row(
            name="to-raid1", source="bios-logical", firmware=Firmware.BIOS, fstab=2,
            disks_mib=(2048, 2048), mirrored=True,
            allowed="matrix-storage",
        ),
        Row(
            name="to-luks", source="bios-logical", firmware=Firmware.UEFI, passphrase=True,
            allowed="matrix-storage",
        ),
    )
}  # fmt: skip
