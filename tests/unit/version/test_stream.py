"""A manifest read line by line: the same answer as when it is read at once."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from si.errors import ManifestInvalid
from si.version.manifest import Manifest, dump_manifest, parse_manifest
from si.version.record import Record
from si.version.stream import ManifestReader
from tests.unit.version.test_manifest import HASH, manifests, simple


def read_all(data: bytes) -> tuple[Record, ...]:
    reader = ManifestReader(io.BytesIO(data), "test")
    found = [(path, reader.read(line)) for path, line in reader.entries()]
    assert [path for path, _ in found] == [record.path for _, record in found]
    return tuple(record for _, record in found)


@given(manifests())
@settings(max_examples=60, deadline=None)
def test_line_by_line_and_at_once_are_the_same(manifest: Manifest) -> None:
    reader = ManifestReader(io.BytesIO(dump_manifest(manifest)), "test")
    assert (reader.head, reader.frames) == (manifest.head, manifest.frames)
    firsts = {one.target for one in manifest.records if one.kind == "h"}
    assert reader.first_names == firsts
    assert tuple(reader.read(line) for _, line in reader.entries()) == manifest.records
    assert [path for path, _ in reader.entries()] == [one.path for one in manifest.records]


SPOILED = st.sampled_from(
    [
        lambda one: one._replace(path=one.path + b"/../x"),
        lambda one: one._replace(path=one.path[1:] or b"x"),
        lambda one: one._replace(path=b"/.."),
        lambda one: one._replace(path=one.path + b"//x"),
        lambda one: one._replace(path=one.path + b"/in"),
        lambda one: one._replace(path=one.path + b"\n"),
        lambda one: one._replace(kind="h", target=b"/nowhere", size=0, extents=None, xattrs=()),
        lambda one: one._replace(kind="h", target=one.path, size=0, extents=None, xattrs=()),
        lambda one: one._replace(kind="d", size=0, extents=None, content=""),
        lambda one: one._replace(kind="l", target=b"../../etc", size=0, extents=None),
        lambda one: one._replace(frame=one.frame + 1),
        lambda one: one._replace(offset=1 << 40),
    ]
)


@given(manifests(), SPOILED, st.data())
@settings(max_examples=300, deadline=None)
def test_what_one_refuses_so_does_the_other(
    manifest: Manifest, spoil: st.SearchStrategy[Record], data: st.DataObject
) -> None:
    records = list(manifest.records)
    at = data.draw(st.integers(0, len(records) - 1))
    match data.draw(st.sampled_from(["spoil", "double", "drop", "swap"])):
        case "spoil":
            records[at] = spoil(records[at])  # type: ignore[operator]
        case "double":
            records.insert(at, records[at])
        case "drop" if len(records) > 1:
            del records[at]
        case _:
            records[at], records[-1] = records[-1], records[at]
    head = manifest.head._replace(
        paths=len(records), files_bytes=sum(one.size for one in records if one.kind == "f")
    )
    text = dump_manifest(Manifest(head, manifest.frames, tuple(records)))
    try:
        expected = parse_manifest(text, "test").records
    except ManifestInvalid as error:
        if "pass the pack's end" in error.message or "do not make up the tree" in error.message:
            return  # a sum over all lines, which costs more than a reader of some wants to pay
        with pytest.raises(ManifestInvalid, match="test:"):
            read_all(text)
    else:
        assert read_all(text) == expected


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"\nend\n", b"\n", "does not end after 2 paths"),
        (b"\nend\n", b"\nend\nend\n", "does not end after 2 paths"),
        (b"tree 2 10", b"tree 3 10", "does not end after 3 paths"),
        (b"tree 2 10", b"tree 1 10", "does not end after 1 paths"),
        (b"\nframes 1\n", b"\nframes 2\n", "here stands paths"),
        (b"\n2048 70 ", b"\n2048 070 ", "is no number"),
        (b"\n2048 70 ", b"\n2048 ", "a frame has two sizes"),
        (b"\nframes 1\n", b"\nframes 0\n", "frames COUNT"),
        (b"\nframes 1\n", b"\nframes 99999999999999\n", "frames COUNT"),
        (b"\npaths\n", b"\n", "here stands paths"),
        (b"pack 70 1", b"pack 71 1", "do not make up the pack"),
        (b"/etc 0:512", b"/%65tc 0:512", "not how a name is written"),
    ],
)
def test_what_does_not_hold_together(old: bytes, new: bytes, said: str) -> None:
    whole = dump_manifest(simple())
    assert old in whole
    with pytest.raises(ManifestInvalid, match=said) as caught:
        read_all(whole.replace(old, new))
    assert caught.value.message.startswith("test:")


def test_an_empty_line_is_no_end() -> None:
    whole = dump_manifest(simple()).replace(b"tree 2 10", b"tree 3 10")
    with pytest.raises(ManifestInvalid, match="test:14: the paths are not in order"):
        read_all(whole.replace(b"\nf ", b"\n\nf ", 1))


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_manifest_that_is_cut_off_is_refused(cut: int) -> None:
    whole = dump_manifest(simple())
    with pytest.raises(ManifestInvalid, match="test:"):
        read_all(whole[: cut % len(whole)])


def test_a_further_name_of_a_further_name_is_none() -> None:
    manifest = simple()
    file = manifest.records[1]
    one = file._replace(path=b"/f", kind="h", target=b"/etc", size=0, content="")
    two = one._replace(path=b"/g", target=b"/f")
    records = (*manifest.records, one, two)
    text = dump_manifest(manifest._replace(head=manifest.head._replace(paths=4), records=records))
    with pytest.raises(ManifestInvalid, match="test:16: a further name"):
        read_all(text)
    assert HASH in file.content


@pytest.mark.parametrize(
    "path", [b"/etc/inside", b"/nowhere/inside", b"/etc/../x", b"/nowhere/in/x"]
)
def test_a_path_stands_in_a_folder(path: bytes) -> None:
    manifest = simple()
    more = manifest.records[1]._replace(path=path)
    records = (*manifest.records, more)
    head = manifest.head._replace(paths=3, files_bytes=20)
    text = dump_manifest(manifest._replace(head=head, records=records))
    reader = ManifestReader(io.BytesIO(text), "test")
    with pytest.raises(ManifestInvalid, match="test:15: the path is in no folder"):
        list(reader.entries())
