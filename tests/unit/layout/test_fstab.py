"""fstab(5)."""

from __future__ import annotations

from si.layout.fstab import FstabLine, parse_fstab


def test_lines_of_every_kind() -> None:
    text = (
        "# comment\n\n  # indented\nUUID=1 /\text4 errors=remount-ro 0 1\n"
        "tmpfs /tmp tmpfs\ntmpfs /run tmpfs size=1m\n/dev/sda1 /a ext4 ro 1\n"
        "//srv/a\\040b /mnt/x\\011y cifs ro 1 7\n/dev/b /b xfs ro 0 2 # b\nbroken line\n\n\n"
    )
    assert list(parse_fstab(text)) == [
        "# comment",
        "",
        "# indented",
        FstabLine("UUID=1", "/", "ext4", "errors=remount-ro", 0, 1),
        FstabLine("tmpfs", "/tmp", "tmpfs", "defaults", 0, 0),
        FstabLine("tmpfs", "/run", "tmpfs", "size=1m", 0, 0),
        FstabLine("/dev/sda1", "/a", "ext4", "ro", 1, 0),
        FstabLine("//srv/a b", "/mnt/x\ty", "cifs", "ro", 1, 0),
        FstabLine("/dev/b", "/b", "xfs", "ro", 0, 2),
        "broken line",
    ]


def test_nothing() -> None:
    assert list(parse_fstab("")) == []
    assert list(parse_fstab("\n\n")) == []
