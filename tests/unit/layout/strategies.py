"""Layouts as hypothesis makes them: sound ones, of every kind that a document can say."""

from __future__ import annotations

import dataclasses

from hypothesis import strategies as st

from si.layout.model import (
    Bootloader,
    Comment,
    Crypt,
    Disk,
    DiskRule,
    Entry,
    Filesystem,
    FilesystemType,
    Firmware,
    Fixed,
    Flag,
    LabelType,
    Layout,
    LogicalVolume,
    Mount,
    Partition,
    PartitionKind,
    Pbkdf,
    Percent,
    Pick,
    Raid,
    RaidLevel,
    Rest,
    Size,
    Subvolume,
    VolumeGroup,
    partition_path,
)

MIB = 1024 * 1024
DEVICES = ("/dev/vda", "/dev/nvme0n1", "/dev/cciss/c0d0", "/dev/disk/by-id/ata-X_1", "/dev/sdaa")
CHOSEN = "/dev/si/system"
WORD = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
LABEL = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=11)
FIXED = st.builds(Fixed, st.integers(100 * MIB, 3000 * MIB))
PERCENT = st.builds(Percent, st.integers(500, 2000))
NAMES = st.one_of(st.none(), WORD.filter(lambda text: text != "-"))


@st.composite
def sizes(draw: st.DrawFn, count: int) -> list[Size]:
    """Sizes of one row: at most one rest, percentages that leave something."""
    row: list[Size] = [draw(st.one_of(FIXED, PERCENT)) for _ in range(count)]
    rest = draw(st.one_of(st.none(), st.integers(0, count - 1))) if count else None
    if rest is not None:
        row[rest] = Rest()
    return row


@st.composite
def gpt_disks(draw: st.DrawFn, device: str, *, most: tuple[int, ...] = (10**12,)) -> Disk:
    """GPT, numbers in any order and with gaps; a size that varies may be bound by one of `most`."""
    count = draw(st.integers(1, 5))
    numbers = draw(st.lists(st.integers(2, 9), min_size=count, max_size=count, unique=True))
    grub = Partition(1, Fixed(MIB), flags=(Flag.BIOS_GRUB,))
    parts = [
        Partition(
            number,
            size,
            flags=draw(st.sampled_from([(), (Flag.HIDDEN,), (Flag.LEGACY_BOOT,)])),
            name=draw(NAMES),
            type_id=draw(st.sampled_from([None, "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"])),
            least=None if isinstance(size, Fixed) else draw(st.sampled_from([None, 64 * MIB])),
            most=None if isinstance(size, Fixed) else draw(st.sampled_from([None, *most])),
        )
        for number, size in zip(numbers, draw(sizes(count)), strict=True)
    ]
    return Disk(
        device,
        LabelType.GPT,
        (grub, *parts),
        draw(CAPACITY),
        rule=draw(RULES) if device.startswith("/dev/si/") else None,
        alignment=draw(st.sampled_from([MIB, 4 * MIB])),
        sector=draw(st.sampled_from([None, 512])),
    )


@st.composite
def msdos_disks(draw: st.DrawFn, device: str, *, most: tuple[int, ...] = (10**12,)) -> Disk:
    """msdos, perhaps with logical partitions, always room for a root."""
    count = draw(st.integers(1, 3))
    numbers = draw(st.lists(st.integers(1, 4), min_size=count, max_size=count, unique=True))
    row = [
        Partition(number, size, type_id=draw(st.sampled_from([None, "83", "0c"])))
        for number, size in zip(numbers, draw(sizes(count)), strict=True)
    ]
    if draw(st.booleans()):
        at = draw(st.integers(0, count - 1))
        # An extended partition of a fixed size would have to be large enough.
        rest = not any(isinstance(part.size, Rest) for part in row)
        size = Rest() if rest else row[at].size
        if isinstance(size, Rest):
            row[at] = Partition(row[at].number, size, PartitionKind.EXTENDED)
            inner = draw(sizes(draw(st.integers(1, 4))))
            row += [Partition(5 + n, s, PartitionKind.LOGICAL) for n, s in enumerate(inner)]
    row = [
        part
        # What lies in a bound extended partition may be more than it.
        if isinstance(part.size, Fixed) or part.kind is PartitionKind.EXTENDED
        else dataclasses.replace(part, most=draw(st.sampled_from([None, *most])))
        for part in row
    ]
    alignment = draw(st.sampled_from([MIB, 4 * MIB]))
    return Disk(device, LabelType.MSDOS, tuple(row), draw(CAPACITY), alignment=alignment)


RULES = st.builds(
    DiskRule,
    st.one_of(st.none(), st.sampled_from(Pick)),
    st.sampled_from([None, True, False]),
    st.sampled_from([0, 2**34, 10**10]),
    st.sampled_from([None, "boot"]),
).filter(lambda rule: rule.words != ())
CAPACITY = st.one_of(st.none(), st.integers(2**50, 2**52))


@st.composite
def disks(draw: st.DrawFn) -> Disk:
    """One disk of either kind."""
    device = draw(st.sampled_from(DEVICES))
    most = (101 * MIB, 256 * MIB + 5, 10**12)
    return draw(st.one_of(gpt_disks(device, most=most), msdos_disks(device, most=most)))


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """A layout in which every file system has a partition and there is a root."""
    devices = draw(st.lists(st.sampled_from(DEVICES), min_size=1, max_size=2, unique=True))
    made = tuple(draw(st.one_of(gpt_disks(device), msdos_disks(device))) for device in devices)
    if draw(st.booleans()):
        made = (*made, draw(gpt_disks(CHOSEN)))
    places = [
        partition_path(disk.device, part.number)
        for disk in made
        for part in disk.partitions
        if part.kind is not PartitionKind.EXTENDED and Flag.BIOS_GRUB not in part.flags
    ]
    places = list(draw(st.permutations(places)))
    entries: list[Entry] = [_root(places[0])]
    raids, crypts, groups, places = draw(layers(places))
    for number, place in enumerate(places[1:]):
        entries.append(draw(_filesystems(place, number)))
    entries += draw(st.lists(st.one_of(_MOUNTS, _COMMENTS), max_size=3))
    entries = [
        _numbered(entry, 10 * n + 10) for n, entry in enumerate(draw(st.permutations(entries)))
    ]
    bootloader = draw(st.one_of(st.none(), st.just(Bootloader("grub2", Firmware.LEGACY, ()))))
    return Layout(made, tuple(entries), bootloader, raids, crypts, groups)


Layers = tuple[tuple[Raid, ...], tuple[Crypt, ...], tuple[VolumeGroup, ...], list[str]]


@st.composite
def layers(draw: st.DrawFn, places: list[str]) -> Layers:
    """Arrays, encryption and groups on the places after the first, and the places then left."""
    root, *free = places
    raids, crypts, groups = [], [], []
    if len(free) >= 2 and draw(st.booleans()):
        raids.append(draw(_raids(free.pop(), free.pop())))
        free.append(raids[0].device)
    if draw(st.booleans()) and free:
        crypts.append(draw(_crypts(free.pop())))
        free.append(crypts[0].device)
    if draw(st.booleans()) and free:
        groups.append(draw(_groups(free.pop())))
        free += groups[0].devices
    return tuple(raids), tuple(crypts), tuple(groups), [root, *free]


@st.composite
def _raids(draw: st.DrawFn, first: str, second: str) -> Raid:
    level = draw(st.sampled_from([RaidLevel.MIRROR, RaidLevel.STRIPE, RaidLevel.RAID10]))
    chunk = draw(st.sampled_from([None, 65536])) if level is not RaidLevel.MIRROR else None
    return Raid(
        draw(st.sampled_from(["/dev/md0", "/dev/md127", "/dev/md/data"])),
        level,
        (first, second),
        metadata=draw(st.sampled_from(["1.2", "1.0"])),
        chunk=chunk,
        layout="n2" if level is RaidLevel.RAID10 else None,
    )


@st.composite
def _crypts(draw: st.DrawFn, device: str) -> Crypt:
    argon = draw(st.booleans())
    passes = draw(st.sampled_from([None, 1000]))
    return Crypt(
        "secret-1",
        device,
        key=draw(st.sampled_from(["prompt", "file:office"])),
        pbkdf=Pbkdf.ARGON2ID if argon else Pbkdf.PBKDF2,
        memory_kib=draw(st.sampled_from([None, 65536, 100])) if argon else None,
        iterations=passes,
        iter_time_ms=draw(st.sampled_from([None, 500])) if passes is None else None,
        options=draw(st.sampled_from(["luks", "luks,discard"])),
    )


@st.composite
def _groups(draw: st.DrawFn, device: str) -> VolumeGroup:
    volumes = [LogicalVolume("a-b", Fixed(8 * MIB), options=draw(st.sampled_from(["", "-W y"])))]
    if draw(st.booleans()):
        volumes.append(LogicalVolume("share", Percent(draw(st.integers(1, 2000)))))
    if draw(st.booleans()):
        volumes.append(LogicalVolume("pool", Fixed(4 * MIB), is_pool=True))
        volumes.append(LogicalVolume("thin", Fixed(2**40), thin_pool="pool"))
    elif draw(st.booleans()):
        volumes.append(LogicalVolume("rest", Rest()))
    extent = draw(st.sampled_from([None, MIB, 4 * MIB]))
    return VolumeGroup("vg-0", (device,), extent, tuple(volumes))


def _root(device: str) -> Filesystem:
    return Filesystem(0, device, "/", FilesystemType.EXT4, fsck_pass=1)


def _numbered(entry: Entry, order: int) -> Entry:
    return dataclasses.replace(entry, order=order)


@st.composite
def _filesystems(draw: st.DrawFn, device: str, number: int) -> Filesystem:
    kind = draw(st.sampled_from(FilesystemType))
    # A number makes labels unique, as they must be.
    label = draw(st.one_of(st.none(), LABEL.map(lambda text: f"{number}{text}"[:11])))
    by_label = label is not None and draw(st.booleans())
    # What BOEL alone has a name for is made by it, or mounted by another name.
    named = by_label or not device.startswith(CHOSEN)
    keep = kind is not FilesystemType.SWAP and named and draw(st.booleans())
    return Filesystem(
        order=0,
        device=device,
        mount_point="swap" if kind is FilesystemType.SWAP else f"/d{number}/{draw(PATH)}",
        type=kind,
        mount_source=f"LABEL={label}" if by_label else None,
        label=None if by_label else label,
        options=draw(st.sampled_from(["defaults", "ro,noatime", 'x-y="a"&<b>'])),
        dump=draw(st.integers(0, 1)),
        fsck_pass=draw(st.integers(0, 2)),
        format=not keep,
        mkfs_opts=draw(st.sampled_from(["", "-m 0", "-N '1 2'"])),
        subvolumes=draw(_subvolumes(number)) if kind is FilesystemType.BTRFS else (),
    )


@st.composite
def _subvolumes(draw: st.DrawFn, number: int) -> tuple[Subvolume, ...]:
    found = (
        Subvolume("@", f"/s{number}"),
        Subvolume("@home", f"/h{number}", "noatime"),
        Subvolume("var/log"),
    )
    return found[: draw(st.integers(0, 3))]


PATH = WORD.filter(lambda text: "/" not in text and text not in (".", ".."))
_MOUNTS = st.builds(
    Mount,
    order=st.just(0),
    source=st.sampled_from(["tmpfs", "s:/export", "/dev/sr0", "LABEL=stick", "//srv/x"]),
    mount_point=st.uuids().map(lambda unique: f"/m/{unique}"),
    type=st.sampled_from(["tmpfs", "nfs", "udf,iso9660", "cifs"]),
    options=st.sampled_from(["defaults", "noauto,user"]),
)
_COMMENTS = st.builds(
    Comment,
    order=st.just(0),
    text=st.text(
        st.one_of(
            st.characters(codec="utf-8", exclude_categories=("C", "Z")), st.sampled_from(" \t")
        ),
        max_size=30,
    ).map(str.rstrip),
)
