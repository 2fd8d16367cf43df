"""Steps that make and mount file systems, and the lines of fstab.

Stage 5. Pure. The features of ext file systems are listed one by one: BOEL's mke2fs may be newer
than the kernel, GRUB and e2fsck of the image, and must not give them a file system they cannot
read. UUIDs come from the header, so that fstab is known before a file system exists.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace

from si.layout.check import bare_esps
from si.layout.model import Comment as CommentLine
from si.layout.model import Entry, Filesystem, FilesystemType, Firmware, Layout, Subvolume
from si.script.identifiers import esp_variable, filesystem_variable
from si.script.steps import Command, Let, Part, Step, Variable, Word

DESTINATION = "/a"
"""Where the new system is mounted in BOEL."""

_EXT2 = "none,ext_attr,resize_inode,dir_index,filetype,sparse_super,large_file"
_EXT3 = f"{_EXT2},has_journal"
_EXT4 = f"{_EXT3},extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize"
_EXT_FEATURES = {
    FilesystemType.EXT2: _EXT2,
    FilesystemType.EXT3: _EXT3,
    FilesystemType.EXT4: _EXT4,
}
# What would keep the install from writing, or post-install scripts in /tmp from running.
_NOT_FOR_INSTALL = frozenset(
    (
        *("defaults", "ro", "rw", "auto", "noauto", "noexec", "nosuid", "nodev", "sync"),
        *("dirsync", "user", "users", "nouser", "owner", "group", "nofail", "_netdev"),
        *("usrquota", "grpquota", "quota", "noquota"),
    )
)
_NOT_FOR_INSTALL_PREFIXES = (
    *("errors=", "x-", "X-", "comment="),
    *("usrjquota=", "grpjquota=", "jqfmt="),
)


def format_steps(layout: Layout) -> Iterator[Step]:
    """mkfs and mkswap, swap first: from there on the install has it."""
    made = _made(layout)
    for kind, features in _EXT_FEATURES.items():
        if any(filesystem.type is kind for filesystem in made):
            yield Let(_features_variable(kind), features)
    for filesystem in sorted(made, key=lambda f: f.type is not FilesystemType.SWAP):
        yield Command(_mkfs(filesystem, layout))
        yield from _make_subvolumes(filesystem)
    for path in bare_esps(layout) if layout.firmware is Firmware.EFI else ():
        number = _without_hyphen((Variable(esp_variable(path)),))
        yield Command(("mkfs.vfat", "-F", "32", "-i", number, path))


def mount_steps(layout: Layout) -> Iterator[Step]:
    """swapon and mount, a directory always before what lies in it."""
    made = _made(layout)
    for filesystem in made:
        if filesystem.type is FilesystemType.SWAP:
            yield Command(("swapon", filesystem.device))
    mounted = [each for f in made if f.type is not FilesystemType.SWAP for each in _mounts(f)]
    for place, options, filesystem in sorted(mounted, key=lambda m: m[0].rstrip("/").split("/")):
        where = DESTINATION + place.rstrip("/")
        yield Command(("mkdir", "-p", where))
        words = ("-o", ",".join(options)) if options else ()
        yield Command(("mount", "-t", str(filesystem.type), *words, filesystem.device, where))


def mounted_subvolume(filesystem: Filesystem, mount_point: str) -> Subvolume | None:
    """The btrfs subvolume that is mounted at a point."""
    return next((s for s in filesystem.subvolumes if s.mount_point == mount_point), None)


def fstab_lines(layout: Layout) -> Iterator[Word]:
    """The lines of the new system's fstab."""
    for entry in layout.entries:
        if isinstance(entry, CommentLine):
            yield entry.text
        elif isinstance(entry, Filesystem):
            yield from _filesystem_lines(entry, layout)
        else:
            yield _escape(entry.source) + _fields(entry)


def uuid_word(filesystem: Filesystem, layout: Layout) -> tuple[Part, ...]:
    """The UUID that the install gives a file system that it makes."""
    variable = filesystem_variable(layout, filesystem)
    if variable is not None:
        return (Variable(variable),)
    assert filesystem.chosen_uuid is not None
    return (filesystem.chosen_uuid,)


def _made(layout: Layout) -> list[Filesystem]:
    return [filesystem for filesystem in layout.filesystems if layout.is_made(filesystem)]


def _mkfs(filesystem: Filesystem, layout: Layout) -> tuple[Word, ...]:
    uuid = uuid_word(filesystem, layout)
    label = filesystem.volume_label
    options = shlex.split(filesystem.mkfs_opts)
    match filesystem.type:
        case FilesystemType.SWAP:
            words: tuple[Word, ...] = ("mkswap", "-f", "-U", uuid)
            flag = "-L"
        case FilesystemType.XFS:
            words = ("mkfs.xfs", "-q", "-f", "-m", ("uuid=", *uuid))
            flag = "-L"
        case FilesystemType.VFAT:
            words = ("mkfs.vfat", *_fat_size(options), "-i", _without_hyphen(uuid))
            flag = "-n"
        case FilesystemType.BTRFS:
            words = ("mkfs.btrfs", "-q", "-f", "-U", uuid)
            flag = "-L"
        case ext:
            words = (
                f"mkfs.{ext}",
                "-q",
                "-F",
                "-O",
                (Variable(_features_variable(ext)),),
                "-U",
                uuid,
            )
            flag = "-L"
    labelled = (flag, label) if label is not None else ()
    return (*words, *labelled, *options, filesystem.device)


def _make_subvolumes(filesystem: Filesystem) -> Iterator[Step]:
    """Outer ones before inner ones, from the top level of their file system."""
    if not filesystem.subvolumes:
        return
    yield Command(("mkdir", "-p", DESTINATION))
    yield Command(("mount", "-t", "btrfs", filesystem.device, DESTINATION))
    folders = {DESTINATION}
    for name in sorted(sub.name for sub in filesystem.subvolumes):
        path = f"{DESTINATION}/{name}"
        folder = path.rpartition("/")[0]
        if folder not in folders:
            yield Command(("mkdir", "-p", folder))
        folders |= {folder, path}
        yield Command(("btrfs", "--quiet", "subvolume", "create", path))
    yield Command(("umount", DESTINATION))


def _mounts(filesystem: Filesystem) -> Iterator[tuple[str, list[str], Filesystem]]:
    """Where a file system and its subvolumes are mounted, and how."""
    own = mounted_subvolume(filesystem, filesystem.mount_point)
    if own is None:
        # Without it, setting an owner or a mode that FAT cannot keep would be an error.
        fat = ["quiet"] if filesystem.type is FilesystemType.VFAT else []
        yield filesystem.mount_point, _install_options(filesystem.options) + fat, filesystem
    for sub in filesystem.subvolumes:
        if sub.mount_point is not None:
            options = _install_options(_subvolume_options(sub, filesystem))
            yield sub.mount_point, options, filesystem


def _subvolume_options(sub: Subvolume, filesystem: Filesystem) -> str:
    """The options of one mount; those of the document may name a subvolume of old."""
    words = (sub.options or filesystem.options).split(",")
    kept = [word for word in words if not word.startswith(("subvol=", "subvolid="))]
    return ",".join((f"subvol=/{sub.name}", *(word for word in kept if word != "defaults")))


def _filesystem_lines(filesystem: Filesystem, layout: Layout) -> Iterator[Word]:
    own = mounted_subvolume(filesystem, filesystem.mount_point)
    first = filesystem
    if own is not None:
        first = replace(filesystem, options=_subvolume_options(own, filesystem))
    yield (*_source(filesystem, layout), _fields(first))
    for sub in filesystem.subvolumes:
        if sub.mount_point is not None and sub is not own:
            options = _subvolume_options(sub, filesystem)
            line = replace(filesystem, mount_point=sub.mount_point, options=options)
            yield (*_source(filesystem, layout), _fields(line))


def _features_variable(kind: FilesystemType) -> str:
    return f"{kind}_features"


def _fat_size(options: list[str]) -> tuple[str, ...]:
    return () if "-F" in options else ("-F", "32")


def _without_hyphen(uuid: tuple[Part, ...]) -> Word:
    """mkfs.vfat wants XXXXXXXX for what everything else calls XXXX-XXXX."""
    (only,) = uuid
    if isinstance(only, Variable):
        return (Variable(only.name, "%-*"), Variable(only.name, "#*-"))
    return str(only).replace("-", "")


def _install_options(options: str) -> list[str]:
    return [
        word
        for word in options.split(",")
        if word and word not in _NOT_FOR_INSTALL and not word.startswith(_NOT_FOR_INSTALL_PREFIXES)
    ]


def _source(filesystem: Filesystem, layout: Layout) -> tuple[Part, ...]:
    if filesystem.mount_source is not None:
        return (_escape(filesystem.mount_source),)
    if not layout.is_made(filesystem):
        return (_escape(filesystem.device),)
    return ("UUID=", *uuid_word(filesystem, layout))


def _fields(entry: Entry) -> str:
    """All fields but the first, as fstab(5) has them."""
    assert not isinstance(entry, CommentLine)
    where = "none" if entry.mount_point == "swap" else _escape(entry.mount_point)
    return f" {where} {entry.type} {entry.options} {entry.dump} {entry.fsck_pass}"


def _escape(text: str) -> str:
    escapes = {"\\": "\\134", " ": "\\040", "\t": "\\011", "#": "\\043"}
    return "".join(escapes.get(char, char) for char in text)
