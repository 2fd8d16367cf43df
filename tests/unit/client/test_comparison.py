"""A tree against a manifest: what is passed over unread is what would have been told equal."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from si.client import ahead, alike, comparison
from si.client.ahead import Ahead, Run, look_ahead
from si.client.alike import is_alike
from si.client.comparison import Scope, compare_trees
from si.client.differences import Difference
from si.client.rules import Protection, Rule
from si.errors import ManifestInvalid
from si.version.manifest import FileSum, Frame, Head, Manifest, dump_manifest
from si.version.record import Record, sort_key
from si.version.stream import ManifestReader

TIME_NS = 1_234_567_890_123_456_789
HASH = hashlib.sha256(b"text").hexdigest()
RULES = (Rule(True, "/a/kept", "test"), Rule(True, "c*", "test"))
NAMES = st.sampled_from(["a", "a.b", "b", "b c", "c", "d", "kept"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, str]:
    """Paths, each with a letter: of a file, a directory, a link, or a further name of the first."""
    found: dict[str, str] = {}
    for path in draw(st.lists(PATHS, unique=True, max_size=12)):
        above = [path.rsplit("/", depth)[0] for depth in range(1, path.count("/") + 1)]
        if all(found.get(folder, "d") == "d" for folder in above):
            found.update(dict.fromkeys(above, "d"))
            found.setdefault(path, draw(st.sampled_from("ffffdlh")))
    return found


def plant(top: Path, tree: dict[str, str]) -> None:
    first = None
    for path, kind in sorted(tree.items()):
        if kind == "d":
            (top / path).mkdir(parents=True, exist_ok=True)
            continue
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        if kind == "l":
            (top / path).symlink_to("text")
        elif kind == "h" and first is not None:
            (top / path).hardlink_to(first)
        else:
            (top / path).write_bytes(b"text")
            (top / path).chmod(0o644)
            first = first or top / path
    settle(top)


def settle(top: Path) -> None:
    for path in [top, *top.rglob("*")]:
        os.utime(path, ns=(TIME_NS, TIME_NS), follow_symlinks=False)


def records_of(top: Path) -> Iterator[Record]:
    """What a version of the tree would have."""
    firsts: dict[int, bytes] = {}
    paths = [top, *top.rglob("*")]
    names = {b"/" + os.fsencode(path.relative_to(top)): path for path in paths}
    names[b"/"] = names.pop(b"/.")
    for name in sorted(names, key=sort_key):
        about = names[name].lstat()
        bare = Record(name, "d", stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid, TIME_NS)
        first = firsts.setdefault(about.st_ino, name)
        if first != name:
            yield bare._replace(kind="h", target=first)
        elif stat.S_ISREG(about.st_mode):
            yield bare._replace(kind="f", size=about.st_size, content=HASH)
        elif stat.S_ISLNK(about.st_mode):
            yield bare._replace(kind="l", target=b"text")
        else:
            yield bare


def manifest_of(records: list[Record]) -> io.BytesIO:
    size = sum(record.size for record in records)
    empty = FileSum(0, HASH)
    head = Head("web", 1, "2026-11-21T12:00:00Z", "", empty, None, 1, 1, len(records), size)
    return io.BytesIO(dump_manifest(Manifest(head, (Frame(1, 1, HASH),), tuple(records))))


def compare(
    records: list[Record], top: Path, runs: Iterable[Run] | None = None
) -> list[Difference]:
    """The differences; runs: what another process has told meanwhile."""
    reader = ManifestReader(manifest_of(records), "test")
    with TemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        file.write(b"".join(b"%d %d %b %b\n" % run for run in runs or ()))
        file.flush()
        ahead = None if runs is None else Ahead(file)
        patch.setattr(comparison, "look_ahead", lambda *_: nullcontext(ahead))
        found = compare_trees(reader, Scope(os.fsencode(top), Protection(RULES)))
        return [told for told in found if isinstance(told, Difference)]


def find_runs(records: list[Record], top: Path) -> list[Run]:
    """What another process would tell that looks at all of the tree."""
    reader = ManifestReader(manifest_of(records), "test")
    lines = [line + b"\n" for _, line in reader.entries()]
    first = reader.line + 1 - len(lines)
    lines.append(b"end\n")
    return list(ahead.find_runs(lines, first, os.fsencode(top), reader.first_names, is_alike))


@given(trees(), trees(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_nothing_that_differs_is_passed_over(
    was: dict[str, str], is_now: dict[str, str], is_nearly_the_same: bool
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        old, new = Path(folder, "old"), Path(folder, "new")
        for top in (old, new):
            top.mkdir()
        plant(old, was)
        plant(new, {**was, **is_now} if is_nearly_the_same and not _clash(was, is_now) else is_now)
        records = list(records_of(old))
        assert not [told for told in compare(records, old) if told.rule is None]
        told = compare(records, new)
        assert compare(records, new, find_runs(records, new)) == told
        patch.setattr(comparison, "pass_alike", lambda *_: None)
        assert compare(records, new) == told


def _clash(was: dict[str, str], is_now: dict[str, str]) -> bool:
    return any(kind != is_now.get(path, kind) for path, kind in was.items()) or any(
        other.startswith(f"{path}/") and kind != "d"
        for path, kind in {**was, **is_now}.items()
        for other in {**was, **is_now}
    )


@pytest.fixture
def top(tmp_path: Path) -> Path:
    plant(tmp_path, {"a/kept": "f", "a/other": "f", "a/z": "l", "b": "f", "d": "f"})
    return tmp_path


def test_what_another_process_has_found_is_not_looked_at_again(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = list(records_of(top))
    runs = find_runs(records, top)
    assert runs == [Run(15, 2, b"/a/kept", b"/a/other"), Run(18, 2, b"/b", b"/d")]
    monkeypatch.setattr(alike, "agrees", lambda *_: pytest.fail("it is looked at"))
    assert compare(records, top, runs) == []


def test_a_run_ends_with_its_folder(tmp_path: Path) -> None:
    """/b stands behind /a/file in the manifest, and is in another folder."""
    plant(tmp_path, {"a/file": "f", "b": "f"})
    runs = find_runs(list(records_of(tmp_path)), tmp_path)
    assert [run.last for run in runs] == [b"/a/file", b"/b"]


@pytest.mark.parametrize(
    "run",
    [
        Run(15, 2, b"/a/kept", b"/a/z"),
        Run(15, 2, b"/a/g", b"/a/other"),
        Run(15, 4, b"/a/kept", b"/a/z"),
        Run(15, 3, b"/a/kept", b"/a/other"),
        Run(14, 2, b"/a/kept", b"/a/other"),
        Run(13, 1, b"/", b"/"),
    ],
)
def test_a_run_that_does_not_fit_is_passed_over(top: Path, run: Run) -> None:
    """Names came or went while both were looking."""
    records = list(records_of(top))
    (top / "a/other").chmod(0o600)
    (told,) = compare(records, top, [run])
    assert (told.path, told.classes) == (b"/a/other", ("mode",))


def test_another_process_tells_the_second_half(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = list(records_of(top))
    monkeypatch.setattr(ahead, "_WORTH", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with TemporaryFile() as file:
        file.write(manifest_of(records).getvalue())
        reader = ManifestReader(file, "test")
        with look_ahead(reader, os.fsencode(top), is_alike) as told:
            assert told is not None
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            assert told.run_at(18) == Run(18, 2, b"/b", b"/d")
        assert sum(1 for _ in reader.entries()) == len(records)


def test_on_one_processor_there_is_no_other_process(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = ManifestReader(manifest_of(list(records_of(top))), "test")
    monkeypatch.setattr(ahead, "_WORTH", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with look_ahead(reader, os.fsencode(top), is_alike) as told:
        assert told is None


def test_a_path_in_no_folder_is_refused_though_it_is_here(top: Path) -> None:
    """/a is walked into for what is protected there, though the manifest does not have it."""
    records = [record for record in records_of(top) if record.path != b"/a"]
    with pytest.raises(ManifestInvalid, match="in no folder"):
        compare(records, top)


@pytest.mark.parametrize("number", range(7))
def test_a_path_that_stands_twice_is_refused_though_it_is_here(top: Path, number: int) -> None:
    records = list(records_of(top))
    records.insert(number, records[number])
    with pytest.raises(ManifestInvalid, match="not in order"):
        compare(records, top)


def test_a_fault_behind_what_was_passed_over_is_told_with_its_line(top: Path) -> None:
    records = list(records_of(top))
    last = records[-1]._replace(path=b"/d/../d")
    with pytest.raises(ManifestInvalid, match="test:20: "):
        compare([*records, last], top)


def test_a_file_that_lost_its_further_name_is_told(top: Path) -> None:
    records = list(records_of(top))
    further = records[-1]._replace(path=b"/e", kind="h", target=b"/d", size=0, content="")
    (told,) = compare([*records, further], top)
    assert (told.path, told.classes) == (b"/e", ("missing",))
    (top / "e").write_bytes(b"text")
    settle(top)
    (told,) = compare([*records, further], top)
    assert (told.path, told.what) == (b"/e", ("hard link",))


def test_a_file_that_got_a_further_name_is_told(top: Path) -> None:
    records = list(records_of(top))
    (top / "d").unlink()
    (top / "d").hardlink_to(top / "b")
    settle(top)
    (told,) = compare(records, top)
    assert (told.path, told.what) == (b"/d", ("hard link",))
