"""What is said of two versions."""

from __future__ import annotations

import pytest

from si.errors import NameInvalid
from si.names_check import VersionName, parse_version_name
from si.version.diff import Change, compare_lines
from si.version.record import Record, describe

FILE = Record(b"/a", "f", 0o644, 0, 0, 1, 3, "1" * 64)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"content": "2" * 64}, ("contents",)),
        ({"mode": 0o600, "uid": 5}, ("mode", "owner")),
        ({"mtime_ns": 2}, ("time",)),
        ({"xattrs": ((b"user.a", b""),)}, ("attributes",)),
        ({"extents": ((0, 1),)}, ("holes",)),
        ({"kind": "p", "size": 0}, ("type",)),
        ({"kind": "h", "size": 0, "target": b"/0"}, ("links",)),
    ],
)
def test_what_of_a_path_differs(change: dict[str, object], what: tuple[str, ...]) -> None:
    other = FILE._replace(**change)  # type: ignore[arg-type]
    changes = compare_lines([describe(FILE)], [describe(other)])
    assert changes.changed == (Change(b"/a", what),)
    assert not changes.added and not changes.removed


def test_paths_that_came_and_went() -> None:
    lines = [describe(FILE._replace(path=path)) for path in (b"/a", b"/a-b", b"/a/c")]
    changes = compare_lines(lines[:1], lines[1:])
    assert changes.added == (b"/a/c", b"/a-b") and changes.removed == (b"/a",)
    assert not compare_lines(lines, list(reversed(lines))).any


def test_names_of_versions() -> None:
    assert parse_version_name("web@12") == VersionName("web", 12)
    assert parse_version_name("web") == VersionName("web", None)
    assert str(VersionName("web", 12)) == "web@12" and str(VersionName("web", None)) == "web"


@pytest.mark.parametrize("text", ["", "@1", "web@", "web@0", "web@01", "web@-1", "web@x", "web@1@2",
                                  "../web@1", "web@1 ", "web@٣", "web@9999999999"])  # fmt: skip
def test_what_is_no_name_of_a_version(text: str) -> None:
    with pytest.raises(NameInvalid):
        parse_version_name(text)
