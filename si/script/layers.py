"""Steps that make arrays, encryption and volume groups, and what the new system must know of them.

Stage 5. Pure. The layers come in the order in which they stand on one another. Whatever they hold
from an earlier install is wiped as soon as it shows: an array made anew of the same partitions
shows the file system that was on it.
"""

from __future__ import annotations

from collections.abc import Iterator

from si.layout.model import (
    Crypt,
    Fixed,
    Layout,
    LogicalVolume,
    Percent,
    Raid,
    RaidLevel,
    Rest,
    VolumeGroup,
    mapper_path,
    volume_path,
)
from si.script.identifiers import crypt_variable, raid_variable
from si.script.steps import (
    Arithmetic,
    Assign,
    Call,
    Capture,
    Command,
    Comment,
    Heredoc,
    Step,
    Variable,
    Word,
)

_WITH_PARITY = (RaidLevel.RAID4, RaidLevel.RAID5, RaidLevel.RAID6)
_NO_BITMAP = (RaidLevel.LINEAR, RaidLevel.STRIPE)
_STATE = "/run/boel"


def layer_steps(layout: Layout) -> Iterator[Step]:
    """mdadm, cryptsetup and LVM, from the bottom up."""
    for layer in layout.layers:
        match layer:
            case Raid():
                yield from _raid(layer)
            case Crypt():
                yield from _crypt(layer)
            case VolumeGroup():
                yield from _group(layer)


def passphrase_steps(layout: Layout) -> Iterator[Step]:
    """Passphrases are asked for before anything is written."""
    for crypt in layout.crypts:
        kind, _colon, file = crypt.key.partition(":")
        yield Call("get_passphrase", (crypt.name, *((file,) if kind == "file" else ())))


def storage_files(layout: Layout) -> Iterator[Step]:
    """What mdadm.conf and crypttab of the new system say; the image's own speak of others."""
    if layout.raids:
        yield Heredoc(f"{_STATE}/arrays", tuple(_array_line(raid) for raid in layout.raids))
    if layout.crypts:
        yield Heredoc(f"{_STATE}/crypttab", tuple(_crypttab_line(each) for each in layout.crypts))


def root_name(device: str, layout: Layout) -> str | None:
    """How an initramfs is told of a device that it has to open first; None: by UUID.

    An initramfs opens the volume or container that the kernel command line names; of a UUID it
    could not tell where to look. Arrays are assembled as their members appear.
    """
    for crypt in layout.crypts:
        if crypt.device == device:
            return device
    for group in layout.volume_groups:
        for volume in group.volumes:
            if volume_path(group.name, volume.name) == device:
                return mapper_path(group.name, volume.name)
    return None


def _raid(raid: Raid) -> Iterator[Step]:
    members = len(raid.members)
    yield Comment((f"{raid.device}: RAID {raid.level} of {members} devices",))
    # Nothing that counts is on the disks, so copies need no comparing; parity must be right.
    clean = () if raid.level in _WITH_PARITY else ("--assume-clean",)
    words: list[Word] = [
        *("mdadm", "--create", raid.device, "--run", "--quiet", *clean),
        *("--homehost=any", f"--level={raid.level}", f"--metadata={raid.metadata}"),
        ("--uuid=", Variable(raid_variable(raid))),
        f"--raid-devices={members}",
    ]
    if raid.spares:
        words.append(f"--spare-devices={len(raid.spares)}")
    if raid.chunk is not None:
        words.append(f"--chunk={raid.chunk // 1024}K")
    if raid.layout is not None:
        words.append(f"--layout={raid.layout}")
    if raid.level not in _NO_BITMAP:
        # mdadm asks, unless it is told; a small array is compared as a whole in no time.
        words.append("--bitmap=none" if raid.metadata == "0.90" else "--bitmap=internal")
    yield Command((*words, *raid.members, *raid.spares))
    yield Call("wait_for", (raid.device,))
    yield Command(("wipefs", "--all", "--quiet", raid.device))


def _crypt(crypt: Crypt) -> Iterator[Step]:
    yield Comment((f"{crypt.device}: LUKS2 on {crypt.on}",))
    key = ("--key-file", f"{_STATE}/keys/{crypt.name}")
    cost: list[Word] = ["--pbkdf", str(crypt.pbkdf)]
    if crypt.memory_kib is not None:
        cost += ["--pbkdf-memory", str(crypt.memory_kib)]
    if crypt.iterations is not None:
        cost += ["--pbkdf-force-iterations", str(crypt.iterations)]
    elif crypt.iter_time_ms is not None:
        cost += ["--iter-time", str(crypt.iter_time_ms)]
    yield Command(
        (
            *("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", *cost),
            *("--uuid", (Variable(crypt_variable(crypt)),), *key, crypt.on),
        )
    )
    yield Command(("cryptsetup", "open", *key, crypt.on, crypt.name))
    yield Call("wait_for", (crypt.device,))


def _group(group: VolumeGroup) -> Iterator[Step]:
    yield Comment((f"volume group {group.name}",))
    yield Command(("lvm", "pvcreate", "--quiet", "--yes", "--force", "--force", *group.members))
    extent = () if group.extent is None else ("--physicalextentsize", f"{group.extent}b")
    yield Command(("lvm", "vgcreate", "--quiet", "--yes", *extent, group.name, *group.members))
    # What is left over is known only when all others have taken theirs.
    for volume in sorted(group.volumes, key=_turn):
        yield from _volume(volume, group)
    if group.devices:
        yield Call("wait_for", group.devices)


def _turn(volume: LogicalVolume) -> int:
    if volume.thin_pool is not None:
        return 2
    return int(isinstance(volume.size, Rest))


def _volume(volume: LogicalVolume, group: VolumeGroup) -> Iterator[Step]:
    lvcreate: list[Word] = [*("lvm", "lvcreate", "--quiet", "--yes", "--name", volume.name)]
    if volume.is_pool:
        lvcreate += ["--type", "thin-pool"]
    elif volume.thin_pool is None:
        lvcreate += ["--wipesignatures", "y"]
    match volume.size:
        case Fixed(size) if volume.thin_pool is not None:
            pool = ("--type", "thin", "--thinpool", volume.thin_pool)
            lvcreate += [*pool, "--virtualsize", f"{size}b"]
        case Fixed(size):
            lvcreate += ["--size", f"{size}b"]
        case Rest():
            lvcreate += ["--extents", "100%FREE"]
        case Percent(hundredths) if hundredths % 100 == 0:
            lvcreate += ["--extents", f"{hundredths // 100}%VG"]
        case Percent(hundredths):
            yield Capture(
                "extents",
                ("lvm", "vgs", "--noheadings", "--options", "vg_extent_count", group.name),
            )
            yield Assign("extents", Arithmetic(f"extents * {hundredths} / 10000"))
            lvcreate += ["--extents", (Variable("extents"),)]
    yield Command((*lvcreate, *volume.options.split(), group.name))


def _array_line(raid: Raid) -> Word:
    return (
        f"ARRAY {raid.device} metadata={raid.metadata} UUID=",
        Variable(raid_variable(raid)),
    )


def _crypttab_line(crypt: Crypt) -> Word:
    return (f"{crypt.name} UUID=", Variable(crypt_variable(crypt)), f" none {crypt.options}")
