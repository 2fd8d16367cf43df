"""Steps that make the new system start, and the kernel arguments it gets.

Stage 5. Pure. The golden client's own kernel arguments survive; what names a device of the golden
client is left out and made anew from the layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from si.layout.check import bare_esps, boot_devices, boot_firmware, uses_systemd_boot
from si.layout.model import Filesystem, FilesystemType, Firmware, Flag, Layout
from si.script.filesystems import DESTINATION, mounted_subvolume, uuid_word
from si.script.layers import root_name
from si.script.steps import Call, Part, Step, Word

_OURS = frozenset(("ro", "rw", "noresume"))
_OURS_PREFIXES = (
    *("BOOT_IMAGE=", "root=", "resume=", "resume_offset=", "initrd="),
    # Where dracut and others are told of the devices to open; the names of the golden client's.
    *("rd.luks.", "rd.lvm.", "rd.md.", "cryptdevice=", "cryptopts=", "rootflags=subvol"),
)
# As the kernel reads them: blanks separate, except between double quotes.
_ARGUMENT = re.compile(r'(?:"[^"]*"?|[^\s"])+')


def kernel_arguments(cmdline: str) -> tuple[str, ...]:
    """The arguments of a running kernel that its copies shall have too."""
    return tuple(
        word
        for word in _ARGUMENT.findall(cmdline)
        if word not in _OURS and not word.startswith(_OURS_PREFIXES)
    )


def bootloader_steps(layout: Layout, kernel_args: tuple[str, ...]) -> Iterator[Step]:
    """GRUB or systemd-boot with menus that are written rather than probed for, wherever a machine
    may start from."""
    if uses_systemd_boot(layout):
        yield from _systemd_boot(layout, kernel_args)
    else:
        yield from _grub(layout, kernel_args)


def _systemd_boot(layout: Layout, kernel_args: tuple[str, ...]) -> Iterator[Step]:
    """Last, for kernel and initramfs are copied to the ESP as they then are."""
    root = layout.mounted_at("/")
    assert isinstance(root, Filesystem)
    yield Call("rebuild_initramfs", (DESTINATION,))
    words = (uuid_word(root, layout), _arguments(root, layout, kernel_args))
    yield Call("install_systemd_boot", (DESTINATION, *words, *esp_mount_points(layout)))
    yield from _copy_esp(layout)


def _grub(layout: Layout, kernel_args: tuple[str, ...]) -> Iterator[Step]:
    root, boot = layout.mounted_at("/"), layout.mounted_at("/boot")
    assert isinstance(root, Filesystem)
    own = isinstance(boot, Filesystem) and layout.is_made(boot)
    holder = boot if isinstance(boot, Filesystem) and own else root
    yield Call(
        "write_grub_config",
        (
            DESTINATION,
            uuid_word(root, layout),
            uuid_word(holder, layout),
            _boot_prefix(holder),
            _arguments(root, layout, kernel_args),
        ),
    )
    yield Call("rebuild_initramfs", (DESTINATION,))
    if boot_firmware(layout) is Firmware.EFI:
        yield Call("install_grub_uefi", (DESTINATION, *esp_mount_points(layout)))
        yield from _copy_esp(layout)
    else:
        yield Call("install_grub_bios", (DESTINATION, *boot_devices(layout)))


def _copy_esp(layout: Layout) -> Iterator[Step]:
    """What the first mounted ESP then holds, onto those that are not mounted."""
    if bare_esps(layout):
        first = esp_mount_points(layout)[0]
        yield Call("copy_esp", (f"{DESTINATION}{first}", *bare_esps(layout)))


def esp_mount_points(layout: Layout) -> tuple[str, ...]:
    """Where EFI system partitions are mounted."""
    paths = layout.partition_paths()
    return tuple(
        filesystem.mount_point
        for filesystem in layout.filesystems
        if filesystem.device in paths
        and Flag.ESP in paths[filesystem.device][1].flags
        and filesystem.type is FilesystemType.VFAT
        and layout.is_made(filesystem)
    )


def _arguments(root: Filesystem, layout: Layout, kernel_args: tuple[str, ...]) -> Word:
    own = "".join(f"{word} " for word in _fitting(kernel_args, root))
    return (own, *_root(root, layout), *_resume(layout))


def _boot_prefix(holder: Filesystem) -> str:
    """The folder with the kernels as GRUB sees it; it sees btrfs from the top level."""
    inside = mounted_subvolume(holder, "/boot")
    if inside is not None:
        return f"/{inside.name}"
    if holder.mount_point == "/boot":
        return ""
    above = mounted_subvolume(holder, holder.mount_point)
    return "/boot" if above is None else f"/{above.name}/boot"


def _fitting(kernel_args: tuple[str, ...], root: Filesystem) -> list[str]:
    """Without the type of a root file system that this one has not."""
    return [
        word
        for word in kernel_args
        if not word.startswith("rootfstype=") or word == f"rootfstype={root.type}"
    ]


def _root(root: Filesystem, layout: Layout) -> tuple[Part, ...]:
    name = root_name(root.device, layout)
    inside = mounted_subvolume(root, "/")
    words = [f"root={name} "] if name is not None else []
    if inside is not None:
        words.append(f"rootflags=subvol={inside.name} ")
    return tuple(words)


def _resume(layout: Layout) -> tuple[Part, ...]:
    """Where to look for a hibernated system; else the image's initramfs would look for, and wait
    for, the golden client's swap."""
    for filesystem in layout.filesystems:
        if filesystem.type is FilesystemType.SWAP and layout.is_made(filesystem):
            name = root_name(filesystem.device, layout)
            if name is not None:
                return (f"resume={name}",)
            return ("resume=UUID=", *uuid_word(filesystem, layout))
    return ("noresume",)
