"""Whether the firmware finds the boot loader, and the boot loader the kernel.

Stage 4. Pure. A part of `si.layout.check`.
"""

from __future__ import annotations

from collections.abc import Iterator

from si.layout.model import (
    Bootloader,
    Crypt,
    Disk,
    Filesystem,
    Firmware,
    Flag,
    LabelType,
    Layout,
    Mount,
    Raid,
    RaidLevel,
    VolumeGroup,
    partition_path,
    volume_path,
)
from si.layout.pending import boot_firmware

Found = Iterator[tuple[int, str]]
_SYSTEMD = "systemd"
FLAVORS_NOW = ("grub2", "grub", _SYSTEMD)
_MIRRORS = (RaidLevel.MIRROR, RaidLevel.RAID10)
_READABLE_MEMBER = ("1.0", "0.90")
_SECTORS_OF_BIOS = (None, 512)


def boot_devices(layout: Layout) -> tuple[str, ...]:
    """The disks that get the boot loader: those named, else those that hold /boot."""
    if layout.bootloader is not None and layout.bootloader.devices:
        return layout.bootloader.devices
    return tuple(disk.device for disk in _boot_disks(layout))


def uses_systemd_boot(layout: Layout) -> bool:
    """Whether the image starts by systemd-boot, which reads kernels from the ESP alone."""
    return layout.bootloader is not None and layout.bootloader.flavor == _SYSTEMD


def bare_esps(layout: Layout) -> tuple[str, ...]:
    """EFI system partitions beside the one that is mounted: they get a copy of what is on it, so
    that the machine starts when the other disk is gone."""
    return tuple(
        path
        for path, (disk, part) in layout.partition_paths().items()
        if Flag.ESP in part.flags
        and not (disk.keep or part.keep)
        and layout.layer_on(path) is None
        and layout.filesystem_on(path) is None
    )


def boot_problems(layout: Layout) -> Found:
    """What would leave the installed system without a way to start."""
    if layout.bootloader is not None:
        yield from _loader(layout, layout.bootloader)
    boot = layout.mounted_at("/boot")
    if isinstance(boot, Mount):
        yield (
            boot.source_line,
            f"/boot is {boot.type}, which GRUB cannot read: put it on a partition",
        )
    if isinstance(boot, Filesystem) and layout.is_kept(boot.device):
        yield boot.source_line, "/boot is kept, so the image's kernel gets nowhere: remove keep"
    if not layout.circular_layers and not uses_systemd_boot(layout):
        yield from _kernel(layout)
    if boot_firmware(layout) is Firmware.EFI:
        yield from _efi(layout)
    else:
        yield from _bios(layout)


def boot_warnings(layout: Layout) -> Found:
    """What is done otherwise than one may think."""
    if layout.bootloader is not None:
        yield from _loader_warnings(layout.bootloader)
    if boot_firmware(layout) is Firmware.EFI:
        for disk in _boot_disks(layout):
            if not any(Flag.ESP in part.flags for part in disk.partitions):
                text = f"{disk.device} holds a part of /boot, but no ESP"
                yield disk.source_line, f"{text}: without the other disks it cannot start"


def _loader_warnings(bootloader: Bootloader) -> Found:
    line = bootloader.source_line
    if bootloader.default_entry not in (None, "0"):
        yield line, "default_entry is not used yet: the image's newest kernel is started"
    if bootloader.timeout_s is not None:
        used = "GRUB_TIMEOUT of the image's /etc/default/grub"
        if bootloader.flavor == _SYSTEMD:
            used = "what loader.conf says on the image's ESP"
        yield line, f"timeout is not used yet: {used} is"


def _loader(layout: Layout, bootloader: Bootloader) -> Found:
    line = bootloader.source_line
    if bootloader.flavor not in FLAVORS_NOW:
        yield line, f'flavor="{bootloader.flavor}" is not supported yet: write grub2'
    if bootloader.flavor == _SYSTEMD and bootloader.firmware is Firmware.LEGACY:
        yield line, 'flavor="systemd" starts by UEFI only: write install_type="efi", or grub2'
    disks = [disk.device for disk in layout.disks]
    for device in bootloader.devices if bootloader.firmware is Firmware.LEGACY else ():
        if device in layout.partition_paths():
            yield line, f"<target> {device} is a partition: name the whole disk"
        elif device not in disks:
            yield line, f"<target> {device} is no disk of this layout: {', '.join(disks)}"


def _kernel(layout: Layout) -> Found:
    """GRUB reads the kernel itself, before anything is asked for a passphrase."""
    entry = _kernels(layout)
    if entry is None:
        return
    below = _below(entry.device, layout)
    for layer in layout.layers:
        offered = [device for device in layer.devices if device in below]
        if isinstance(layer, Crypt) and offered:
            text = f"{entry.mount_point} lies in {layer.device}, which is encrypted"
            yield (
                entry.source_line,
                f"{text}, so that the boot loader cannot read it: give /boot a partition",
            )
        if isinstance(layer, VolumeGroup):
            for volume in layer.volumes:
                if volume.thin_pool is not None and volume_path(layer.name, volume.name) in below:
                    text = f"{volume.name} is thin, which GRUB cannot read"
                    yield entry.source_line, f"{text}: give /boot a partition or a plain volume"


def _below(device: str, layout: Layout) -> set[str]:
    """A device, and all that it lies on."""
    left, seen = [device], set[str]()
    while left:
        path = left.pop()
        if path not in seen:
            seen.add(path)
            layer = layout.layer_of(path)
            left += layer.holds if layer is not None else ()
    return seen


def _bios(layout: Layout) -> Found:
    yield from _mirror_without_loader(layout)
    for disk in layout.disks:
        if disk.device not in boot_devices(layout):
            continue
        if disk.keep:
            text = f"{disk.device} is kept, and so is its boot sector, where GRUB has to go"
            yield disk.source_line, f'{text}: write keep="yes" of its partitions instead'
        grub = any(Flag.BIOS_GRUB in part.flags for part in disk.partitions)
        if disk.label is LabelType.GPT and not grub:
            yield (
                disk.source_line,
                f'{disk.device}: GRUB on gpt needs a partition of 1 MiB with flags="bios_grub"',
            )
        if disk.sector not in _SECTORS_OF_BIOS:
            text = f"{disk.device} has sectors of {disk.sector} bytes, from which no BIOS starts"
            yield disk.source_line, f'{text}: write install_type="efi" and a flags="esp"'


def _mirror_without_loader(layout: Layout) -> Found:
    """Any disk of a mirrored /boot may be the one that is left."""
    entry = _kernels(layout)
    if layout.bootloader is None or entry is None:
        return
    below = _below(entry.device, layout)
    if any(raid.device in below and raid.level in _MIRRORS for raid in layout.raids):
        for disk in _boot_disks(layout):
            if disk.device not in boot_devices(layout):
                text = f"/boot is mirrored onto {disk.device}, which is no <target>"
                yield layout.bootloader.source_line, f"{text}: name it too, or none at all"


def _efi(layout: Layout) -> Found:
    line = layout.bootloader.source_line if layout.bootloader is not None else 1
    esps = [
        partition_path(disk.device, part.number)
        for disk in layout.disks
        for part in disk.partitions
        if Flag.ESP in part.flags
    ]
    if not esps:
        yield line, 'install_type="efi" needs a partition with flags="esp" and fs="vfat"'
        return
    made = False
    for path in esps:
        raid = layout.layer_on(path)
        filesystem = layout.filesystem_on(raid.device if isinstance(raid, Raid) else path)
        if isinstance(raid, Raid) and raid.metadata not in _READABLE_MEMBER:
            text = f"{path} is an ESP in {raid.device}, but firmware reads no member of it"
            yield raid.source_line, f'{text}: write metadata="1.0"'
        if filesystem is None or layout.is_kept(path):
            continue
        made = True
        if filesystem.type != "vfat":
            text = f'{path} has flags="esp" but fs="{filesystem.type}": firmware reads vfat only'
            yield filesystem.source_line, text
    if not made and all(layout.is_kept(path) for path in esps):
        text = f"the ESP {esps[0]} is kept, so that no boot loader gets onto it"
        yield line, f"{text}: add another one, with an <fsinfo> of its own, or remove keep"
    elif not made:
        text = f'no <fsinfo> for the ESP {esps[0]}: write one with mp="/boot/efi" and fs="vfat"'
        yield line, text


def _boot_disks(layout: Layout) -> tuple[Disk, ...]:
    """Those that hold a part of /boot."""
    entry = _kernels(layout)
    return layout.disks_below(entry.device) if entry is not None else ()


def _kernels(layout: Layout) -> Filesystem | None:
    """What GRUB reads the kernels from."""
    entry = layout.mounted_at("/boot") or layout.mounted_at("/")
    return entry if isinstance(entry, Filesystem) else None
