"""Each fault of a layout gets one line, in words that say what to write."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from si.layout.document import read_layout

Problems = Callable[..., list[str]]

PART1 = '<part num="1" size="256" p_type="primary" flags="boot"/>'
PART2 = '<part num="2" size="*" p_type="extended"/>'
PART5 = '<part num="5" size="512" p_type="logical" flags="swap"/>'
PART6 = '<part num="6" size="*" p_type="logical"/>'
ROOT = (
    '<fsinfo line="10" real_dev="/dev/vda6" mp="/" fs="ext4" options="defaults" dump="0" pass="1"/>'
)
BOOT = '<fsinfo line="20" real_dev="/dev/vda1" mp="/boot" fs="ext4" options="defaults"/>'
SWAP = '<fsinfo line="30" real_dev="/dev/vda5" mp="swap" fs="swap" options="defaults"/>'
PROC = '<fsinfo line="40" real_dev="proc" mp="/proc" fs="proc" options="defaults"/>'
MIB = 'label_type="msdos" unit_of_measurement="MiB"'


def test_the_sound_document_has_none(problems: Problems) -> None:
    assert problems() == []
    assert problems(warnings=True) == []


CASES: dict[str, tuple[list[tuple[str, str]], str]] = {
    "no root": ([('mp="/" ', 'mp="/srv" ')], "2: no root: write an <fsinfo>"),
    "two roots": ([('mp="/boot"', 'mp="/"')], "9: a second root: the other one is on line 8"),
    "a mount point twice": (
        [('mp="/proc"', 'mp="/boot"')],
        "11: /boot is mounted twice: the other one is on line 9",
    ),
    "a number twice": (
        [(PART1, PART1 + '<part num="1" size="9"/>')],
        "3: /dev/vda: partition 1 stands on line 3 already",
    ),
    "logical below 5": (
        [
            (PART1, ""),
            (PART6, '<part num="3" size="*" p_type="logical"/>'),
            (BOOT, ""),
            ('real_dev="/dev/vda6" mp="/"', 'real_dev="/dev/vda5" mp="/"'),
            (SWAP, ""),
        ],
        "6: logical partitions have the numbers 5, 6, ... without gaps, not 3",
    ),
    "a gap among logical": (
        [(PART6, PART6.replace('"6"', '"7"')), ('"/dev/vda6"', '"/dev/vda7"')],
        "6: logical partitions have the numbers 5, 6, ... without gaps, not 7",
    ),
    "primary above 4": (
        [
            (PART1, PART1.replace('"1"', '"7"')),
            (PART5, ""),
            (SWAP, ""),
            (BOOT, ""),
            (PART6, PART6.replace('"6"', '"5"')),
            ('"/dev/vda6"', '"/dev/vda5"'),
        ],
        "3: a primary partition has a number from 1 to 4, not 7",
    ),
    "five primaries": (
        [(PART1, PART1 + "".join(f'<part num="{n}" size="1"/>' for n in (3, 4, 7)))],
        "4: /dev/vda: msdos has room for 4 primary and extended partitions, not more",
    ),
    "two extended": (
        [(PART1, PART1 + '<part num="3" size="9" p_type="extended"/>')],
        "4: /dev/vda: a second extended partition: msdos has one",
    ),
    "logical without extended": (
        [(PART2, PART2.replace("extended", "primary"))],
        "5: a logical partition needs an extended one",
    ),
    "logical on gpt": (
        [
            ("msdos", "gpt"),
            (PART2, ""),
            (PART6, ""),
            ('"/dev/vda6"', '"/dev/vda5"'),
            (SWAP, ""),
            (PART1, '<part num="1" size="1" flags="bios_grub"/>'),
            (BOOT, ""),
        ],
        '5: p_type="logical" is of msdos only: write primary on gpt',
    ),
    "two rests": (
        [(PART1, PART1.replace("256", "*"))],
        '4: size="*" stands on line 3 already: only one of the primary and extended',
    ),
    "two logical rests": (
        [(PART5, PART5.replace("512", "*"))],
        '6: size="*" stands on line 5 already: only one of the logical partitions',
    ),
    "too many percent": (
        [(PART1, PART1.replace("256", "60%")), (PART2, PART2.replace("*", "50%"))],
        "4: the percentages of the primary and extended partitions add up to 110",
    ),
    "nothing left": (
        [(PART1, PART1.replace("256", "100%"))],
        "6: /dev/vda: the logical partitions do not fit",
    ),
    "logical larger than extended": (
        [(PART2, PART2.replace("*", "600")), (PART6, PART6.replace("*", "500"))],
        "6: /dev/vda: the logical partitions do not fit into the extended one",
    ),
    "beyond the disk": (
        [(MIB, f'{MIB} capacity="500MiB"')],
        "5: the partitions of /dev/vda need 788 MiB, but the disk has 500MiB",
    ),
    "beyond msdos": ([(PART1, PART1.replace("256", "3TiB"))], "3: msdos ends at 2 TiB"),
    "unknown partition": (
        [('"/dev/vda6"', '"/dev/vda7"')],
        "8: /dev/vda7 is no partition or volume of this layout: /dev/vda1, /dev/vda2, /dev/vda5,",
    ),
    "unknown disk": (
        [('"/dev/vda6"', '"/dev/sda6"')],
        "8: /dev/sda6 is no partition or volume of this layout",
    ),
    "an array": ([('"/dev/vda6"', '"/dev/md0"')], "8: /dev/md0 is no partition or volume"),
    "no device": ([('"/dev/vda6"', '"vda6"')], '8: real_dev="vda6" is no device'),
    "on the extended partition": (
        [('"/dev/vda6"', '"/dev/vda2"')],
        "8: /dev/vda2 is the extended partition",
    ),
    "two on one partition": (
        [('"/dev/vda6"', '"/dev/vda1"')],
        "9: /dev/vda1 is used on line 8 already",
    ),
    "swap on a mount point": ([('mp="swap"', 'mp="/swap"')], '10: fs="swap" with mp="/swap"'),
    "a file system as swap": ([('mp="/boot"', 'mp="swap"')], '9: fs="ext4" with mp="swap"'),
    "relative mount point": ([('mp="/boot"', 'mp="boot"')], '9: mp="boot" is no mount point'),
    "climbing mount point": ([('mp="/boot"', 'mp="/a/../b"')], '9: mp="/a/../b" is no mount'),
    "double slash": ([('mp="/boot"', 'mp="/boot//x"')], '9: mp="/boot//x" is no mount point'),
    "slash at the end": ([('mp="/boot"', 'mp="/boot/"')], '9: mp="/boot/" is no mount point'),
    "a mount point after a comment": (
        [
            (
                PROC,
                '<fsinfo line="5" comment="# x"/><fsinfo line="40" real_dev="s" mp="x" fs="nfs"/>',
            )
        ],
        '11: mp="x" is no mount point',
    ),
    "blanks in options": (
        [(BOOT, BOOT.replace('"defaults"', '"ro, nodev"'))],
        '9: options="ro, nodev" holds blanks',
    ),
    "/boot GRUB cannot read": (
        [(BOOT, '<fsinfo line="20" real_dev="server:/boot" mp="/boot" fs="nfs"/>')],
        "9: /boot is nfs, which GRUB cannot read",
    ),
    "the root not made": (
        [(ROOT, ROOT.replace('pass="1"', 'format="no"'))],
        '8: the root has format="no"',
    ),
    "the root on nfs": (
        [(ROOT, '<fsinfo line="10" real_dev="s:/x" mp="/" fs="nfs"/>')],
        "8: the root is nfs",
    ),
    "the root on vfat": ([(ROOT, ROOT.replace("ext4", "vfat"))], "8: the root is vfat"),
    "a label too long": (
        [(BOOT, BOOT.replace("mp=", 'mount_dev="LABEL=seventeen-letters" mp='))],
        "9: the label 'seventeen-letters' is too long: ext4 has room for 16",
    ),
    "a label twice": (
        [
            (BOOT, BOOT.replace(" mp=", ' label="x" mp=')),
            (SWAP, SWAP.replace(" mp=", ' label="x" mp=')),
        ],
        "10: x is used on line 9 already",
    ),
    "no UUID": (
        [(BOOT, BOOT.replace("mp=", 'mount_dev="UUID=123" mp='))],
        "9: UUID=123 is no UUID of ext4: write 8-4-4-4-12 hex digits",
    ),
    "no UUID of vfat": (
        [(BOOT, BOOT.replace("ext4", "vfat").replace("mp=", 'mount_dev="UUID=12345678" mp='))],
        "9: UUID=12345678 is no UUID of vfat: write XXXX-XXXX, or leave it out",
    ),
    "gpt without bios_grub": (
        [
            ("msdos", "gpt"),
            (PART2, ""),
            (PART5, ""),
            (PART6, '<part num="6" size="*"/>'),
            (SWAP, ""),
        ],
        '2: /dev/vda: GRUB on gpt needs a partition of 1 MiB with flags="bios_grub"',
    ),
    "a file system where GRUB writes": (
        [
            ("msdos", "gpt"),
            (PART2, ""),
            (PART5, ""),
            (PART6, '<part num="6" size="*"/>'),
            (SWAP, ""),
            (PART1, PART1.replace("boot", "bios_grub")),
        ],
        '9: /dev/vda1 has flags="bios_grub": GRUB writes there',
    ),
    "bios_grub on msdos": (
        [(PART1, PART1.replace("boot", "bios_grub"))],
        '3: flag "bios_grub" is of gpt only',
    ),
    "two active partitions": (
        [(PART5, PART5.replace('"swap"', '"boot"'))],
        '5: flag "boot" stands on line 3 already',
    ),
    "boot loader on a partition": (
        [
            ("</disk>", '</disk><bootloader flavor="grub2" install_type="legacy">'),
            (ROOT, f'<target dev="/dev/vda1"/></bootloader>{ROOT}'),
        ],
        "7: <target> /dev/vda1 is a partition: name the whole disk",
    ),
    "boot loader elsewhere": (
        [
            ("</disk>", '</disk><bootloader flavor="grub2" install_type="legacy">'),
            (ROOT, f'<target dev="/dev/sda"/></bootloader>{ROOT}'),
        ],
        "7: <target> /dev/sda is no disk of this layout: /dev/vda",
    ),
    "another boot loader": (
        [("</disk>", '</disk><bootloader flavor="systemd" install_type="legacy"/>')],
        '7: flavor="systemd" starts by UEFI only',
    ),
    "efi without ESP": (
        [("</disk>", '</disk><bootloader flavor="grub2" install_type="efi"/>')],
        '7: install_type="efi" needs a partition with flags="esp"',
    ),
    "an ESP that is not vfat": (
        [(PART1, PART1.replace("boot", "esp"))],
        '9: /dev/vda1 has flags="esp" but fs="ext4"',
    ),
    "a disk twice": (
        [
            (
                "</disk>",
                '</disk><disk dev="/dev/vda" label_type="msdos"><part num="1" size="9"/></disk>',
            )
        ],
        "7: /dev/vda stands on line 2 already: join the two",
    ),
    "an empty disk": (
        [("</disk>", '</disk><disk dev="/dev/vdb" label_type="gpt"/>')],
        "7: /dev/vdb has no <part>: write at least one",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_told_on_its_line(name: str, problems: Problems) -> None:
    changes, expected = CASES[name]
    found = problems(*changes)
    assert any(text.startswith(expected) for text in found), found


ALONE = sorted(
    CASES.keys()
    - {"bios_grub on msdos", "logical without extended", "five primaries", "no root", "two roots"}
)


@pytest.mark.parametrize("name", ALONE)
def test_a_fault_is_told_once(name: str, problems: Problems) -> None:
    changes, _expected = CASES[name]
    found = problems(*changes)
    assert len(found) == 1, found


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            [(PART1, PART1.replace("flags=", 'p_name="x" flags='))],
            "3: ignored: p_name, because msdos has no partition names",
        ),
        ([(PART1, PART1.replace('"boot"', '"boot,root"'))], '3: ignored: flag "root"'),
        (
            [(BOOT, BOOT.replace("mp=", 'format="no" mp='))],
            '9: format="no" does not keep what is on /dev/vda1',
        ),
        ([(PART6, PART6.replace("/>", ' flags="swap"/>'))], '8: /dev/vda6 has flags="swap" but'),
        (
            [(PART2, PART2.replace("*", "1000")), (PART6, PART6.replace("*", "487"))],
            "6: partition 6 becomes 1 MiB smaller than written",
        ),
        (
            [
                ("</disk>", '</disk><bootloader flavor="grub2" install_type="legacy"'),
                (ROOT, f' default_entry="2"/>{ROOT}'),
            ],
            "8: default_entry is not used yet",
        ),
        (
            [("</disk>", '</disk><bootloader flavor="grub2" install_type="legacy" timeout="3"/>')],
            "7: timeout is not used yet",
        ),
        ([('line="40"', 'line="30"')], '11: line="30" stands on line 10 already'),
    ],
)
def test_what_works_otherwise_than_one_may_think_is_a_warning(
    changes: list[tuple[str, str]], expected: str, problems: Problems
) -> None:
    found = problems(*changes, warnings=True)
    assert any(text.startswith(expected) for text in found), found
    assert problems(*changes) == []


def test_an_empty_document() -> None:
    _layout, found, _warnings = read_layout("<config/>", "f")
    assert [str(problem) for problem in found] == [
        'f:1: <config> has no <disk>: write at least one, like <disk dev="/dev/vda" ...>',
        'f:1: no root: write an <fsinfo> with mp="/"',
    ]


def test_a_link_to_a_disk_is_warned_of(sound: str) -> None:
    text = sound.replace("/dev/vda", "/dev/disk/by-id/x").replace("by-id/x1", "by-id/x-part1")
    text = text.replace("by-id/x5", "by-id/x-part5").replace("by-id/x6", "by-id/x-part6")
    _layout, found, warned = read_layout(text, "f")
    assert found == ()
    assert "BOEL does not make the links of /dev/disk yet" in str(warned[0])
