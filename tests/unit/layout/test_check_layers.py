"""Each fault of arrays, encryption, volume groups, subvolumes and boot gets one line."""

from __future__ import annotations

import pytest

from si.layout.document import load_layout, read_layout
from si.layout.model import Raid, RaidLevel, VolumeGroup

SOUND = """<config format="1">
  <disk dev="/dev/vda" label_type="gpt" unit_of_measurement="MiB">
    <part num="1" size="256" flags="esp"/>
    <part num="2" size="512"/>
    <part num="3" size="4000"/>
    <part num="4" size="4000"/>
    <part num="5" size="4000"/>
    <part num="6" size="4000"/>
  </disk>
  <raid>
    <raid_disk name="/dev/md1" raid_level="5" devices="/dev/vda3 /dev/vda4 /dev/vda5"/>
  </raid>
  <crypt name="secret" dev="/dev/md1" pbkdf="argon2id" memory="64MiB" iterations="4"/>
  <lvm>
    <lvm_group name="sys" devices="/dev/mapper/secret">
      <lv name="root" size="4GiB"/>
      <lv name="pool" size="1GiB" type="thin-pool"/>
      <lv name="thin" size="8GiB" type="thin" thin_pool="pool"/>
      <lv name="data" size="*"/>
    </lvm_group>
  </lvm>
  <bootloader flavor="grub2" install_type="efi"/>
  <fsinfo line="10" real_dev="/dev/sys/root" mp="/" fs="ext4"/>
  <fsinfo line="20" real_dev="/dev/vda2" mp="/boot" fs="ext4"/>
  <fsinfo line="30" real_dev="/dev/vda1" mp="/boot/efi" fs="vfat"/>
  <fsinfo line="40" real_dev="/dev/sys/thin" mp="/thin" fs="xfs"/>
  <fsinfo line="50" real_dev="/dev/vda6" mp="/b" fs="btrfs">
    <subvolume name="@" mp="/b"/>
    <subvolume name="@c" mp="/c" options="noatime"/>
  </fsinfo>
</config>
"""


def find(*changes: tuple[str, str], warnings: bool = False) -> list[str]:
    text = SOUND
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
        text = text.replace(old, new)
    _layout, problems, warned = read_layout(text, "f")
    found = warned if warnings else problems
    lines = [f"{problem.line}: {problem.message}" for problem in found]
    return [line for line in lines if "not supported yet: no master" not in line]


def test_the_sound_document_has_none() -> None:
    assert find() == []
    assert find(warnings=True) == [
        "11: /dev/md1 has two members on one disk: when it fails, both are lost"
    ]


CASES = {
    "no array": ('/dev/md1" raid_level', '/dev/mp1" raid_level', '11: name="/dev/mp1" is no'),
    "array number": ('name="/dev/md1"', 'name="/dev/md512"', '11: name="/dev/md512" is no array'),
    "too few": (" /dev/vda5", "", "11: /dev/md1 has 2 active devices, but level 5 needs 3"),
    "level": ('raid_level="5"', 'raid_level="7"', '11: raid_level="7" is none of linear, 0, 1'),
    "count": (
        'raid_level="5"',
        'raid_level="5" raid_devices="4"',
        "11: /dev/md1 has 3 devices, but raid_devices and spare_devices say 4 and 0",
    ),
    "spares of a stripe": (
        'raid_level="5"',
        'raid_level="0" spare_devices="1"',
        "11: /dev/md1: level 0 cannot use spares",
    ),
    "metadata": ('raid_level="5"', 'raid_level="5" metadata="3"', '11: metadata="3" is none of'),
    "chunk": (
        'raid_level="5"',
        'raid_level="5" chunk_size="96"',
        '11: chunk_size="96" is no power of two',
    ),
    "chunk of a mirror": (
        'raid_level="5"',
        'raid_level="1" chunk_size="64"',
        "11: /dev/md1: level 1 has no chunks",
    ),
    "layout": ('raid_level="5"', 'raid_level="5" layout="f2"', '11: layout="f2" is none of level'),
    "unknown member": (" /dev/vda5", " /dev/vdz5", "11: /dev/vdz5 is no device of this layout"),
    "no device": (" /dev/vda5", " vda5", '11: "vda5" is no device'),
    "a whole disk": (" /dev/vda5", " /dev/vda", "11: /dev/vda is a whole disk"),
    "a member twice": (" /dev/vda5", " /dev/vda4", "11: /dev/vda4 is used on line 11 already"),
    "a member with a file system": (
        " /dev/vda5",
        " /dev/vda6",
        "27: /dev/vda6 belongs to what stands on line 11",
    ),
    "a circle": (
        " /dev/vda5",
        " /dev/sys/data",
        "11: /dev/md1 stands on itself",
    ),
    "crypt name": ('name="secret"', 'name="a/b"', '13: name="a/b" is no name'),
    "crypt key": ('dev="/dev/md1"', 'dev="/dev/md1" key="file:../x"', '13: key="file:../x" is'),
    "crypt passes": ('iterations="4"', 'iterations="2"', "13: iterations=2: LUKS wants 4"),
    "crypt passes and time": (
        'iterations="4"',
        'iterations="4" iter_time="9"',
        "13: iterations and iter_time exclude one another",
    ),
    "crypt memory": ('memory="64MiB"', 'memory="8GiB"', "13: memory must be between"),
    "crypt memory of pbkdf2": (
        'pbkdf="argon2id" memory="64MiB" iterations="4"',
        'pbkdf="pbkdf2" memory="64MiB"',
        "13: pbkdf pbkdf2 takes no memory",
    ),
    "crypt pbkdf": ('"argon2id"', '"scrypt"', '13: pbkdf="scrypt" is none of argon2id, pbkdf2'),
    "crypt options": (
        'iterations="4"',
        'iterations="4" options="luks, discard"',
        '13: options="luks, discard" holds blanks',
    ),
    "no members": (' devices="/dev/mapper/secret"', "", "15: volume group sys has no members"),
    "extent": (
        'name="sys"',
        'name="sys" phys_extent_size="3MiB"',
        "15: phys_extent_size is no power of two",
    ),
    "group name": ('name="data"', 'name="-data"', '19: name="-data" is no name of a volume'),
    "reserved": ('name="data"', 'name="x_tdata"', '19: name="x_tdata" is no name of a volume'),
    "two volumes": ('name="data"', 'name="root"', "19: root stands on line 16 already"),
    "two rests": ('size="1GiB"', 'size="*"', '19: size="*" stands on line 17 already'),
    "percent": ('size="1GiB"', 'size="101%VG"', "17: size: 101% is no share"),
    "of what is free": ('size="1GiB"', 'size="50%FREE"', "17: size: '50%FREE' depends on what was"),
    "too much": ('size="4GiB"', 'size="40GiB"', "15: the volumes of sys need"),
    "no pool": ('thin_pool="pool"', 'thin_pool="pond"', '18: thin_pool="pond" is no thin pool'),
    "thin rest": ('size="8GiB"', 'size="*"', "18: thin is thin, so it needs a size of its own"),
    "pool without name": (' thin_pool="pool"', "", '18: type="thin" needs thin_pool'),
    "type": ('type="thin-pool"', 'type="cache"', '17: type="cache" is none of linear'),
    "on a pool": ("/dev/sys/thin", "/dev/sys/pool", "26: /dev/sys/pool is no partition or volume"),
    "boot inside": ('mp="/boot" ', 'mp="/srv" ', "23: / lies in /dev/mapper/secret, which is"),
    "thin boot": (
        'real_dev="/dev/sys/thin" mp="/thin" fs="xfs"',
        'real_dev="/dev/sys/data" mp="/thin" fs="jfs"',
        '26: fs="jfs" cannot be made',
    ),
    "no ESP made": ('mp="/boot/efi" fs="vfat"', 'mp="/boot/efi" fs="xfs"', "25: /dev/vda1 has"),
    "systemd by BIOS": (
        'flavor="grub2" install_type="efi"',
        'flavor="systemd" install_type="legacy"',
        '22: flavor="systemd" starts by UEFI only',
    ),
    "subvolume name": ('name="@c"', 'name="../c"', '29: name="../c" is no name of a subvolume'),
    "subvolume twice": ('name="@c"', 'name="@"', "29: the subvolume @ stands here twice"),
    "subvolume mounted": ('mp="/c"', 'mp="/boot"', "29: /boot is mounted twice"),
    "subvolume options": ('"noatime"', '"no atime"', '29: options="no atime" holds blanks'),
    "subvol in options": ('"noatime"', '"subvol=x"', "29: options holds subvol"),
    "of ext4": ('fs="btrfs"', 'fs="ext4"', '28: fs="ext4" has no subvolumes'),
    "fixed bounds": ('num="2" size="512"', 'num="2" size="512" min="9MiB"', "4: min and max need"),
    "bounds": (
        'num="6" size="4000"',
        'num="6" size="*" min="9GiB" max="8GiB"',
        "8: min is 9GiB, more than max",
    ),
    "a bound that is too low": (
        'num="6" size="4000"',
        'num="6" size="*" max="9MiB"',
        "8: max=9MiB is less than what must fit into it: make it 128MiB at least",
    ),
    "alignment": ('"MiB">', '"MiB" alignment="4096B">', "2: alignment is no multiple of 1MiB"),
    "sector": ('"MiB">', '"MiB" sector="520">', '2: sector="520" is neither 512 nor 4096'),
    "a rule and a name": ('"MiB">', '"MiB" choose="largest">', "2: /dev/vda is chosen by rule"),
}


@pytest.mark.parametrize(("old", "new", "says"), CASES.values(), ids=CASES)
def test_a_fault_is_told_on_its_line(old: str, new: str, says: str) -> None:
    found = find((old, new))
    assert any(line.startswith(says) for line in found), found


def test_a_kept_root() -> None:
    found = find(
        ('num="2" size="512"', 'num="2" size="512" keep="yes"'),
        ('mp="/boot" ', 'mp="/old" '),
        ('"/dev/sys/root" mp="/"', '"/dev/sys/root" mp="/r"'),
        ('"/dev/vda6" mp="/b"', '"/dev/vda6" mp="/"'),
        ('name="@" mp="/b"', 'name="@" mp="/"'),
    )
    assert found == [
        "24: /dev/vda2 is kept, and so is its UUID, which is not known here: "
        'write mount_dev="LABEL=..." or "UUID=..."'
    ]


def test_bios_and_sectors_of_4096_bytes() -> None:
    changes = (
        ('<bootloader flavor="grub2" install_type="efi"/>', ""),
        ('flags="esp"', 'flags="bios_grub"'),
        ('<fsinfo line="30" real_dev="/dev/vda1" mp="/boot/efi" fs="vfat"/>', ""),
    )
    found = find(*changes, ('"MiB">', '"MiB" sector="4096">'))
    assert [line.partition(",")[0] for line in found] == ["2: /dev/vda has sectors of 4096 bytes"]
    assert find(*changes, ('"MiB">', '"MiB" sector="512">')) == []


def test_what_is_worth_a_second_look() -> None:
    found = find(
        ('num="6" size="4000"', 'num="6" size="4000" flags="lvm"'),
        ('num="2" size="512"', 'num="2" size="512" flags="raid,esp"'),
        warnings=True,
    )
    assert '8: /dev/vda6 has flags="lvm", but no volume group has it' in found
    assert '4: /dev/vda2 has flags="raid", but no array has it' in found


CLASSIC = """<config>
 <disk dev="/dev/sda" label_type="msdos" unit_of_measurement="MB">
  <part num="1" size="200" p_type="primary" flags="raid" />
  <part num="2" size="*" p_type="primary" flags="lvm" lvm_group="vg0" />
 </disk>
 <disk dev="/dev/sdb" label_type="msdos" unit_of_measurement="MB">
  <part num="1" size="200" p_type="primary" flags="raid" />
  <part num="2" size="*" p_type="primary" flags="lvm" lvm_group="vg0" />
 </disk>
 <raid name="/dev/md0" raid_level="raid1" raid_devices="2" spare_devices="0" persistence="yes"
   devices="/dev/sda1 /dev/sdb1" />
 <lvm version="2"><lvm_group name="vg0" max_log_vols="0" max_phys_vols="0"
   phys_extent_size="8192K"><lv name="root" size="4000M" lv_options="-i 2"/>
   <lv name="home" size="*"/></lvm_group></lvm>
 <fsinfo line="1" real_dev="/dev/vg0/root" mp="/" fs="ext3"/>
 <fsinfo line="2" real_dev="/dev/mapper/vg0-home" mp="/home" fs="ext3"/>
 <fsinfo line="3" real_dev="/dev/md0" mp="/boot" fs="ext3"/>
</config>
"""


def test_the_classic_dialect() -> None:
    layout = load_layout(CLASSIC, "f")
    assert layout.raids == (Raid("/dev/md0", RaidLevel.MIRROR, ("/dev/sda1", "/dev/sdb1")),)
    (group,) = layout.volume_groups
    assert group.members == ("/dev/sda2", "/dev/sdb2")
    assert group.extent == 8 * 1024**2
    assert [volume.options for volume in group.volumes] == ["-i 2", ""]
    assert [f.device for f in layout.filesystems] == ["/dev/vg0/root", "/dev/vg0/home", "/dev/md0"]


def test_the_strict_dialect_says_it_at_the_member() -> None:
    text = CLASSIC.replace('flags="raid"', 'flags="raid" raid_dev="/dev/md0"')
    text = text.replace("<raid name", "<raid><raid_disk name").replace(
        'persistence="yes"\n   devices="/dev/sda1 /dev/sdb1" />', 'lvm_group="vg1"/></raid>'
    )
    text = text.replace("</lvm>", '<lvm_group name="vg1"><lv name="b" size="*"/></lvm_group></lvm>')
    text = text.replace('"/dev/md0" mp', '"/dev/vg1/b" mp')
    layout = load_layout(text, "f")
    assert layout.raids[0].members == ("/dev/sda1", "/dev/sdb1")
    assert layout.volume_groups[1] == VolumeGroup(
        "vg1", ("/dev/md0",), volumes=layout.volume_groups[1].volumes
    )
    assert [disk.device for disk in layout.disks_below("/dev/vg1/b")] == ["/dev/sda", "/dev/sdb"]
