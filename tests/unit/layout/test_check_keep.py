"""What can be kept, what of it gets into fstab, and what is warned of."""

from __future__ import annotations

from tests.unit.layout.test_check_layers import find


def kept(number: int, *changes: tuple[str, str]) -> list[str]:
    return find((f'num="{number}" ', f'num="{number}" keep="yes" '), *changes)


def test_what_starts_the_machine_is_made_anew() -> None:
    label = ('mp="/boot" ', 'mp="/boot" mount_dev="LABEL=b" ')
    assert kept(2, label) == ["24: /boot is kept, so the image's kernel gets nowhere: remove keep"]
    assert kept(1, ('mp="/boot/efi" ', 'mp="/boot/efi" format="no" ')) == [
        "22: the ESP /dev/vda1 is kept, so that no boot loader gets onto it: "
        "add another one, with an <fsinfo> of its own, or remove keep"
    ]
    whole = find(
        ('"MiB">', '"MiB" keep="yes">'),
        ('<bootloader flavor="grub2" install_type="efi"/>', ""),
        ('flags="esp"', 'flags="bios_grub"'),
        ('<fsinfo line="30" real_dev="/dev/vda1" mp="/boot/efi" fs="vfat"/>', ""),
    )
    assert any(line.startswith("2: /dev/vda is kept, and so is its boot sector") for line in whole)


def test_nothing_is_made_of_what_is_kept() -> None:
    assert kept(3) == [
        "11: /dev/vda3 is kept, but /dev/md1 would be made of it anew: remove one of the two"
    ]


def test_the_root_is_made_anew() -> None:
    boot = ('"/dev/vda6" mp="/b"', '"/dev/vda6" mp="/"')
    changes = (boot, ('"/dev/sys/root" mp="/"', '"/dev/sys/root" mp="/r"'))
    assert kept(6, *changes, ('name="@" mp="/b"', 'name="@" mp="/"')) == [
        "27: the root is kept, so nothing could be installed on it"
    ]


def test_format_no_is_warned_of_unless_it_is_kept() -> None:
    line = ('"/dev/vda2" mp="/boot" fs="ext4"/>', '"/dev/vda2" mp="/x" fs="ext4" format="no"/>')
    text = 'format="no" does not keep what is on /dev/vda2'
    assert any(
        text in found and "the table is written anew" in found
        for found in find(line, warnings=True)
    )
    beside = ('num="6" ', 'num="6" keep="yes" ')
    assert any(
        text in found and "it is wiped" in found for found in find(line, beside, warnings=True)
    )
    own = ('num="2" ', 'num="2" keep="yes" ')
    assert not any(text in found for found in find(line, own, warnings=True))


def test_names_of_chosen_disks_do_not_get_into_fstab() -> None:
    chosen = (
        '<disk dev="/dev/si/x" label_type="gpt" choose="largest"><part num="1" size="*"/></disk>'
    )
    line = '<fsinfo line="60" real_dev="/dev/si/x-part1" mp="/x" fs="{}" format="no" {}/>'
    says = "the installed system has no /dev/si/x-part1, which fstab would name"
    for fs, source, is_told in (
        ("ext4", "", True),
        ("ntfs", "", True),
        ("ext4", 'mount_dev="LABEL=x"', False),
    ):
        added = line.format(fs, source)
        found = find(("  <raid>", f"{chosen}<raid>"), ("</config>", f"{added}</config>"))
        assert (
            found[0].partition(": ")[2].partition(":")[0] == says if found else False
        ) is is_told
        assert len(found) == is_told
