"""What a machine's own files say about how it boots and how it gets its network.

Stage 1. Reads files below a root and starts nothing; runs on clients (Python 3.9).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_LOADERS = (
    (b"GRUB", "grub"),
    (b"LILO", "lilo"),
    (b"SYSLINUX", "syslinux"),
    (b"EXTLINUX", "syslinux"),
)
_SECTOR = 512
_ENABLED = ("multi-user.target.wants", "network-online.target.wants", "sysinit.target.wants")
_STANZA = re.compile(r"^\s*iface\s+(\S+)\s+\S+\s+(\S+)", re.MULTILINE)

# Set by systemd-boot, and by GRUB since 2.12 (systemd's Boot Loader Interface): 4 bytes of
# attributes, then UTF-16.
_LOADER_INFO = "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
_ATTRIBUTES = 4

GRUB_MENUS = ("boot/grub/grub.cfg", "boot/grub2/grub.cfg")


def detect_firmware(root: Path) -> str:
    """ "uefi" when the running kernel was started by UEFI firmware, else "bios"."""
    return "uefi" if (root / "sys/firmware/efi").is_dir() else "bios"


def loader_of_sector(sector: bytes) -> str | None:
    """The boot loader whose name stands in a disk's first sector."""
    return next((loader for mark, loader in _LOADERS if mark in sector), None)


def read_first_sector(disk: Path) -> bytes:
    """The first 512 bytes of a disk; nothing when it cannot be read (an empty drive)."""
    try:
        with disk.open("rb") as device:
            return device.read(_SECTOR)
    except OSError:
        return b""


def find_grub_menu(root: Path) -> Path | None:
    """GRUB's menu file, where the machine has one."""
    return next((root / menu for menu in GRUB_MENUS if (root / menu).is_file()), None)


def detect_loader(root: Path, sectors: Iterable[tuple[str, bytes]]) -> tuple[str, tuple[str, ...]]:
    """(loader, disks that carry GRUB): what says itself that it started this system, else from the
    disks' first sectors and /boot, where others may have been left behind.

    The loader is "grub", "syslinux", "lilo", "systemd-boot" or "none".
    """
    if _started_by(root).startswith("systemd-boot"):
        return "systemd-boot", ()
    found = [(disk, loader_of_sector(sector)) for disk, sector in sectors]
    grub_disks = tuple(disk for disk, loader in found if loader == "grub")
    if grub_disks:
        return "grub", grub_disks
    if detect_firmware(root) == "uefi":
        if find_grub_menu(root) is not None:
            return "grub", ()
        for place in ("boot/efi/loader", "boot/loader", "efi/loader"):
            if (root / place / "loader.conf").is_file():
                return "systemd-boot", ()
    return next((loader for _, loader in found if loader is not None), "none"), ()


def _started_by(root: Path) -> str:
    """Name and version of the boot loader, where it tells; "" else."""
    try:
        variable = (root / _LOADER_INFO).read_bytes()
    except OSError:
        return ""
    return variable[_ATTRIBUTES:].decode("utf-16-le", errors="replace")


def detect_network(root: Path) -> str:
    """Which of `record.BACKENDS` configures this machine's network.

    The one that is enabled and has something to configure. Debian's NetworkManager leaves alone
    what /etc/network/interfaces names, hence ifupdown first.
    """
    if _is_enabled(root, "networking.service") and _has_interfaces(root):
        return "ifupdown"
    if _is_enabled(root, "systemd-networkd.service") and _has_networkd(root):
        return "networkd"
    if _is_enabled(root, "NetworkManager.service"):
        return "networkmanager"
    return "unknown"


def _is_enabled(root: Path, unit: str) -> bool:
    units = root / "etc/systemd/system"
    return any((units / folder / unit).is_symlink() for folder in _ENABLED)


def _has_interfaces(root: Path) -> bool:
    folder = root / "etc/network"
    files = [folder / "interfaces", *sorted((folder / "interfaces.d").glob("*"))]
    stanzas = (found for file in files for found in _STANZA.findall(_read_text(file)))
    return any(method != "loopback" for _, method in stanzas)


def _has_networkd(root: Path) -> bool:
    places = ("etc/systemd/network", "run/systemd/network")
    return any(any((root / place).glob("*.network")) for place in places)


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
