from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.client.excludes import (
    DEFAULT_LIST,
    below,
    builtin_rules,
    folders_with_protected,
    held_rules,
    join_rules,
    literal,
    parse_excludes,
)
from si.client.rules import Protection, parse_rules
from si.errors import ConfigInvalid
from si.image import excludes as capture


def test_comments_and_empty_lines_are_left_out() -> None:
    text = "# a\n; b\n\n  \n/home/*\r\n*.journal\n/with space \n"
    assert parse_excludes(text, "list") == ("/home/*", "*.journal", "/with space ")


@pytest.mark.parametrize("line", ["!", " ! ", "a\0b", "- ", "+ "])
def test_lines_that_would_undo_the_protection(line: str) -> None:
    with pytest.raises(ConfigInvalid, match="list:2: ") as caught:
        parse_excludes(f"/home\n{line}\n", "list")
    assert caught.value.hint


def test_the_default_list_parses_and_has_the_ancestors_paths() -> None:
    """Reference 3.4, but for what is built in or gone."""
    rules = parse_excludes(DEFAULT_LIST, "default")
    for path in ("/home/*", "/mnt/*", "/var/log/*", "/var/spool/*", "/media/*", "/etc/adjtime"):
        assert path in rules
    assert len(set(rules)) == len(rules)


def test_what_systemd_makes_where_it_is_missing_is_no_drift() -> None:
    protection = Protection(parse_rules(DEFAULT_LIST, "default"))
    for path in (b"/var/lib/systemd/linger", b"/var/lib/systemd/timers", b"/var/lib/private"):
        rules = protection.rules_in(path.rpartition(b"/")[0])
        assert rules.decide(path, is_folder=True) is not None, path


def test_what_a_capture_leaves_out_as_identity_no_update_removes() -> None:
    protected = {rule.pattern for rule in builtin_rules({}, {})}
    protected |= {*parse_excludes(DEFAULT_LIST, "default")}
    for path in (*capture.IDENTITY, *capture.CACHES, capture.DBUS_MACHINE_ID):
        assert any(
            fnmatch.fnmatch(path, pattern) or path.startswith(f"{pattern}/")
            for pattern in protected
        ), path


def test_built_in_rules_stand_alone() -> None:
    rules = builtin_rules(
        {"/mnt/b": "a mount", "/mnt/a[1]": "a disk"}, {"mysqld": ["/var/lib/mysql"]}
    )
    assert [str(rule) for rule in rules[:2]] == [
        "/mnt/a\\[1] (built in: a disk)",
        "/mnt/b (built in: a mount)",
    ]
    sources = {rule.pattern: rule.source for rule in rules}
    assert {"/proc/*", "/etc/machine-id", "lost+found/"} <= set(sources)
    assert sources["/var/lib/mysql/*"] == "built in: mysqld is running"
    assert all(rule.is_protecting for rule in rules)


def test_rules_of_a_list() -> None:
    rules = parse_rules("/a\n- /b\n\n+ /c\nP d\n-e\n", "list")
    assert [rule.text for rule in rules] == ["- /a", "- /b", "+ /c", "- P d", "- -e"]
    assert [rule.source for rule in rules] == [f"list:{n}" for n in (1, 2, 4, 5, 6)]


def test_held_files_are_hidden_and_directories_only_kept() -> None:
    assert held_rules(["/etc/motd"], ["/etc"]) == ("- /etc/motd", "P /etc/")


def test_rules_are_joined_by_nul_and_keep_bytes() -> None:
    assert join_rules(["- /a\nb", "- /\udcff"]) == b"- /a\nb\0- /\xff\0"


def wildmatch(pattern: str, text: str) -> bool:
    """What rsync(1) says of a pattern: the escape works only where there is a wildcard."""
    if not any(sign in pattern for sign in "*?["):
        return pattern == text
    plain, place = "", 0
    while place < len(pattern):
        if pattern[place] == "\\":
            place += 1
        elif pattern[place] in "*?[":
            return False  # a wildcard that counts
        plain += pattern[place]
        place += 1
    return plain == text


@given(st.text(alphabet="ab\\*?[] /", max_size=12).map(lambda text: f"/{text}"))
def test_a_literal_matches_itself(path: str) -> None:
    assert wildmatch(literal(path), path)
    assert below(path).endswith("/*")
    assert wildmatch(below(path)[:-2] + "\\*", path + "*")


def test_folders_in_which_something_is_protected() -> None:
    rules = parse_rules(
        "/tmp/*\n/etc/resolv.conf\n/boot/grub/*-pc/\n*.journal\n/var/*/cache/*\n/swapfile\n"
        "+ /opt/kept\n",
        "list",
    )
    assert folders_with_protected(rules) == {b"tmp", b"etc", b"boot/grub", b"."}


def test_what_protects_a_path() -> None:
    protection = Protection(parse_rules("+ /home/ann/\n/home/*\n*.log\n+ /var/x.log\n", "list"))
    assert protection.holder(b"/home", is_folder=True) is None
    assert protection.holder(b"/home/ann", is_folder=True) is None
    assert protection.holder(b"/home/ann/letter", is_folder=False) is None
    held = protection.holder(b"/home/bob/deep/letter", is_folder=False)
    assert held is not None
    assert (held.path, str(held.rule)) == (b"/home/bob", "/home/* (list:2)")
    log = protection.holder(b"/var/x.log", is_folder=False)
    assert log is not None, "the first rule that matches counts"
    assert log.rule.source == "list:3"
