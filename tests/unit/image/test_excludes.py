"""What a capture leaves out, as rsync rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.client.record import Swap
from si.errors import ConfigInvalid
from si.image.excludes import (
    ASKED,
    DBUS_MACHINE_ID,
    IDENTITY,
    Mount,
    asking_rules,
    check_path,
    make_excludes,
    matches_asked,
    parse_own,
    read_mounts,
)

ROOT = Mount("/", "ext4", is_bind=False)


def rules(*mounts: Mount, own: tuple[str, ...] = ()) -> tuple[str, ...]:
    return make_excludes((ROOT, *mounts), own=own, dbus_id_is_link=True).rules


def test_contents_of_what_is_no_disk_stay_out() -> None:
    made = rules(Mount("/proc", "proc", is_bind=False), Mount("/home", "xfs", is_bind=False))
    assert made[0] == "/proc/*"
    assert "/home/*" not in made and "/home/lost+found/" in made and "/lost+found/" in made


def test_the_root_is_never_left_out() -> None:
    only = make_excludes([Mount("/", "overlay", is_bind=False)], dbus_id_is_link=True)
    assert only.rules[0] == "/lost+found/" and only.mounts == ()


def test_what_is_mounted_twice_is_captured_once() -> None:
    findmnt = {
        "filesystems": [
            {
                "target": "/", "source": "/dev/vda2", "fstype": "ext4",
                "children": [
                    {"target": "/srv/bound", "source": "/dev/vda2[/data]", "fstype": "ext4"},
                    {"target": "/again", "source": "/dev/vda2", "fstype": "ext4"},
                    {"target": "/boot", "source": "/dev/vda1", "fstype": "ext4"},
                    {"target": "/b", "source": "/dev/vdb", "fstype": "btrfs", "children": [
                        {"target": "/b/home", "source": "/dev/vdb[/@home]", "fstype": "btrfs"},
                    ]},
                ],
            }
        ]
    }  # fmt: skip
    made = make_excludes(read_mounts(findmnt), dbus_id_is_link=True)
    assert made.mounts == (("/srv/bound", "ext4"), ("/again", "ext4"))
    assert made.rules[:2] == ("/srv/bound/*", "/again/*")


@pytest.mark.parametrize(
    ("point", "rule"),
    [
        ("/a b", "/a b/*"),
        ("/a*b", "/a\\*b/*"),
        ("/a[1]?", "/a\\[1]\\?/*"),
        ("/a\\b", "/a\\\\b/*"),
        ("/a\nb", "/a?b/*"),
        ("/run", "/run/*"),
    ],
)
def test_odd_mount_points_match_themselves_alone(point: str, rule: str) -> None:
    assert rules(Mount(point, "tmpfs", is_bind=False))[0] == rule


@given(st.text(min_size=1))
def test_no_mount_point_makes_a_second_rule(point: str) -> None:
    made = make_excludes([Mount(f"/{point}", "tmpfs", is_bind=False)], dbus_id_is_link=True)
    assert len(made.text.split("\n")) == len(made.rules) + 1


def test_the_administrators_rules_come_before_identity_and_after_mounts() -> None:
    made = rules(Mount("/proc", "proc", is_bind=False), own=("+ /etc/hostname", "/srv/x"))
    assert made.index("/proc/*") < made.index("+ /etc/hostname") < made.index("/etc/hostname")


def test_swap_files_stay_out_and_swap_partitions_are_no_files() -> None:
    swaps = (Swap("/swap[1]", "file", 1, 0, 0), Swap("/dev/vda3", "partition", 1, 0, 0))
    made = make_excludes((ROOT,), swaps, dbus_id_is_link=True).rules
    assert "/swap\\[1]" in made and "/dev/vda3" not in made


def test_the_dbus_id_stays_out_unless_it_is_a_link() -> None:
    assert DBUS_MACHINE_ID not in make_excludes((), dbus_id_is_link=True).rules
    assert DBUS_MACHINE_ID in make_excludes((), dbus_id_is_link=False).rules


def test_own_rules_are_rsyncs_own_language() -> None:
    text = "# comment\n; comment\n\n+ /a\n- b \r\n*.log\n"
    assert parse_own(text, "f") == ("+ /a", "- b ", "*.log")
    with pytest.raises(ConfigInvalid, match="is no text file"):
        parse_own("a\0b", "f")


@pytest.mark.parametrize("path", ["", "relative", "./x", "/a\nb", "- /a", "/a\0"])
def test_an_exclude_is_an_absolute_path(path: str) -> None:
    with pytest.raises(ConfigInvalid, match="is not an absolute path"):
        check_path(path)
    assert check_path("/srv/*") == "/srv/*"


def test_asking_walks_only_the_way_to_what_is_asked_for() -> None:
    assert asking_rules(["/etc/ssh/ssh_host_*", "/etc/hostid"]) == (
        "+ /etc/", "+ /etc/ssh/", "+ /etc/ssh/ssh_host_*", "+ /etc/hostid", "- *"
    )  # fmt: skip


def test_an_answer_is_known_from_the_way_to_it() -> None:
    assert matches_asked("/etc/ssh/ssh_host_rsa_key", ASKED)
    assert matches_asked("/var/lib/dhcp/dhclient.leases", ASKED)
    assert not matches_asked("/etc/ssh", ASKED) and not matches_asked("/etc", ASKED)
    assert not matches_asked("/var/lib/dhcp/a/b", ASKED)


def test_identity_is_a_list_of_absolute_paths_without_doubles() -> None:
    assert all(path.startswith("/") for path in IDENTITY)
    assert len(set(IDENTITY)) == len(IDENTITY)
