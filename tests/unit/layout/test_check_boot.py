"""What boot loaders can read, and which disks they have to be on."""

from __future__ import annotations

import pytest

from si.layout.document import read_layout

MIRROR = """<config format="1">
  <disk dev="/dev/sda" label_type="msdos"><part num="1" size="*" flags="raid"/></disk>
  <disk dev="/dev/sdb" label_type="msdos"><part num="1" size="*" flags="raid"/></disk>
  <raid><raid_disk name="/dev/md0" raid_level="1" devices="/dev/sda1 /dev/sdb1"/></raid>
  <bootloader flavor="grub2" install_type="legacy">{}</bootloader>
  <fsinfo line="10" real_dev="/dev/md0" mp="/" fs="ext4"/>
</config>
"""


@pytest.mark.parametrize(
    ("targets", "missing"),
    [((), ()), (("sda", "sdb"), ()), (("sda",), ("sdb",)), (("sdb",), ("sda",))],
)
def test_each_disk_of_a_mirrored_boot_gets_the_loader(
    targets: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    named = "".join(f'<target dev="/dev/{disk}"/>' for disk in targets)
    _layout, problems, _warned = read_layout(MIRROR.format(named), "f")
    assert [str(problem) for problem in problems] == [
        f"f:5: /boot is mirrored onto /dev/{disk}, which is no <target>: "
        "name it too, or none at all"
        for disk in missing
    ]
