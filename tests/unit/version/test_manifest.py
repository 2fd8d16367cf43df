"""The manifest: what is dumped is read again, and nothing else is believed."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from si.errors import ManifestInvalid
from si.version.manifest import (
    MAX_MESSAGE,
    FileSum,
    Frame,
    Head,
    Manifest,
    dump_manifest,
    parse_head,
    parse_manifest,
)
from si.version.record import (
    MAX_NAME,
    Record,
    dump_line,
    escape,
    parse_line,
    sort_key,
    unescape,
)

HASH = "0123456789abcdef" * 4
NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
IDS = st.integers(0, 2**32 - 2)
XATTRS = st.dictionaries(
    st.binary(min_size=1, max_size=30).filter(lambda name: b"\0" not in name),
    st.binary(max_size=40),
    max_size=3,
).map(lambda found: tuple(sorted(found.items())))


@st.composite
def records(draw: st.DrawFn, path: bytes, kind: str) -> Record:
    size = draw(st.integers(0, 2**40)) if kind == "f" else 0
    extents = None
    if size > 10 and draw(st.booleans()):
        extents = draw(st.sampled_from([(), ((0, 3),), ((2, 3), (7, size - 7))]))
    return Record(
        path=path,
        kind=kind,
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(IDS),
        gid=draw(IDS),
        mtime_ns=draw(st.integers(-(10**20), 10**20)),
        size=size,
        content=HASH if kind == "f" else "",
        target=draw(NAMES) if kind == "l" else b"",
        device=(draw(st.integers(0, 4095)), draw(st.integers(0, 2**20)))
        if kind in "cb"
        else (0, 0),
        xattrs=draw(XATTRS),
        extents=extents,
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    names = draw(st.lists(NAMES, unique=True, max_size=8))
    folder = draw(records(b"/", "d"))
    found = [folder]
    for name in names:
        path = draw(st.sampled_from([one.path for one in found if one.kind == "d"]))
        path = path.rstrip(b"/") + b"/" + name
        found.append(draw(records(path, draw(st.sampled_from("fdlcbp")))))
    found.sort(key=lambda one: sort_key(one.path))
    last = [one for one in found if one.kind == "f"][:1]
    if last:
        link = last[0]._replace(path=last[0].path + b"\xff", kind="h", target=last[0].path, size=0,
                                content="", xattrs=(), extents=None)  # fmt: skip
        if link.path not in {one.path for one in found}:
            found = sorted([*found, link], key=lambda one: sort_key(one.path))
    packed = sum(one.packed for one in found)
    count = 1 + packed // (1 << 20)
    frames = [Frame(1 << 20, 7, HASH) for _ in range(min(count, 3))]
    if count > 3:
        found = [one._replace(size=0, extents=None) for one in found]
    head = Head(
        "web", draw(st.integers(1, 99)), "2026-11-21T12:00:00Z", draw(st.text(max_size=20)),
        FileSum(5, HASH), draw(st.sampled_from([None, FileSum(0, HASH)])), 7 * len(frames), 1,
        len(found), sum(one.size for one in found),
    )  # fmt: skip
    return Manifest(head, tuple(frames), tuple(found))


def simple() -> Manifest:
    root = Record(b"/", "d", 0o755, 0, 0, 1)
    file = Record(b"/etc", "f", 0o644, 0, 0, 1, 10, HASH, offset=512)
    head = Head(
        "web", 3, "2026-11-21T12:00:00Z", "", FileSum(5, HASH), None, 70, 1, 2, 10
    )  # fmt: skip
    return Manifest(head, (Frame(2048, 70, HASH),), (root, file))


@given(manifests())
@settings(max_examples=60, deadline=None)
def test_what_is_dumped_is_read_again(manifest: Manifest) -> None:
    data = dump_manifest(manifest)
    assert parse_manifest(data, "test") == manifest
    assert dump_manifest(parse_manifest(data, "test")) == data
    assert parse_head(data, "test") == manifest.head
    assert data.isascii()


@given(st.binary())
def test_any_bytes_are_one_word(text: bytes) -> None:
    word = escape(text)
    assert unescape(word) == text
    assert set(word) <= set((string.ascii_letters + string.digits + string.punctuation).encode())


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_spoiled_byte_is_refused_or_read_as_what_it_says(data: st.DataObject) -> None:
    whole = dump_manifest(simple())
    at = data.draw(st.integers(0, len(whole) - 1))
    spoiled = bytearray(whole)
    spoiled[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = parse_manifest(bytes(spoiled), "test")
    except ManifestInvalid:
        return
    assert dump_manifest(read) == bytes(spoiled), "one thing has two ways to be written"


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestInvalid, match="test:"):
        parse_manifest(data, "test")
    with pytest.raises(ManifestInvalid):
        parse_line(data)


@pytest.mark.parametrize("cut", [0, 1, 40, 300, -1])
def test_a_manifest_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(ManifestInvalid):
        parse_manifest(dump_manifest(simple())[:cut], "test")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (b"etc", "no path"),
        (b"/a//b", "no path"),
        (b"/a/../b", "no path"),
        (b"/.", "no path"),
        (b"/a/", "no path"),
        (b"/a\0b", "no path"),
        (b"/" + b"x" * (MAX_NAME + 1), "no path"),
        (b"/" + b"x/" * 3000 + b"x", "no path"),
        (b"/no/folder", "in no folder"),
        (b"/", "not in order"),
    ],
)
def test_a_path_that_would_leave_the_tree_is_refused(path: bytes, why: str) -> None:
    whole = simple()
    records = (whole.records[0], whole.records[1]._replace(path=path))
    with pytest.raises(ManifestInvalid, match=why):
        parse_manifest(dump_manifest(whole._replace(records=records)), "test")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"frame": 1}, "outside of the pack"),
        ({"offset": 4096}, "outside of the pack"),
        ({"offset": 2040}, "pass the pack's end"),
        ({"size": 11}, "do not make up the tree"),
        ({"kind": "h", "target": b"/gone", "size": 0, "content": ""}, "does not stand before"),
        ({"kind": "h", "target": b"/", "size": 0, "content": ""}, "does not stand before"),
        ({"kind": "d"}, "not the content|only files"),
        ({"extents": ((4, 9),)}, "passes the end"),
        ({"extents": ((4, 2), (6, 2))}, "does not follow"),
        ({"uid": 2**32 - 1}, "no number"),
    ],
)
def test_a_record_that_contradicts_the_rest_is_refused(change: dict[str, object], why: str) -> None:
    whole = simple()
    record = whole.records[1]._replace(**change)  # type: ignore[arg-type]
    spoiled = whole._replace(records=(whole.records[0], record))
    with pytest.raises(ManifestInvalid, match=why):
        parse_manifest(dump_manifest(spoiled), "test")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"si-manifest 1", b"si-manifest 2"),
        (b"si-manifest 1", b"SI-manifest 1"),
        (b"image web", b"image ../web"),
        (b"version 3", b"version 03"),
        (b"version 3", b"version 0"),
        (b"2026-11-21T12:00:00Z", b"yesterday"),
        (b"frames 1", b"frames 99999999999999"),
        (b"2048 70", b"99999999999 70"),
        (b"pack 70", b"pack 71"),
        (b"tree 2", b"tree 3"),
        (b"\nend\n", b"\n"),
        (b" 0644 ", b" 644 "),
    ],
)
def test_a_line_has_one_form(old: bytes, new: bytes) -> None:
    whole = dump_manifest(simple())
    assert old in whole
    with pytest.raises(ManifestInvalid):
        parse_manifest(whole.replace(old, new, 1), "test")


@pytest.mark.parametrize("message", ["-", "a b", "\U0001f600" * MAX_MESSAGE, "\n\0%"])
def test_messages(message: str) -> None:
    whole = simple()
    data = dump_manifest(whole._replace(head=whole.head._replace(message=message)))
    assert parse_head(data[: 1 << 16], "test").message == message


def test_a_line_says_where_it_stands() -> None:
    with pytest.raises(ManifestInvalid, match="web/3/manifest:14: "):
        parse_manifest(dump_manifest(simple()).replace(b" 0644 ", b" xxxx "), "web/3/manifest")


def test_a_line_reads_like_this() -> None:
    record = Record(b"/a b\xff", "f", 0o4755, 1, 2, -5, 3, HASH, xattrs=((b"user.a=", b"\0"),),
                    extents=((1, 2),), frame=7, offset=8)  # fmt: skip
    line = dump_line(record)
    assert line.decode() == f"f 4755 1 2 -5 3 {HASH} user.a%3D=AA== 1+2 /a%20b%FF 7:8"
    assert parse_line(line) == record
