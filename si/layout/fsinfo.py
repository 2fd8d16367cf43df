"""Reads <fsinfo> of either dialect: file systems, other mounts, comment lines.

Stage 4. Pure. A line becomes a `Filesystem` when BOEL makes it or could make it, a `Mount` when
only the installed system mounts it, a `Comment` when fstab shall hold it as it is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lxml import etree

from si.layout.faults import Attributes, Faults, line_of
from si.layout.model import Comment, Entry, Filesystem, FilesystemType, Mount, Subvolume

NO_ORDER = 0
"""Stands for a `line` that is missing; `arrange` puts such entries last."""

_ATTRIBUTES = (
    *("real_dev", "mount_dev", "mp", "fs", "mkfs_opts", "options"),
    *("dump", "pass", "format", "label"),
)
_FAT_SIZES = {"fat12": "-F 12", "fat16": "-F 16", "fat32": "-F 32", "fat": "", "msdos": ""}
_LATER = ("f2fs", "zfs", "bcachefs", "nilfs2")
_NO_MKFS = ("jfs", "reiserfs", "reiser4", "ntfs", "exfat", "hfsplus", "ufs", "minix")
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._,-]{0,63}")
_VOLATILE_SOURCES = ("PARTUUID", "PARTLABEL", "ID")


@dataclass(frozen=True, slots=True)
class _Line:
    """The attributes of an <fsinfo> that is no comment."""

    order: int
    device: str | None
    source: str | None
    mount_point: str
    type: str
    options: str
    dump: int
    fsck_pass: int
    format: bool
    label: str | None
    mkfs_opts: str


def read_fsinfo(element: etree._Element, faults: Faults, names: Mapping[str, str]) -> Entry | None:
    """The entry, None when nothing can be made of it.

    `names` holds the path of every device of the layout, by all the paths that it may go by.
    """
    found = Attributes(element, faults)
    order = found.number("line", least=1) or NO_ORDER
    comment = found.raw("comment")
    entry: Entry | None = None
    if comment is not None:
        entry = _read_comment(found, order, comment)
    else:
        line = _read_line(found, order, names)
        entry = _make_entry(found, line, names) if line is not None else None
    found.finish()
    subvolumes = tuple(_read_subvolumes(element, faults))
    if isinstance(entry, Filesystem):
        return replace(entry, subvolumes=subvolumes)
    return entry


def arrange(entries: list[Entry], faults: Faults) -> tuple[Entry, ...]:
    """Entries in the order of their numbers; those without one go last, equal ones stay as is."""
    last = max([NO_ORDER, *(entry.order for entry in entries)])
    seen: dict[int, int] = {}
    numbered: list[Entry] = []
    for entry in entries:
        if entry.order == NO_ORDER:
            last += 10
            entry = replace(entry, order=last)
        elif entry.order in seen:
            where = seen[entry.order]
            text = f'line="{entry.order}" stands on line {where} already: give it another number'
            faults.warning(entry.source_line, text)
        seen[entry.order] = entry.source_line
        numbered.append(entry)
    return tuple(sorted(numbered, key=lambda entry: entry.order))


def _read_comment(found: Attributes, order: int, text: str) -> Comment:
    for name in _ATTRIBUTES:
        if found.text(name) is not None:
            found.warning(f"ignored: {name}, because a line with comment holds nothing else")
    if any(not (char.isprintable() or char == "\t") for char in text):
        found.problem("comment holds a line break or a control character: write one line")
    return Comment(order, text.rstrip(), found.line)


def _read_subvolumes(element: etree._Element, faults: Faults) -> Iterator[Subvolume]:
    for child in element:
        if child.tag == "subvolume":
            found = Attributes(child, faults)
            name = found.required("name", "@home")
            where, options = found.text("mp"), found.text("options") or ""
            found.finish()
            if name is not None:
                yield Subvolume(name.strip("/"), where, options, found.line)
        elif isinstance(child.tag, str):
            faults.unknown(line_of(child), f"<fsinfo> holds <subvolume> only, not <{child.tag}>")


def _read_line(found: Attributes, order: int, names: Mapping[str, str]) -> _Line | None:
    device, source = found.text("real_dev"), found.text("mount_dev")
    mount_point = found.required("mp", "/home")
    type_text = found.required("fs", "ext4")
    options = found.text("options") or "defaults"
    dump, fsck_pass = found.number("dump"), found.number("pass")
    keep = found.yes("format") is False
    label = found.text("label")
    mkfs_opts = found.text("mkfs_opts") or ""
    if mount_point is None or type_text is None:
        return None
    if _TYPE.fullmatch(type_text) is None:
        found.problem(f'fs="{type_text}" is no type of a file system: write one like ext4')
        return None
    if mount_point == "none" and type_text.lower() == "swap":
        mount_point = "swap"
    return _Line(
        order,
        names.get(device, device) if device is not None else None,
        _plain_source(found, source),
        mount_point,
        type_text.lower(),
        "defaults" if options == "default" else options,
        dump or 0,
        fsck_pass or 0,
        not keep,
        label,
        mkfs_opts,
    )


def _plain_source(found: Attributes, text: str | None) -> str | None:
    """LABEL=... and UUID=... with the key in capitals; a device path says no more than real_dev."""
    if text is None:
        return None
    key, equals, value = text.partition("=")
    key, value = key.strip().upper(), value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if not equals or key not in ("LABEL", "UUID", *_VOLATILE_SOURCES):
        return text
    if not value:
        found.problem(f'mount_dev="{text}" names nothing: write one like LABEL=data, or none')
        return None
    return f"{key}={value}"


def _make_entry(found: Attributes, line: _Line, names: Mapping[str, str]) -> Entry | None:
    plain_type = "vfat" if line.type in _FAT_SIZES else line.type
    makeable = plain_type in tuple(FilesystemType)
    ours = line.device in names
    if makeable and (line.format or ours):
        return _make_filesystem(found, line, FilesystemType(plain_type))
    if line.format:
        _refuse_unmakeable(found, line, ours=ours)
    source = line.source or line.device or line.type
    return Mount(
        line.order,
        source,
        line.mount_point,
        line.type,
        line.options,
        line.dump,
        line.fsck_pass,
        found.line,
    )


def _make_filesystem(
    found: Attributes, line: _Line, filesystem_type: FilesystemType
) -> Filesystem | None:
    if line.device is None:
        found.problem('real_dev is missing: write the device, like real_dev="/dev/vda2"')
        return None
    source = line.source
    if source is not None and not source.startswith(("LABEL=", "UUID=")):
        if source != line.device:
            found.warning(f'mount_dev="{source}" is not kept: fstab will mount by UUID')
        source = None
    try:
        words = shlex.split(line.mkfs_opts)
    except ValueError as error:
        found.problem(f"mkfs_opts: {error}")
        words = []
    fat_words = _FAT_SIZES.get(line.type, "").split()
    return Filesystem(
        order=line.order,
        device=line.device,
        mount_point=line.mount_point,
        type=filesystem_type,
        mount_source=source,
        label=None if source is not None and source.startswith("LABEL=") else line.label,
        options=line.options,
        dump=line.dump,
        fsck_pass=line.fsck_pass,
        format=line.format,
        mkfs_opts=shlex.join([*(() if "-F" in words else fat_words), *words]),
        source_line=found.line,
    )


def _refuse_unmakeable(found: Attributes, line: _Line, *, ours: bool) -> None:
    """Note a type on a disk of which no file system can be made; proc and nfs pass."""
    if line.type in _LATER:
        found.problem(f'fs="{line.type}" is not supported yet: write ext4, xfs or btrfs')
    elif ours or line.type in _NO_MKFS:
        found.problem(
            f'fs="{line.type}" cannot be made: write ext4, xfs or vfat, '
            'or format="no" to have it in fstab only'
        )
