"""Members of a pack, read back by Python's own tarfile."""

from __future__ import annotations

import io
import struct
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from si.errors import CannotCarry
from si.version.record import Record
from si.version.tarform import END, format_acl, member_headers, padding


def read(record: Record, data: bytes = b"") -> tarfile.TarInfo:
    stream = member_headers(record) + data + padding(len(data)) + END
    assert len(stream) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(stream), errors="surrogateescape") as archive:
        (member,) = archive.getmembers()
        if member.isreg() and record.extents is None:
            file = archive.extractfile(member)
            assert file is not None and file.read() == data
        return member


@given(
    st.lists(st.binary(min_size=1, max_size=90).filter(lambda n: not set(n) & {0, 47}), min_size=1,
             max_size=6).filter(lambda parts: not {b".", b".."} & set(parts)),
    st.integers(0, 0o7777), st.integers(0, 2**32 - 2), st.integers(0, 2**35),
    st.binary(max_size=700),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_another_reader_reads_the_same(
    parts: list[bytes], mode: int, uid: int, mtime: int, data: bytes
) -> None:
    path = b"/" + b"/".join(parts)
    member = read(Record(path, "f", mode, uid, 7, mtime * 10**9, len(data), "0" * 64), data)
    assert member.name.encode("utf-8", "surrogateescape") == b"." + path
    assert (member.mode, member.uid, member.gid, member.size) == (mode, uid, 7, len(data))
    assert member.mtime == mtime


def test_nothing_is_written_that_is_not_needed() -> None:
    record = Record(b"/etc/passwd", "f", 0o644, 0, 0, 10**18, 5, "0" * 64)
    assert len(member_headers(record)) == 512
    assert len(member_headers(record._replace(path=b"/" + b"d/" * 60 + b"f"))) == 512
    assert len(member_headers(record._replace(mtime_ns=10**18 + 1))) == 1536


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [(10**18 + 1, "1000000000.000000001"), (-1, "-0.000000001"), (-(10**9), "-1"),
     (1_500_000_000, "1.5")],
)  # fmt: skip
def test_times_have_nanoseconds(time_ns: int, text: str) -> None:
    assert read(Record(b"/a", "p", 0o644, 0, 0, time_ns)).pax_headers["mtime"] == text


def test_links_and_devices() -> None:
    target = b"/t" * 150
    assert read(Record(b"/l", "l", 0o777, 0, 0, 0, target=target)).linkname.encode() == target
    hard = read(Record(b"/h", "h", 0o644, 0, 0, 0, target=b"/first"))
    assert hard.islnk() and hard.linkname == "./first"
    device = read(Record(b"/d", "b", 0o660, 0, 6, 0, device=(259, 70000)))
    assert device.isblk() and (device.devmajor, device.devminor) == (259, 70000)
    with pytest.raises(CannotCarry, match="device numbers"):
        member_headers(Record(b"/d", "b", 0o660, 0, 6, 0, device=(1, 2**24)))


def test_attributes() -> None:
    acl = struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *entry)
        for entry in ((1, 6, 2**32 - 1), (2, 4, 1000), (4, 4, 2**32 - 1), (8, 5, 7),
                      (16, 6, 2**32 - 1), (32, 0, 2**32 - 1))
    )  # fmt: skip
    xattrs = ((b"system.posix_acl_access", acl), (b"user.a=b%", b"\0\n="))
    headers = read(Record(b"/a", "f", 0o644, 0, 0, 0, 0, "0" * 64, xattrs=xattrs)).pax_headers
    assert headers["SCHILY.acl.access"] == (
        "user::rw-,user:1000:r--,group::r--,group:7:r-x,mask::rw-,other::---"
    )
    assert headers["SCHILY.xattr.user.a%3Db%25"] == "\0\n="
    for spoiled in (b"", acl[:-1], b"\1" + acl[1:], acl[:4] + b"\x40" + acl[5:]):
        with pytest.raises(ValueError):
            format_acl(spoiled)


def test_holes() -> None:
    record = Record(b"/s", "f", 0o644, 0, 0, 0, 10_000, "0" * 64, extents=((512, 4), (4096, 512)))
    member = read(record, b"x" * 516)
    assert member.issparse() and member.size == 10_000 and member.name == "./s"
