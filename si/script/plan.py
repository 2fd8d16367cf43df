"""The steps of a master script in their order: a layout and an image's facts to a plan.

Stage 5. Pure. Everything that can refuse comes before the first write. The partition arithmetic
is `si.layout.geometry`; this module only says what follows what.
"""

from __future__ import annotations

from collections.abc import Iterator

from si.errors import DocumentInvalid, Problem
from si.layout.check import boot_firmware
from si.layout.model import Disk, Firmware, Layout
from si.layout.pending import pending_features
from si.script.bootloader import bootloader_steps, kernel_arguments
from si.script.filesystems import DESTINATION, format_steps, fstab_lines, mount_steps
from si.script.identifiers import Identifier, IdentifierKind, identifiers
from si.script.layers import layer_steps, passphrase_steps, storage_files
from si.script.steps import Call, Heredoc, Phase, PhaseName, PostInstall, Require, Step
from si.script.tables import least_disk_bytes, partition_steps

__all__ = [
    "Identifier",
    "IdentifierKind",
    "identifiers",
    "kernel_arguments",
    "least_disk_bytes",
    "plan",
    "plan_disks",
]


def plan(
    layout: Layout,
    *,
    kernel_args: tuple[str, ...] = (),
    post_install: PostInstall = PostInstall.REBOOT,
    content_bytes: int = 0,
    file: str = "layout",
) -> tuple[Step, ...]:
    """All steps of an install.

    `layout` must have passed `si.layout.check`; `content_bytes` is how much the image holds, 0
    when that is not known; `file` names the layout in problems. Raises DocumentInvalid for a
    layout that is right but that this version cannot install.
    """
    pending = [Problem(file, line, text) for line, text in pending_features(layout)]
    if pending:
        raise DocumentInvalid(pending)
    return tuple(
        (
            Require(tuple(identifier.variable for identifier in identifiers(layout))),
            *_preflight(layout, content_bytes),
            *plan_disks(layout),
            *_fill(layout, kernel_args),
            *_finish(post_install),
        )
    )


def plan_disks(layout: Layout) -> tuple[Step, ...]:
    """The steps that write tables and file systems."""
    partitions = (step for disk in layout.disks for step in partition_steps(disk, layout))
    return (
        Phase(PhaseName.PARTITION),
        Call("clear_disks", tuple(disk.device for disk in layout.disks)),
        *partitions,
        Phase(PhaseName.FORMAT),
        *layer_steps(layout),
        *format_steps(layout),
    )


def _preflight(layout: Layout, content_bytes: int) -> Iterator[Step]:
    yield Phase(PhaseName.CHECK)
    efi = boot_firmware(layout) is Firmware.EFI
    yield Call("check_firmware", ("uefi" if efi else "bios",))
    for disk in layout.disks:
        yield Call("check_disk", (disk.device, str(_least(disk, layout, content_bytes))))
    yield Call("check_layers", tuple(disk.device for disk in layout.disks))
    yield from passphrase_steps(layout)
    yield Phase(PhaseName.PRE_INSTALL)
    yield Call("run_scripts", ("pre-install",))


def _least(disk: Disk, layout: Layout, content_bytes: int) -> int:
    return least_disk_bytes(disk, layout, content_bytes=content_bytes)


def _fill(layout: Layout, kernel_args: tuple[str, ...]) -> Iterator[Step]:
    yield Phase(PhaseName.MOUNT)
    yield from mount_steps(layout)
    yield Phase(PhaseName.IMAGE)
    yield Call("fetch_image", (DESTINATION,))
    yield Phase(PhaseName.OVERRIDES)
    yield Call("fetch_overrides", (DESTINATION,))
    yield Phase(PhaseName.CONFIGURE)
    yield Heredoc(f"{DESTINATION}/etc/fstab", tuple(fstab_lines(layout)))
    yield from storage_files(layout)
    yield Call("configure_storage", (DESTINATION,))
    yield Call("configure_client", (DESTINATION,))
    yield Phase(PhaseName.BOOTLOADER)
    yield from bootloader_steps(layout, kernel_args)


def _finish(post_install: PostInstall) -> Iterator[Step]:
    yield Phase(PhaseName.POST_INSTALL)
    yield Call("run_scripts", ("post-install", DESTINATION))
    yield Phase(PhaseName.BOOT_CHECK)
    yield Call("check_boot", (DESTINATION,))
    yield Phase(PhaseName.UNMOUNT)
    yield Call("unmount_all", (DESTINATION,))
    yield Phase(PhaseName.WRITTEN)
    yield Call("finish", (str(post_install),))
