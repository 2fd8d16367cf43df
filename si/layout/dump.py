"""A `Layout` as XML in our own dialect, made for people to read and edit.

Stage 4. Pure. `load_layout(dump_layout(x))` gives `x` again, and schemas/layout.xsd accepts it.
"""

from __future__ import annotations

from lxml import etree

from si.layout.dump_layers import add_layers
from si.layout.model import (
    MIB,
    Bootloader,
    Comment,
    Disk,
    DiskRule,
    Entry,
    Filesystem,
    Fixed,
    Layout,
    Mount,
    Partition,
)
from si.layout.sizes import format_bytes, format_size


def dump_layout(layout: Layout) -> str:
    """The document of `layout`, ending in a newline."""
    root = etree.Element("config", {"format": "1"})
    for disk in layout.disks:
        _add_disk(root, disk)
    add_layers(root, layout)
    if layout.bootloader is not None:
        _add_bootloader(root, layout.bootloader)
    for entry in layout.entries:
        element = etree.SubElement(root, "fsinfo", _entry_attributes(entry))
        if isinstance(entry, Filesystem):
            _add_subvolumes(element, entry)
    etree.indent(root)
    return etree.tostring(root, encoding="unicode") + "\n"


def _add_disk(root: etree._Element, disk: Disk) -> None:
    attributes = {"dev": disk.device, "label_type": disk.label.value, "unit_of_measurement": "MiB"}
    if disk.capacity is not None:
        attributes["capacity"] = format_bytes(disk.capacity)
    if disk.rule is not None:
        attributes |= _rule_attributes(disk.rule)
    if disk.keep:
        attributes["keep"] = "yes"
    if not disk.has_plain_alignment:
        attributes["alignment"] = format_bytes(disk.alignment)
    if disk.sector is not None:
        attributes["sector"] = str(disk.sector)
    element = etree.SubElement(root, "disk", attributes)
    for partition in disk.partitions:
        etree.SubElement(element, "part", _partition_attributes(partition))


def _rule_attributes(rule: DiskRule) -> dict[str, str]:
    attributes = {"choose": rule.pick.value} if rule.pick is not None else {}
    if rule.rotational is not None:
        attributes["rotational"] = "yes" if rule.rotational else "no"
    if rule.min_bytes:
        attributes["min_size"] = format_bytes(rule.min_bytes)
    if rule.holds is not None:
        attributes["holds"] = rule.holds
    return attributes


def _partition_attributes(partition: Partition) -> dict[str, str]:
    size = partition.size
    if isinstance(size, Fixed) and size.size % MIB == 0:
        text = str(size.size // MIB)
    else:
        text = format_size(size)
    attributes = {"num": str(partition.number), "size": text, "p_type": partition.kind.value}
    if partition.name is not None:
        attributes["p_name"] = partition.name
    if partition.type_id is not None:
        attributes["id"] = partition.type_id
    if partition.flags:
        attributes["flags"] = ",".join(partition.flags)
    if partition.keep:
        attributes["keep"] = "yes"
    if partition.least is not None:
        attributes["min"] = format_bytes(partition.least)
    if partition.most is not None:
        attributes["max"] = format_bytes(partition.most)
    return attributes


def _add_bootloader(root: etree._Element, bootloader: Bootloader) -> None:
    attributes = {"flavor": bootloader.flavor, "install_type": bootloader.firmware.value}
    if bootloader.default_entry is not None:
        attributes["default_entry"] = bootloader.default_entry
    if bootloader.timeout_s is not None:
        attributes["timeout"] = str(bootloader.timeout_s)
    element = etree.SubElement(root, "bootloader", attributes)
    for device in bootloader.devices:
        etree.SubElement(element, "target", {"dev": device})


def _entry_attributes(entry: Entry) -> dict[str, str]:
    line = {"line": str(entry.order)}
    match entry:
        case Comment(text=text):
            return {**line, "comment": text}
        case Mount(source=source):
            return {**line, "real_dev": source, **_mount_attributes(entry)}
        case Filesystem():
            return {**line, "real_dev": entry.device, **_filesystem_attributes(entry)}


def _add_subvolumes(element: etree._Element, filesystem: Filesystem) -> None:
    for subvolume in filesystem.subvolumes:
        attributes = {"name": subvolume.name}
        if subvolume.mount_point is not None:
            attributes["mp"] = subvolume.mount_point
        if subvolume.options:
            attributes["options"] = subvolume.options
        etree.SubElement(element, "subvolume", attributes)


def _filesystem_attributes(filesystem: Filesystem) -> dict[str, str]:
    attributes = {}
    if filesystem.mount_source is not None:
        attributes["mount_dev"] = filesystem.mount_source
    attributes |= _mount_attributes(filesystem)
    if filesystem.label is not None:
        attributes["label"] = filesystem.label
    if filesystem.mkfs_opts:
        attributes["mkfs_opts"] = filesystem.mkfs_opts
    if not filesystem.format:
        attributes["format"] = "no"
    return attributes


def _mount_attributes(entry: Mount | Filesystem) -> dict[str, str]:
    return {
        "mp": entry.mount_point,
        "fs": str(entry.type),
        "options": entry.options,
        "dump": str(entry.dump),
        "pass": str(entry.fsck_pass),
    }
