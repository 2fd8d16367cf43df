"""Arrays, encryption and volume groups as XML in our own dialect.

Stage 4. Pure. A part of `si.layout.dump`. Members stand at the array or group, not at the
partition, so that they can be read, and put in another order, in one place.
"""

from __future__ import annotations

from lxml import etree

from si.layout.model import Crypt, Layout, LogicalVolume, Raid, VolumeGroup
from si.layout.sizes import format_bytes, format_size


def add_layers(root: etree._Element, layout: Layout) -> None:
    """Add the elements of all layers to the root of a document."""
    if layout.raids:
        element = etree.SubElement(root, "raid")
        for raid in layout.raids:
            etree.SubElement(element, "raid_disk", _raid_attributes(raid))
    for crypt in layout.crypts:
        etree.SubElement(root, "crypt", _crypt_attributes(crypt))
    if layout.volume_groups:
        element = etree.SubElement(root, "lvm")
        for group in layout.volume_groups:
            _add_group(element, group)


def _raid_attributes(raid: Raid) -> dict[str, str]:
    attributes = {
        "name": raid.device,
        "raid_level": raid.level.value,
        "devices": " ".join(raid.holds),
        "metadata": raid.metadata,
    }
    if raid.spares:
        attributes["spare_devices"] = str(len(raid.spares))
    if raid.chunk is not None:
        attributes["chunk_size"] = f"{raid.chunk // 1024}K"
    if raid.layout is not None:
        attributes["layout"] = raid.layout
    return attributes


def _crypt_attributes(crypt: Crypt) -> dict[str, str]:
    attributes = {"name": crypt.name, "dev": crypt.on, "key": crypt.key, "pbkdf": crypt.pbkdf.value}
    if crypt.memory_kib is not None:
        attributes["memory"] = format_bytes(crypt.memory_kib * 1024)
    if crypt.iterations is not None:
        attributes["iterations"] = str(crypt.iterations)
    if crypt.iter_time_ms is not None:
        attributes["iter_time"] = str(crypt.iter_time_ms)
    return {**attributes, "options": crypt.options}


def _add_group(parent: etree._Element, group: VolumeGroup) -> None:
    attributes = {"name": group.name, "devices": " ".join(group.members)}
    if group.extent is not None:
        attributes["phys_extent_size"] = format_bytes(group.extent)
    element = etree.SubElement(parent, "lvm_group", attributes)
    for volume in group.volumes:
        etree.SubElement(element, "lv", _volume_attributes(volume))


def _volume_attributes(volume: LogicalVolume) -> dict[str, str]:
    attributes = {"name": volume.name, "size": format_size(volume.size)}
    if volume.is_pool:
        attributes["type"] = "thin-pool"
    if volume.thin_pool is not None:
        attributes |= {"type": "thin", "thin_pool": volume.thin_pool}
    if volume.options:
        attributes["lv_options"] = volume.options
    return attributes
