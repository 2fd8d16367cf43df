"""What boot loaders can read, and which disks they have to be on."""

from __future__ import annotations

import pytest

from si.layout.document import read_layout

ENCRYPTED = """<config format="1">
  <disk dev="/dev/vda" label_type="gpt" unit_of_measurement="MiB">
    <part num="1" size="512" flags="esp"/>
    <part num="2" size="*"/>
  </disk>
  <crypt name="root" dev="/dev/vda2"/>
  <bootloader flavor="{}" install_type="efi" timeout="3"/>
  <fsinfo line="10" real_dev="/dev/mapper/root" mp="/" fs="ext4"/>
  <fsinfo line="20" real_dev="/dev/vda1" mp="/boot/efi" fs="vfat"/>
</config>
"""


def test_systemd_boot_reads_the_esp_alone() -> None:
    """So its kernels may lie in a container, where GRUB could not read them."""
    _layout, problems, warned = read_layout(ENCRYPTED.format("systemd"), "f")
    assert problems == ()
    assert [str(warning) for warning in warned] == [
        "f:7: timeout is not used yet: what loader.conf says on the image's ESP is"
    ]
    _layout, problems, _warned = read_layout(ENCRYPTED.format("grub2"), "f")
    assert ["boot loader cannot read it" in str(problem) for problem in problems] == [True]


MIRROR = """<config format="1">
  <disk dev="/dev/sdc" label_type="gpt"><part num="1" size="*"/></disk>
  <disk dev="/dev/sda" label_type="msdos"><part num="1" size="*" flags="raid"/></disk>
  <disk dev="/dev/sdb" label_type="msdos"><part num="1" size="*" flags="raid"/></disk>
  <raid><raid_disk name="/dev/md0" raid_level="{level}" devices="/dev/sda1 /dev/sdb1"/></raid>
  <bootloader flavor="grub2" install_type="legacy">{targets}</bootloader>
  <fsinfo line="10" real_dev="{root}" mp="/" fs="ext4"/>
  <fsinfo line="20" real_dev="{other}" mp="{mp}" fs="ext4"/>
</config>
"""
ON_MIRROR = {"level": "1", "root": "/dev/md0", "other": "/dev/sdc1", "mp": "/home"}
BOOT_ON_MIRROR = ON_MIRROR | {"root": "/dev/sdc1", "other": "/dev/md0", "mp": "/boot"}


@pytest.mark.parametrize(
    ("targets", "missing"),
    [((), ()), (("sda", "sdb"), ()), (("sda",), ("sdb",)), (("sdb",), ("sda",))],
)
def test_each_disk_of_a_mirrored_boot_gets_the_loader(
    targets: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    named = "".join(f'<target dev="/dev/{disk}"/>' for disk in targets)
    for where in (ON_MIRROR, BOOT_ON_MIRROR):
        _layout, problems, _warned = read_layout(MIRROR.format(targets=named, **where), "f")
        assert [str(problem) for problem in problems] == [
            f"f:6: /boot is mirrored onto /dev/{disk}, which is no <target>: "
            "name it too, or none at all"
            for disk in missing
        ]


def test_one_disk_of_a_striped_boot_is_enough_for_the_loader() -> None:
    """Without the other one nothing starts anyway."""
    text = MIRROR.format(targets='<target dev="/dev/sda"/>', **ON_MIRROR | {"level": "0"})
    _layout, problems, _warned = read_layout(text, "f")
    assert problems == ()
