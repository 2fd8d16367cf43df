"""The steps of a master script in their order: a layout and an image's facts to a plan.

Stage 5. Pure. Everything that can refuse comes before the first write. The partition arithmetic
is `si.layout.geometry`; this module only says what follows what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from si.errors import DocumentInvalid
from si.layout.model import Firmware, Layout
from si.script.bootloader import bootloader_steps, kernel_arguments
from si.script.filesystems import DESTINATION, format_steps, fstab_lines, mount_steps
from si.script.identifiers import Identifier, IdentifierKind, identifiers
from si.script.layers import layer_steps, passphrase_steps, storage_files
from si.script.room import UNMEASURED, room_problems
from si.script.steps import Call, Heredoc, Phase, PhaseName, PostInstall, Require, Step
from si.script.tables import kept_steps, least_disk_bytes, partition_steps

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
    content: Mapping[str, int] = UNMEASURED,
    file: str = "layout",
) -> tuple[Step, ...]:
    """All steps of an install.

    `layout` must have passed `si.layout.check`; `content` is how many bytes the image holds by
    mount point, where that is known; `file` names the layout in problems. Raises DocumentInvalid
    for a layout that is right but has no room for the image.
    """
    if problems := [*room_problems(layout, content, file)]:
        raise DocumentInvalid(problems)
    return tuple(
        (
            Require(tuple(identifier.variable for identifier in identifiers(layout))),
            *_preflight(layout, content),
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
        Call("clear_disks", layout.written),
        *partitions,
        Phase(PhaseName.FORMAT),
        *layer_steps(layout),
        *format_steps(layout),
    )


def _preflight(layout: Layout, content: Mapping[str, int]) -> Iterator[Step]:
    yield Phase(PhaseName.CHECK)
    efi = layout.firmware is Firmware.EFI
    yield Call("check_firmware", ("uefi" if efi else "bios",))
    yield from _choose(layout)
    for disk in layout.disks:
        if disk.keeps_table:
            yield from kept_steps(disk, layout, content=content)
        else:
            least = least_disk_bytes(disk, layout, content=content)
            yield Call("check_disk", (disk.device, str(least)))
    yield Call("check_layers", layout.written)
    yield from passphrase_steps(layout)
    yield Phase(PhaseName.PRE_INSTALL)
    yield Call("run_scripts", ("pre-install",))


def _choose(layout: Layout) -> Iterator[Step]:
    """Disks by rule, each of those that the layout has not named or chosen before."""
    taken = [disk.device for disk in layout.disks if disk.rule is None]
    for disk in layout.disks:
        if disk.rule is not None:
            words = (*disk.rule.words, *(f"except={device}" for device in taken))
            yield Call("choose_disk", (disk.device, *words))
            taken.append(disk.device)


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
