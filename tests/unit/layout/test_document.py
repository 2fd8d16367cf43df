"""Documents of both dialects, sloppy ones, hostile ones, and all problems at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from si.errors import DocumentInvalid
from si.layout.document import MAX_BYTES, load_layout, read_layout
from si.layout.model import (
    Comment,
    Filesystem,
    FilesystemType,
    Fixed,
    Flag,
    Layout,
    Mount,
    PartitionKind,
    Percent,
    Rest,
)

Problems = Callable[..., list[str]]

CLASSIC = """

<!DOCTYPE config SYSTEM "autoinstallscript.dtd">
<!-- comment before the root -->
<config>
  some text
  <boel devstyle="udev"/>
  <lvm></lvm><raid/>
  <fsinfo  line="30" real_dev='/dev/sdb2' mount_dev="uuid=0a0a0a0a-1111-2222-3333-444444444444"
     mp="/srv"   fs="xfs" options="default" />
  <disk dev="/dev/sdb" label_type="msdos" unit_of_measurement="PERCENTAGES">
  <part num="1" size="25.5 " p_type="primary" p_name="-" flags="-" />
  and more text
  <part num="2" size="*" p_type="primary" flags="boot, lba" id="0x83"/>
  </disk>
  <fsinfo comment="# a &quot;quoted&quot;&#9;word"/>
  <fsinfo line="20" comment=" "/>
  <fsinfo line="10" real_dev="/dev/sdb1" mount_dev="label=/" mp="/" fs="EXT3" dump="1" pass="1"/>
  <fsinfo line="30" real_dev="none" mp="/dev/pts" fs="devpts" options="gid=5,mode=620"/>
  <fsinfo real_dev="/dev/hdc" mp="/media/cd" fs="iso9660" format="no"/>
  <future wish="come true"/>
</config>"""


def test_the_classic_dialect_with_all_its_sloppiness() -> None:
    layout, problems, warnings = read_layout(CLASSIC, "f")
    assert problems == ()
    (disk,) = layout.disks
    assert [part.size for part in disk.partitions] == [Percent(2550), Rest()]
    assert [part.flags for part in disk.partitions] == [(), (Flag.BOOT, Flag.LBA)]
    assert [part.type_id for part in disk.partitions] == [None, "83"]
    assert layout.entries == (
        Filesystem(
            order=10,
            device="/dev/sdb1",
            mount_point="/",
            type=FilesystemType.EXT3,
            mount_source="LABEL=/",
            dump=1,
            fsck_pass=1,
        ),
        Comment(20, ""),
        Filesystem(
            order=30,
            device="/dev/sdb2",
            mount_point="/srv",
            type=FilesystemType.XFS,
            mount_source="UUID=0a0a0a0a-1111-2222-3333-444444444444",
        ),
        Mount(30, "none", "/dev/pts", "devpts", "gid=5,mode=620"),
        Comment(40, '# a "quoted"\tword'),
        Mount(50, "/dev/hdc", "/media/cd", "iso9660"),
    )
    assert [str(warning) for warning in warnings] == [
        "f:5: ignored: bare text 'some': write it as a comment, <!-- ... -->",
        "f:12: ignored: bare text 'and': write it as a comment, <!-- ... -->",
        'f:19: line="30" stands on line 10 already: give it another number',
        "f:21: ignored: <config> has no element <future>",
    ]


def test_bytes_and_declared_encodings() -> None:
    text = CLASSIC.replace("quoted", "größer").lstrip()
    wanted = load_layout(text, "f")
    assert Comment(40, '# a "größer"\tword') in wanted.entries
    assert load_layout(text.encode(), "f") == wanted
    latin = '<?xml version="1.0" encoding="ISO-8859-1"?>\n' + text
    assert load_layout(latin.encode("latin-1"), "f") == wanted
    assert load_layout(latin, "f") == wanted
    assert load_layout("\n\n  \n" + latin, "f") == wanted
    assert load_layout(latin.replace("ISO-8859-1", "UTF-16").encode("utf-16"), "f") == wanted


def test_an_array_goes_by_both_its_paths(sound: str) -> None:
    raid = '<raid><raid_disk name="/dev/md{}" raid_level="1" devices="/dev/vda1 /dev/vdb1"/></raid>'
    disk = '<disk dev="/dev/vdb" label_type="msdos"><part num="1" size="*"/></disk>'
    text = sound.replace("</disk>", f"</disk>{disk}{raid}").replace(
        'real_dev="/dev/vda1"', 'real_dev="/dev/md{}"'
    )
    for name, used in (("0", "/0"), ("0", "0"), ("/0", "0"), ("/boot", "/boot")):
        layout = load_layout(text.format(name, used), "f")
        (array,) = layout.raids
        assert layout.filesystem_on(array.device) == layout.mounted_at("/boot")


def test_a_comment_hides_nothing(sound: str) -> None:
    text = sound.replace("</config>", "<!-- x --><future/></config>")
    _layout, problems, _warnings = read_layout(text, "f")
    assert [str(problem) for problem in problems] == ["f:12: <config> has no element <future>"]


def test_long_text_is_cut_where_it_is_told(sound: str) -> None:
    text = sound.replace("</config>", "x" * 41 + "</config>")
    _layout, (problem,), _warnings = read_layout(text, "f")
    assert problem.message.startswith(f"bare text '{'x' * 40}'")


def test_lines_stay_right_when_blanks_stand_before_the_declaration() -> None:
    text = '\n\n<?xml version="1.0"?>\n<config format="1">\n<disk/>\n</config>'
    _layout, problems, _warnings = read_layout(text, "f")
    assert problems[0].line == 5


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ("fat32", "-F 32"),
        ("fat12", "-F 12"),
        ("fat16", "-F 16"),
        ("vfat", ""),
        ("fat", ""),
        ("msdos", ""),
    ],
)
def test_names_of_fat(written: str, options: str, sound: str) -> None:
    layout = load_layout(sound.replace('mp="/boot" fs="ext4"', f'mp="/boot" fs="{written}"'), "f")
    (boot,) = [f for f in layout.filesystems if f.mount_point == "/boot"]
    assert (boot.type, boot.mkfs_opts) == (FilesystemType.VFAT, options)


def test_an_explicit_fat_size_wins(sound: str) -> None:
    changed = sound.replace('mp="/boot" fs="ext4"', 'mp="/boot" fs="fat32" mkfs_opts="-F 16"')
    assert load_layout(changed, "f").filesystems[1].mkfs_opts == "-F 16"


def test_units_and_the_rest(sound: str) -> None:
    text = sound.replace('"MiB"', '"GB"').replace('size="256"', 'size="0.25"')
    text = text.replace('size="512"', 'size="512MiB"')
    parts = load_layout(text, "f").disks[0].partitions
    assert [part.size for part in parts] == [
        Fixed(250_000_000),
        Rest(),
        Fixed(512 * 1024**2),
        Rest(),
    ]
    assert [part.kind for part in parts][1:3] == [PartitionKind.EXTENDED, PartitionKind.LOGICAL]


def test_swap_on_none_and_capacity(sound: str) -> None:
    text = sound.replace('mp="swap"', 'mp="none"').replace(
        'dev="/dev/vda" ', 'dev="/dev/vda" capacity="8GiB" '
    )
    layout = load_layout(text, "f")
    assert layout.mounted_at("swap") == layout.filesystems[2]
    assert layout.disks[0].capacity == 8 * 1024**3


FAULTS: list[tuple[str, str, str]] = [
    ('num="1"', 'num="x"', '3: num="x" is no whole number of at least 1'),
    ('num="1"', 'num="0"', '3: num="0" is no whole number'),
    ('num="1" ', "", '3: <part> needs num="..."'),
    ('size="256"', 'size="big"', "3: size: 'big' is no size: write a number"),
    ('size="256" ', "", '3: <part> needs size="...", for example size="512"'),
    ('"primary"', '"main"', '3: p_type="main" is none of primary, extended, logical'),
    ('"boot"', '"bot"', '3: unknown flag "bot": known are boot, root'),
    ('flags="boot"', 'lvm_group="vg0"', '3: /dev/vda1 has lvm_group="vg0", but no <lvm_group>'),
    ('flags="boot"', 'raid_dev="/dev/md0"', '3: /dev/vda1 has raid_dev="/dev/md0", but there is'),
    ('flags="boot"', 'keep="maybe"', '3: keep="maybe" is neither yes nor no'),
    ('flags="boot"', 'min="*"', "3: min: '*' is no fixed size"),
    (
        'dev="/dev/vda" ',
        'dev="/dev/vda" choose="any" ',
        '2: choose="any" is none of smallest, largest',
    ),
    ('dev="/dev/vda" ', 'dev="/dev/vda" holds="data" ', '2: holds="data" is not known: write boot'),
    ('flags="boot"', 'flag="boot"', "3: <part> has no attribute flag: did you mean flags?"),
    ('flags="boot"', 'id="xyz"', '3: id="xyz" is no partition type'),
    ('flags="boot"', f'p_name="{"x" * 37}"', "3: p_name may have 36 characters"),
    ('"msdos"', '"bsd"', '2: label_type="bsd" is neither msdos nor gpt'),
    ('"MiB"', '"MXB"', "2: unit_of_measurement: unknown unit 'MXB'"),
    ('dev="/dev/vda" ', 'dev="vda" ', '2: dev="vda" is no path of a disk'),
    ('dev="/dev/vda" ', 'dev="/dev/../vda" ', '2: dev="/dev/../vda" is no path of a disk'),
    ('dev="/dev/vda" ', 'dev="/dev/vda" capacity="*" ', "2: capacity: '*' is no fixed size"),
    ('mp="/boot" fs="ext4"', 'fs="ext4"', '9: <fsinfo> needs mp="..."'),
    ('mp="/boot" fs="ext4"', 'mp="/boot"', '9: <fsinfo> needs fs="..."'),
    ('mp="/boot" fs="ext4"', 'mp="/boot" fs="e x"', '9: fs="e x" is no type of a file system'),
    ('mp="/boot" fs="ext4"', 'mp="/boot" fs="f2fs"', '9: fs="f2fs" is not supported yet'),
    ('mp="/boot" fs="ext4"', 'mp="/boot" fs="jfs"', '9: fs="jfs" cannot be made'),
    ('mp="/boot" fs="ext4"', 'mp="/boot" fs="ext4" mkfs_opts="-m \'"', "9: mkfs_opts: No closing"),
    ('mp="/boot" fs="ext4"', 'mp="/boot" fs="ext4" mount_dev="LABEL="', '9: mount_dev="LABEL="'),
    ('real_dev="/dev/vda1" ', 'mount_dev="LABEL=b" ', "9: real_dev is missing"),
    ('line="20"', 'line="-1"', '9: line="-1" is no whole number of at least 1'),
    ('pass="1"', 'pass="first"', '8: pass="first" is no whole number'),
    ('line="40"', 'line="40" comment="x&#10;y"', "11: comment holds a line break"),
    ("</config>", "<raid><x/></raid></config>", "12: <raid> holds <raid_disk> only, not <x>"),
    ("</config>", "<lvm><lvm_group/></lvm></config>", '12: <lvm_group> needs name="..."'),
    ("</config>", "<lvm><x/></lvm></config>", "12: <lvm> holds <lvm_group> only, not <x>"),
    ("</config>", "<fsinf/></config>", "12: <config> has no element <fsinf>"),
    ("</config>", "text</config>", "11: bare text 'text': write it as a comment"),
    ('format="1"', 'format="2"', '1: format="2" is not known here'),
    ('format="1"', 'format="1" forat="1"', "1: <config> has no attribute forat"),
    ("</disk>", "<prt/></disk>", "7: <disk> holds <part> only, not <prt>"),
    ("</disk>", '</disk><bootloader flavor="lilo" install_type="legacy"/>', '7: flavor="lilo"'),
    ("</disk>", '</disk><bootloader flavor="grub2" install_type="bios"/>', '7: install_type="bi'),
    ("</disk>", '</disk><bootloader install_type="legacy"/>', '7: <bootloader> needs flavor="..."'),
]


@pytest.mark.parametrize(("old", "new", "expected"), FAULTS)
def test_what_cannot_be_read_is_told(
    old: str, new: str, expected: str, problems: Problems, sound: str
) -> None:
    # Texts that stand more than once are meant where they stand first.
    at = sound.index(old)
    text = sound[:at] + new + sound[at + len(old) :]
    _layout, found, warned = read_layout(text, "f")
    lines = [f"{problem.line}: {problem.message}" for problem in (*found, *warned)]
    assert any(line.startswith(expected) for line in lines), lines
    assert found


def test_an_empty_section_asks_for_nothing(sound: str) -> None:
    wanted = load_layout(sound, "f")
    assert load_layout(sound.replace("</config>", "<raid/><lvm/></config>"), "f") == wanted


def test_a_second_bootloader(sound: str) -> None:
    one = '<bootloader flavor="grub2" install_type="legacy"/>'
    with pytest.raises(DocumentInvalid) as caught:
        load_layout(sound.replace("</disk>", f"</disk>{one}\n{one}"), "f")
    (problem,) = caught.value.problems
    assert str(problem) == "f:8: a second <bootloader>, the first is on line 7: keep one"


def test_another_root_element() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        load_layout("<disks/>", "f")
    assert "the root element of a layout is <config>, not <disks>" in str(caught.value.problems[0])


def test_all_problems_come_at_once(problems: Problems) -> None:
    found = problems(
        ('num="1"', 'num="one"'),
        ('size="512"', 'size="-5"'),
        ('flags="swap"', 'flags="swp"'),
        ('line="20"', 'line="x"'),
        ('fs="proc"', 'fs="/proc"'),
        ('mp="/" ', 'mp="root" '),
        ('fs="swap"', 'fs="btrfs"'),
        ("</config>", "<wish/></config>"),
    )
    assert [line.split(":")[0] for line in found] == [
        "2",
        "3",
        "5",
        "5",
        "8",
        "9",
        "10",
        "11",
        "12",
    ]


MALFORMED = "<config>\n<disk></config>"
BOMB = (
    '<!DOCTYPE c [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><config><disk dev="&b;"/></config>'
)
FILE = '<!DOCTYPE c [<!ENTITY f SYSTEM "file:///etc/hostname">]><config>&f;</config>'
PARAMETER = '<!DOCTYPE c [<!ENTITY % p SYSTEM "http://192.0.2.1/x.dtd"> %p;]><config/>'


@pytest.mark.parametrize("text", [BOMB, FILE, PARAMETER])
@pytest.mark.parametrize(
    ("encoding", "line"),
    # The last one is found by the parser, which does not say where.
    [("utf-8", 3), ("utf-16", 3), ("utf-32", 1)],
)
def test_entities_are_refused(text: str, encoding: str, line: int) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n\n{text}'
    with pytest.raises(DocumentInvalid) as caught:
        load_layout(text.encode(encoding), "f")
    (problem,) = caught.value.problems
    assert problem.line == line
    assert problem.message == "entity declarations are refused: write the text itself"


def test_malformed_xml_says_where() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        load_layout(MALFORMED, "f")
    (problem,) = caught.value.problems
    assert problem.line == 2
    assert problem.message.startswith("not well-formed XML: ")


@pytest.mark.parametrize("text", ["", "   ", "no xml", b"\x00\x01\xff", "<config", "<c>\udcff"])
def test_what_is_no_xml_at_all(text: str | bytes) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        load_layout(text, "f")
    assert str(caught.value.problems[0]).startswith("f:1: not well-formed XML")


def test_a_huge_document_is_not_parsed() -> None:
    text = "<config>" + " " * MAX_BYTES + "</config>"
    with pytest.raises(DocumentInvalid) as caught:
        load_layout(text, "f")
    assert "larger than 4 MiB" in str(caught.value.problems[0])


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        load_layout("<config>" + "<a>" * 1000 + "</a>" * 1000 + "</config>", "f")
    assert "Excessive depth" in str(caught.value.problems[0])


def test_a_dtd_is_not_read(tmp_path: Path, sound: str) -> None:
    dtd = tmp_path / "layout.dtd"
    dtd.write_text("<!ELEMENT <<<")
    text = f'<!DOCTYPE config SYSTEM "{dtd.as_uri()}">{sound}'
    assert load_layout(text, "f") == load_layout(sound, "f")


def test_the_error_counts_and_names_the_file() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        load_layout("<config/>", "layouts/web.xml")
    assert caught.value.message == "2 problems in layouts/web.xml"
    assert caught.value.exit_code == 16
    assert "si-layout(5)" in str(caught.value.hint)


def test_nothing_is_a_layout_without_disks() -> None:
    assert Layout((), ()).filesystems == ()
    assert Layout((), ()).mounted_at("/") is None


def test_the_partition_that_powerpc_boots_from_can_be_said(sound: str) -> None:
    (disk,) = load_layout(sound.replace('flags="boot"', 'flags="prep"'), "f").disks
    assert disk.partitions[0].flags == (Flag.PREP,)
