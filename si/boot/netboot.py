"""What a machine that boots from the network is told: iPXE scripts and PXELINUX configurations.

Stage 6, getting BOEL onto a machine. Pure: in goes an `InstallEntry` or a `LocalEntry`, out comes
the text that `si.serve` hands out by HTTP and TFTP. iPXE expands `${...}` and both programs split
at spaces, so every word is checked here and nothing is quoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address

from si.errors import BootArgumentsInvalid

CONSOLES = ("console=tty0", "console=ttyS0,115200")
MAX_APPEND = 1000
_WORD = re.compile(r"[A-Za-z0-9_.,:=/+@%()\[\]{}*-]+")
_RESERVED = ("si.server=", "si.client=", "si.token=", "initrd=", "BOOTIF=")

_LOCAL_DISK = (
    # Under a PC BIOS the first disk is started directly, for not every BIOS goes on to it when
    # the boot ROM gives up. EFI firmware does, but only after a failure: a boot program that ends
    # well makes it show its menu (UEFI 2.10, 3.1.1).
    "set si-local yes\niseq ${platform} pcbios && sanboot --no-describe --drive 0x80 ||\nexit 1\n"
)


@dataclass(frozen=True, slots=True)
class InstallEntry:
    """Boot BOEL and install."""

    client: str
    mac: str
    """aa:bb:cc:dd:ee:ff"""
    arch: str
    flavor: str
    token: str
    server: str
    """HTTP base, http://ADDRESS:PORT"""
    append: str = ""


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """Boot the machine's own disk; `reason` is shown on its console."""

    reason: str


Entry = InstallEntry | LocalEntry


def check_append(text: str) -> str:
    """Kernel arguments of the administrator, with single spaces between the words.

    Raises BootArgumentsInvalid for what iPXE or PXELINUX would not pass on as it stands (quotes,
    `$`, backslash, control characters, anything beyond ASCII), for the words that the server
    itself sets, and beyond MAX_APPEND characters.
    """
    words = text.split(" ")
    for word in filter(None, words):
        if _WORD.fullmatch(word) is None:
            raise BootArgumentsInvalid(
                f"{word!r} cannot be handed to a kernel over the network",
                hint="use letters, digits and _ . , : = / + @ % ( ) [ ] { } * -",
            )
        if word.startswith(_RESERVED):
            raise BootArgumentsInvalid(f"{word!r} is set by the server itself", hint="leave it out")
    clean = " ".join(filter(None, words))
    if len(clean) > MAX_APPEND:
        raise BootArgumentsInvalid(
            f"{len(clean)} characters of kernel arguments",
            hint=f"a kernel takes about 2000 in all; give at most {MAX_APPEND}",
        )
    return clean


def kernel_arguments(entry: InstallEntry) -> tuple[str, ...]:
    """Words of the kernel command line, without initrd=.

    BOOTIF is PXELINUX's own spelling of the MAC a machine booted from, so that BOEL asks for its
    address on the same interface.
    """
    return (
        f"si.server={entry.server}",
        f"si.client={entry.client}",
        f"si.token={entry.token}",
        f"BOOTIF={hardware_name(entry.mac)}",
        *CONSOLES,
        *check_append(entry.append).split(),
    )


def render_boot_ipxe(server: str) -> str:
    """The first script that every iPXE gets: ask again with the MAC. `server` is the HTTP base."""
    return (
        "#!ipxe\n"
        f"chain --autofree {server}/boot/ipxe/${{netX/mac}} || goto failed\n"
        "exit 1\n"
        ":failed\n"
        "isset ${si-local} && exit 1 ||\n"
        f"echo si: {server} does not answer, booting the local disk\n"
        "sleep 3\n"
        f"{_LOCAL_DISK}"
    )


def render_ipxe(entry: Entry) -> str:
    """The iPXE script of one machine."""
    if isinstance(entry, LocalEntry):
        return f"#!ipxe\necho si: {_plain(entry.reason)}\n{_LOCAL_DISK}"
    flavor = f"{entry.server}/flavors/{entry.arch}/{entry.flavor}"
    words = " ".join(("initrd=initrd.img", *kernel_arguments(entry)))
    return (
        "#!ipxe\n"
        f"echo si: installing {entry.client}\n"
        f"kernel {flavor}/kernel {words} || goto failed\n"
        f"initrd --name initrd.img {flavor}/initrd.img || goto failed\n"
        "boot || goto failed\n"
        ":failed\n"
        "echo si: the install environment did not load, trying again in 10 seconds\n"
        "sleep 10\n"
        "reboot\n"
    )


def render_pxelinux(entry: Entry) -> str:
    """The PXELINUX configuration of one machine; file names are relative to the TFTP root."""
    if isinstance(entry, LocalEntry):
        # -1 gives control back to the firmware, which goes on to the next device. 0 does as well,
        # but lets the boot ROM start over first: 5 s longer on QEMU.
        return (
            "DEFAULT local\nPROMPT 0\nLABEL local\n"
            f"  SAY si: {_plain(entry.reason)}\n"
            "  LOCALBOOT -1\n"
        )
    flavor = f"flavors/{entry.arch}/{entry.flavor}"
    return (
        "DEFAULT install\nPROMPT 0\nLABEL install\n"
        f"  SAY si: installing {entry.client}\n"
        f"  KERNEL {flavor}/kernel\n"
        f"  INITRD {flavor}/initrd.img\n"
        f"  APPEND {' '.join(kernel_arguments(entry))}\n"
    )


def hardware_name(mac: str) -> str:
    """A MAC as PXELINUX spells it in file names and in BOOTIF: 01-aa-bb-cc-dd-ee-ff."""
    return "01-" + mac.replace(":", "-")


def parse_pxelinux_name(name: str) -> str | IPv4Address | None:
    """Whom a file in pxelinux.cfg/ is for: a MAC, an IPv4 address, or None for anything else."""
    if re.fullmatch(r"01(-[0-9A-Fa-f]{2}){6}", name):
        return name[3:].lower().replace("-", ":")
    if re.fullmatch(r"[0-9A-F]{8}", name):
        return IPv4Address(int(name, 16))
    return None


def _plain(text: str) -> str:
    """`text` as words that no boot program takes for anything else."""
    return " ".join(re.sub(r"[^A-Za-z0-9 .,:()_-]", "?", text).split())
