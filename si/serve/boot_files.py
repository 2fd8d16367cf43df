"""Which bytes a TFTP path stands for: boot programs, generated PXELINUX files, flavors.

Stage 7, one server process. In goes a checked path and who asks, out comes an open file or a
refusal. Boot programs lie in `tftpboot/`; si-server copies there those of the distribution's
packages when it starts. A symbolic link may stay inside `tftpboot/`; one that leads out of it is
refused, as are folders, devices and pipes.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
from ipaddress import IPv4Address
from pathlib import Path
from typing import BinaryIO

from si.boot.flavor import FLAVOR_FILES
from si.boot.netboot import LocalEntry, parse_pxelinux_name, render_pxelinux
from si.config import Settings
from si.errors import NameInvalid
from si.names_check import check_name
from si.serve.entries import Entries
from si.serve.tftp_request import ACCESS_VIOLATION, NOT_FOUND, RequestRefused

BOOT_PROGRAMS = (
    ("undionly.kpxe", "/usr/lib/ipxe/undionly.kpxe", "ipxe"),
    ("snponly.efi", "/usr/lib/ipxe/snponly.efi", "ipxe"),
    ("pxelinux.0", "/usr/lib/PXELINUX/pxelinux.0", "pxelinux"),
    ("ldlinux.c32", "/usr/lib/syslinux/modules/bios/ldlinux.c32", "syslinux-common"),
)
"""Name in tftpboot/, where Debian has it, and in which package."""


def copy_boot_programs(settings: Settings) -> tuple[str, ...]:
    """Bring the distribution's boot programs into tftpboot/; gives a warning for each missing one.

    A program that is there and not older is left alone, so that an administrator may put a
    build of their own there.
    """
    settings.tftpboot.mkdir(parents=True, exist_ok=True)
    warnings = []
    for name, source, package in BOOT_PROGRAMS:
        original, copy = Path(source), settings.tftpboot / name
        if not original.is_file():
            if not copy.exists():
                warnings.append(f"no boot program {name}: install the package {package}")
        elif not copy.exists() or copy.stat().st_mtime < original.stat().st_mtime:
            fresh = copy.with_name(f".{name}.new")
            shutil.copy2(original, fresh)
            fresh.replace(copy)
    return tuple(warnings)


class BootFiles:
    """The source of the TFTP server."""

    def __init__(self, settings: Settings, entries: Entries) -> None:
        self.settings = settings
        self.entries = entries

    def open(self, path: str, client: str, server: str) -> BinaryIO:
        """Open what `path` stands for. Raises RequestRefused."""
        match path.split("/"):
            case ["pxelinux.cfg", name]:
                return io.BytesIO(self._configuration(name, client, server).encode("ascii"))
            case ["flavors", arch, flavor, file] if file in FLAVOR_FILES:
                return open_regular(self._flavor(arch, flavor) / file)
        root = self.settings.tftpboot.resolve()
        found = (root / path).resolve()
        if not found.is_relative_to(root):
            raise RequestRefused(ACCESS_VIOLATION, "the path leaves the served folder")
        return open_regular(found)

    def _configuration(self, name: str, client: str, server: str) -> str:
        if name == "default":
            return render_pxelinux(LocalEntry("this machine is not armed, booting its own disk"))
        whom = parse_pxelinux_name(name)
        if isinstance(whom, str):
            return render_pxelinux(self.entries.for_mac(whom, ip=client, local=server))
        # By address only for the machine that has it: an address may belong to another tomorrow.
        if isinstance(whom, IPv4Address) and str(whom) == client:
            return render_pxelinux(self.entries.for_ip(client, local=server))
        raise RequestRefused(NOT_FOUND, "no such file")

    def _flavor(self, arch: str, flavor: str) -> Path:
        try:
            names = check_name("architecture", arch), check_name("flavor", flavor)
        except NameInvalid as error:
            raise RequestRefused(NOT_FOUND, "no such file") from error
        return self.settings.flavors.joinpath(*names)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read. Raises RequestRefused for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RequestRefused(NOT_FOUND, "no such file") from error
    except (OSError, ValueError) as error:
        raise RequestRefused(ACCESS_VIOLATION, "the file cannot be read") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RequestRefused(ACCESS_VIOLATION, "this is no regular file")
    return os.fdopen(descriptor, "rb")
