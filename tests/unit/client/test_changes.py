"""What an update does and in which order, worked out from differences and a manifest."""

from __future__ import annotations

import hashlib
import io

from si.client.changes import DRESS, LINK, MAKE, WRITE, Change, Work, order_of_placing, plan_changes
from si.client.differences import ATTRIBUTES, CHANGED, EXTRA, MISSING, MODE, Difference
from si.client.rules import Protection, parse_rules
from si.version.manifest import FileSum, Frame, Head, render_manifest
from si.version.record import Record, dump_line, sort_key
from si.version.stream import ManifestReader

SUM = hashlib.sha256(b"x").hexdigest()


def folder(path: str) -> Record:
    return Record(path.encode(), "d", 0o755, 0, 0, 5)


def file(path: str, mode: int = 0o644) -> Record:
    return Record(path.encode(), "f", mode, 0, 0, 5, 1, SUM)


def further(path: str, first: str) -> Record:
    return Record(path.encode(), "h", 0o644, 0, 0, 5, target=first.encode())


def link(path: str) -> Record:
    return Record(path.encode(), "l", 0o777, 0, 0, 5, target=b"somewhere")


def changed(path: str, *what: str, is_folder: bool = False) -> Difference:
    return Difference(path.encode(), is_folder, (CHANGED,), what)


def missing(path: str, *, is_folder: bool = False) -> Difference:
    return Difference(path.encode(), is_folder, (MISSING,))


def extra(path: str) -> Difference:
    return Difference(path.encode(), False, (EXTRA,))


def plan(
    records: list[Record],
    *differences: Difference,
    excludes: str = "",
    overlaid: str = "",
    absent: str = "",
) -> Work:
    ordered = sorted([folder("/"), *records], key=lambda record: sort_key(record.path))
    head = Head("web", 1, "2026-11-21T12:00:00Z", "", FileSum(1, SUM), None, 1, 1, len(ordered), 1)
    data = render_manifest(head, [Frame(1024, 1, SUM)], map(dump_line, ordered))
    return plan_changes(
        ManifestReader(io.BytesIO(data), "manifest"),
        {one.path: one for one in differences},
        Protection(parse_rules(excludes, "list")),
        frozenset(overlaid.encode().split()),
        frozenset(absent.encode().split()),
    )


def told(work: Work) -> list[tuple[str, str]]:
    return [(change.action, change.path.decode()) for change in work.changes]


def times(work: Work) -> list[str]:
    return [record.path.decode() for record in work.folders]


def test_new_contents_are_written_and_mere_attributes_set() -> None:
    work = plan(
        [folder("/etc"), file("/etc/a"), file("/etc/b"), file("/etc/c"), link("/etc/l")],
        changed("/etc/a", "contents", "time"),
        changed("/etc/b", "time"),
        Difference(b"/etc/c", False, (MODE, ATTRIBUTES)),
        changed("/etc/l", "time"),
    )
    assert told(work) == [
        (WRITE, "/etc/a"), (DRESS, "/etc/b"), (DRESS, "/etc/c"), (WRITE, "/etc/l"),
    ]  # fmt: skip
    assert work.changes[2].what == (MODE, ATTRIBUTES)
    assert times(work) == ["/etc"], "its time changes with what is written in it"


def test_setting_attributes_touches_no_directory() -> None:
    assert times(plan([folder("/etc"), file("/etc/b")], changed("/etc/b", "time"))) == []


def test_a_missing_directory_comes_with_all_that_is_in_it() -> None:
    work = plan(
        [folder("/opt"), folder("/opt/a"), file("/opt/a/x"), file("/opt/b"), file("/other")],
        missing("/opt", is_folder=True),
    )
    assert told(work) == [(MAKE, "/opt"), (MAKE, "/opt/a"), (WRITE, "/opt/a/x"), (WRITE, "/opt/b")]
    assert [change.inside for change in work.changes] == [b"", b"/opt", b"/opt", b"/opt"]
    assert all(change.is_new for change in work.changes)
    assert times(work) == ["/", "/opt", "/opt/a"]


def test_what_is_protected_in_a_missing_directory_does_not_come() -> None:
    work = plan(
        [
            folder("/opt"),
            folder("/opt/a"),
            file("/opt/a/x"),
            file("/opt/b.log"),
            file("/opt/c"),
        ],
        missing("/opt", is_folder=True),
        excludes="/opt/a\n*.log\n",
    )
    assert told(work) == [(MAKE, "/opt"), (WRITE, "/opt/c")]


def test_a_file_that_becomes_a_directory() -> None:
    work = plan([folder("/was"), file("/was/in"), file("/wast")], changed("/was", "type"))
    assert told(work) == [(MAKE, "/was"), (WRITE, "/was/in")]
    assert [change.is_new for change in work.changes] == [False, True]


def test_further_names_follow_a_file_that_is_written_anew() -> None:
    records = [file("/a"), further("/b", "/a"), further("/c", "/a")]
    work = plan(records, changed("/a", "contents"))
    assert told(work) == [(WRITE, "/a"), (LINK, "/b"), (LINK, "/c")]
    assert {change.source for change in work.changes[1:]} == {b"/a"}
    # When only its attributes differ it stays the same file.
    assert told(plan(records, changed("/a", "time"))) == [(DRESS, "/a")]
    assert told(plan(records, changed("/b", "hard link"))) == [(LINK, "/b")]


def test_the_first_name_that_is_not_protected_stands_for_a_file() -> None:
    records = [file("/a"), further("/b", "/a"), further("/c", "/a"), further("/d", "/a")]
    differences = (missing("/b"), changed("/c", "hard link"))
    for given in ({"excludes": "/a"}, {"overlaid": "/a"}):
        work = plan(records, *differences, **given)
        assert told(work) == [(WRITE, "/b"), (LINK, "/c"), (LINK, "/d")]
        assert work.changes[0].record == file("/a")._replace(path=b"/b")
        assert {change.source for change in work.changes[1:]} == {b"/b"}


def test_a_protected_further_name_is_left_alone() -> None:
    records = [file("/a"), folder("/keep"), further("/keep/b", "/a"), further("/z", "/a")]
    work = plan(records, changed("/a", "contents"), excludes="/keep\n")
    assert told(work) == [(WRITE, "/a"), (LINK, "/z")]


def test_a_directory_of_an_override_is_made_for_what_the_image_has_in_it() -> None:
    records = [folder("/o"), folder("/o/p"), file("/o/p/mine"), file("/o/p/own"), file("/o/z")]
    missed = (missing("/o/p/own"), missing("/o/z"))
    work = plan(records, *missed, overlaid="/o /o/p /o/p/mine", absent="/o /o/p")
    assert told(work) == [(MAKE, "/o"), (MAKE, "/o/p"), (WRITE, "/o/p/own"), (WRITE, "/o/z")]
    assert times(work) == ["/"]
    assert told(plan(records, *missed, overlaid="/o /o/p /o/p/mine")) == [
        (WRITE, "/o/p/own"), (WRITE, "/o/z"),
    ]  # fmt: skip


def test_directories_that_lose_something_get_their_times_back() -> None:
    work = plan([folder("/a"), folder("/b")], extra("/a/x"), extra("/y"), extra("/new/z"))
    assert [one.path for one in work.extra] == [b"/a/x", b"/y", b"/new/z"]
    assert times(work) == ["/", "/a"]
    assert times(plan([folder("/a")], extra("/a/x"), overlaid="/a")) == []


def test_libraries_come_before_programs_and_kernels_last() -> None:
    ranks = [
        file("/usr/lib/libc.so.6", 0o755), link("/usr/lib/libc.so"), file("/etc/conf"),
        link("/etc/link"), file("/usr/bin/tool", 0o755), link("/usr/bin/other"),
        file("/boot/vmlinuz"),
    ]  # fmt: skip
    ordered = sorted(
        (Change(record.path, WRITE, record, False) for record in reversed(ranks)),
        key=order_of_placing,
    )
    assert [change.record for change in ordered] == ranks
