from __future__ import annotations

import ast
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.client.itemize import (
    Item,
    describe_item,
    merge_passes,
    parse_item,
    quote_path,
    retype_existing,
    unescape_name,
)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"si:>f+++++++++:12:etc/new", "+ /etc/new"),
        (b"si:cd+++++++++:4096:opt/", "+ /opt/"),
        (b"si:*deleting  :0:gone/sub/", "- /gone/sub/"),
        (b"si:*deleting  :0:gone/x", "- /gone/x"),
        (b"si:>f.st......:2:a", "~ /a (contents, times)"),
        (b"si:>fcst......:2:a", "~ /a (contents, times)"),
        (b"si:>fc........:2:a", "~ /a (contents)"),
        (b"si:.f..t......:2:a", "~ /a (times)"),
        (b"si:.f...pog.ax:2:a", "~ /a (mode, owner, group, acl, xattrs)"),
        (b"si:.d..t......:4096:./", "~ / (times)"),
        (b"si:.d...p.....:4096:etc/", "~ /etc/ (mode)"),
        (b"si:cLc........:3:sl", "~ /sl (link target)"),
        (b"si:hf         :3:a/hard", "~ /a/hard (hard link)"),
        (b"si:hf+++++++++:3:a/hard", "+ /a/hard"),
        (b"si:cDc.t......:0:dev", "~ /dev (device, times)"),
        (rb"si:>f+++++++++:0:nl\#012name", r"+ $'/nl\nname'"),
        (b"si:>f+++++++++:0:\xff\xfe", r"+ $'/\xff\xfe'"),
        (rb"si:>f+++++++++:0:b\#134#012c", r"+ $'/b\\#012c'"),
        (b"si:>f+++++++++:0:with:colon", "+ /with:colon"),
        (b"si:cd+++++++++:0:a b/", "+ $'/a b/'"),
    ],
)
def test_lines_of_rsync(line: bytes, said: str) -> None:
    item = parse_item(line)
    assert item is not None
    assert describe_item(item) == said


@pytest.mark.parametrize(
    "line",
    [b"cannot delete non-empty directory: gone", b"", b"si:", b"si:xx:1:a", b"si:>f+++++++++"],
)
def test_messages_are_no_items(line: bytes) -> None:
    assert parse_item(line) is None


def test_only_a_new_time_is_doubtful() -> None:
    lines = (b"si:>f..t......:2:a", b"si:>f.st......:2:a", b"si:.f..t......:2:a")
    items = [parse_item(line) for line in lines]
    assert [item.is_doubtful for item in items if item] == [True, False, False]


def escape_as_rsync(name: bytes) -> bytes:
    """rsync's own rule (its log.c): control bytes, and a backslash before `#ddd`."""
    out = b""
    for place, byte in enumerate(name):
        rest = name[place + 1 : place + 5]
        escapes = byte == 0x5C and rest[:1] == b"#" and len(rest) == 4 and rest[1:].isdigit()
        control = (byte < 0x20 and byte != 9) or byte == 0x7F
        out += b"\\#%03o" % byte if escapes or control else bytes([byte])
    return out


names = st.binary(min_size=1).filter(lambda name: b"\0" not in name) | st.from_regex(
    rb"(\\|#|[0-9]|\n){1,12}", fullmatch=True
)


@given(names)
def test_any_name_comes_back(name: bytes) -> None:
    assert unescape_name(escape_as_rsync(name)) == name


@given(names)
def test_a_quoted_path_is_one_line_that_says_which(name: bytes) -> None:
    quoted = quote_path(b"/" + name)
    assert "\n" not in quoted
    assert quoted.isprintable()
    if quoted.startswith("$'"):
        # Python's literals read \\, \', \n and \xNN as the shell's $'...' does.
        meant = ast.literal_eval(quoted[1:]).encode("utf-8", "surrogateescape")
        raw = b"".join(
            sign.encode("latin-1")
            if ord(sign) < 256 and f"\\x{ord(sign):02x}" in quoted
            else sign.encode()
            for sign in meant.decode("utf-8")
        )
        assert raw == b"/" + name
    else:
        assert shlex.split(quoted) == [(b"/" + name).decode()]


def item(path: str, kind: str = "change", *what: str, folder: bool = False) -> Item:
    return Item(path.encode(), kind, what, folder)


def test_the_last_pass_that_has_a_path_decides() -> None:
    image = [
        item("etc", "change", "times", folder=True),
        item("srv", "add", folder=True),
        item("usr", "change", "mode", folder=True),
        item("held", "remove", folder=True),
    ]
    override = [item("srv", "add", folder=True), item("etc/motd", "change", "contents")]
    held = [frozenset({b"etc", b"etc/motd", b"srv", b"held"})]
    merged = merge_passes([image, override], held)
    assert [describe_item(one) for one in merged] == [
        "~ /etc/motd (contents)",
        "+ /srv/",
        "~ /usr/ (mode)",
    ]


def test_the_override_has_its_own_say_on_a_directory() -> None:
    image = [item("etc", "change", "times", folder=True)]
    first = [item("etc", "change", "mode", folder=True)]
    second = [item("etc", "change", "owner", folder=True)]
    held = [frozenset({b"etc"}), frozenset({b"etc"})]
    merged = merge_passes([image, first, second], held)
    assert [one.what for one in merged] == [("owner",)]


def test_removed_and_made_again_is_a_change_of_type() -> None:
    items = [item("x", "remove", folder=True), item("x/in", "remove"), item("x", "add")]
    merged = merge_passes([items], [])
    assert [describe_item(one) for one in merged] == ["~ /x (type)", "- /x/in"]


def test_new_in_the_place_of_something_is_a_change_of_type() -> None:
    items = retype_existing([item("a", "add"), item("b", "add")], frozenset({b"b"}))
    assert [describe_item(one) for one in items] == ["+ /a", "~ /b (type)"]
