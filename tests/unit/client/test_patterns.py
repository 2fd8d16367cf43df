"""What a pattern means, as the manual of rsync tells it; tests/integration asks rsync itself."""

from __future__ import annotations

import pytest

from si.client.patterns import Pattern


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/etc/motd", "/etc/motd", True),
        ("/etc/motd", "/old/etc/motd", False),
        ("etc/motd", "/old/etc/motd", True),
        ("etc/motd", "/oldetc/motd", False),
        ("motd", "/etc/motd", True),
        ("*.journal", "/var/log/x.journal", True),
        ("*.journal", "/var/x.journal/y", False),
        ("/home/*", "/home/ann", True),
        ("/home/*", "/home/ann/letter", False),
        ("/home/**", "/home/ann/letter", True),
        ("/var/*/cache", "/var/lib/cache", True),
        ("/var/*/cache", "/var/lib/x/cache", False),
        ("/var/**/cache", "/var/lib/x/cache", True),
        ("**/cache", "/cache", True),
        ("lib/?/cache", "/var/lib/x/cache", True),
        ("lib/?/cache", "/var/lib/xx/cache", False),
        ("[[:digit:]]*", "/tmp/7zip", True),
        ("[!a-c]x", "/bx", False),
        ("[", "/[", False),
        (r"wild\*", "/wild*", True),
        (r"wild\*", "/wilder", False),
        (r"back\slash", r"/back\slash", True),
    ],
)
def test_files(pattern: str, path: str, matches: bool) -> None:
    found = Pattern(pattern.encode()).matches(path.encode(), is_folder=False)
    assert found is matches


def test_a_slash_at_the_end_means_folders_alone() -> None:
    pattern = Pattern(b"lost+found/")
    assert pattern.matches(b"/home/lost+found", is_folder=True)
    assert not pattern.matches(b"/home/lost+found", is_folder=False)


def test_three_stars_mean_the_folder_too() -> None:
    pattern = Pattern(b"/srv/***")
    assert pattern.matches(b"/srv", is_folder=True)
    assert pattern.matches(b"/srv/www/index", is_folder=False)
    assert not pattern.matches(b"/srv", is_folder=False)


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        (b"/etc/ssh/ssh_host_*", b"/etc/ssh"),
        (b"/boot/grub/*-pc/", b"/boot/grub"),
        (b"/swapfile", b""),
        (b"*.journal", None),
        (b"/var/*/cache", None),
        (b"/var/**", None),
        (b"/srv/x[/]y", None),
        (b"/srv\\x/*", None),
    ],
)
def test_where_it_has_to_be_tried(pattern: bytes, folder: bytes | None) -> None:
    assert Pattern(pattern).folder == folder
