"""Which identifiers a master script reads, and under which names."""

from __future__ import annotations

import pytest

from si.layout.model import (
    Disk,
    Filesystem,
    FilesystemType,
    Fixed,
    LabelType,
    Layout,
    Partition,
)
from si.script.identifiers import Identifier, IdentifierKind, filesystem_variable, identifiers

EXT4, SWAP, VFAT = FilesystemType.EXT4, FilesystemType.SWAP, FilesystemType.VFAT


def layout(label: LabelType, *filesystems: Filesystem, device: str = "/dev/vda") -> Layout:
    parts = tuple(Partition(n, Fixed(2**20)) for n in range(1, 3))
    return Layout((Disk(device, label, parts),), filesystems)


def test_msdos() -> None:
    found = identifiers(
        layout(
            LabelType.MSDOS,
            Filesystem(1, "/dev/vda1", "/", EXT4),
            Filesystem(2, "/dev/vda2", "swap", SWAP),
        )
    )
    assert found == (
        Identifier("DISK_ID_vda", IdentifierKind.MBR_ID),
        Identifier("UUID_root", IdentifierKind.UUID),
        Identifier("UUID_swap_vda2", IdentifierKind.UUID),
    )


def test_gpt_and_odd_device_names() -> None:
    device = "/dev/cciss/c0d0"
    found = identifiers(
        layout(
            LabelType.GPT,
            Filesystem(1, f"{device}p1", "/", EXT4),
            Filesystem(2, f"{device}p2", "/boot/efi", VFAT),
            device=device,
        )
    )
    assert found == (
        Identifier("DISK_GUID_cciss_c0d0", IdentifierKind.UUID),
        Identifier("PART_UUID_cciss_c0d0p1", IdentifierKind.UUID),
        Identifier("PART_UUID_cciss_c0d0p2", IdentifierKind.UUID),
        Identifier("UUID_root", IdentifierKind.UUID),
        Identifier("UUID_boot_efi", IdentifierKind.VFAT_ID),
    )


def test_none_where_the_document_chooses_or_nothing_is_made() -> None:
    found = identifiers(
        layout(
            LabelType.MSDOS,
            Filesystem(1, "/dev/vda1", "/", EXT4, mount_source="UUID=x"),
            Filesystem(2, "/dev/vda2", "/srv", EXT4, format=False),
        )
    )
    assert [identifier.variable for identifier in found] == ["DISK_ID_vda"]


def test_mount_points_that_would_share_a_name() -> None:
    made = layout(
        LabelType.MSDOS,
        Filesystem(1, "/dev/vda1", "/var/lib", EXT4),
        Filesystem(2, "/dev/vda2", "/var_lib", EXT4),
        Filesystem(3, "/dev/vda3", "/root", EXT4),
        Filesystem(4, "/dev/vda4", "/", EXT4),
    )
    names = [filesystem_variable(made, filesystem) for filesystem in made.filesystems]
    assert names == ["UUID_var_lib", "UUID_var_lib_2", "UUID_root_2", "UUID_root"]


def test_a_mount_point_may_have_any_name() -> None:
    made = layout(LabelType.MSDOS, Filesystem(1, "/dev/vda1", "/X", EXT4))
    assert filesystem_variable(made, made.filesystems[0]) == "UUID_X"


def test_a_file_system_of_another_layout_has_no_name() -> None:
    with pytest.raises(ValueError, match="not of this layout"):
        filesystem_variable(layout(LabelType.MSDOS), Filesystem(1, "/dev/vda1", "/", EXT4))
