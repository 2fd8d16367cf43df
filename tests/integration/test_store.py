"""The store's commands on real trees: list, copy, move, remove, and when they refuse."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from si.config import Settings, default_settings
from si.errors import ImageExists, ImageInUse, ImageNotFound, NameInvalid, StoreLocked
from si.image import store
from si.image.capture import capture_image
from si.image.lock import lock_holder, lock_image
from si.image.offer import open_offer
from si.image.source import Directory
from si.image.store import copy_image, list_images, load_image, move_image, remove_image
from si.image.swap import remove_tree, retire, sweep_old_trees
from si.image.usage import mounts_in
from si.system.exchange import exchange
from tests.integration.golden_source import IDENTITY, PLACED, differences, make_golden, si, write

LOCKED, EXISTS, NAME_INVALID, IN_USE, NOT_CONFIRMED = 11, 13, 14, 15, 36


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Images web (captured, with all that can stand beside it) and hand (made by hand)."""
    settings = default_settings(tmp_path / "server")
    source = Directory(make_golden(tmp_path / "golden"))
    with lock_image(settings, "web") as held:
        capture_image(settings, held, open_offer(source))
    write(settings.images / "hand/etc/hostname", "by hand\n")
    write(settings.layouts / "web.xml", "<config/>\n")
    write(settings.scripts / "web.master", "#!/bin/sh\n")
    write(settings.overrides / "web/etc/motd", "override\n")
    return settings


def everything(settings: Settings) -> list[str]:
    """All names in the store's folders, hidden ones too."""
    folders = (settings.images, settings.layouts, settings.scripts, settings.overrides)
    return sorted(
        f"{folder.name}/{path.name}" for folder in folders if folder.exists()
        for path in folder.iterdir()
    )  # fmt: skip


def test_listing(settings: Settings) -> None:
    (settings.images / "link").symlink_to("web")
    hand, web = list_images(settings)
    assert (hand.name, hand.captured, hand.bytes) == ("hand", None, None)
    assert (web.name, web.golden_client.endswith("/golden")) == ("web", True)
    done = si(settings.root, "lsimage", "--json")
    assert done.returncode == 0, done.stderr
    listed = {image["name"]: image for image in json.loads(done.stdout)}
    assert listed["web"]["captured"] == web.captured and listed["web"]["paths"] == web.paths
    assert listed["web"]["layout"] == str(settings.layouts / "web.xml")
    assert listed["hand"]["captured"] is None and listed["hand"]["script"] is None
    table = si(settings.root, "lsimage").stdout.splitlines()
    assert table[0].startswith("IMAGE") and "by hand" in table[1] and "MiB" in table[2]
    assert si(settings.root, "lsimage", "web").stdout.splitlines()[1].startswith("web ")
    assert si(settings.root, "lsimage", "wbe").returncode == 12


def test_a_spoiled_record_is_an_image_made_by_hand(settings: Settings) -> None:
    (settings.images / "web/etc/systemimager/image.json").write_text('{"format": 9}')
    assert load_image(settings, "web").captured is None


def test_a_copy_has_every_attribute_and_its_own_name(settings: Settings, tmp_path: Path) -> None:
    done = si(settings.root, "cpimage", "web", "db")
    assert done.returncode == 0, done.stderr
    web, db = load_image(settings, "web"), load_image(settings, "db")
    assert differences(web.path, db.path, (PLACED,), tmp_path) == ""
    assert json.loads((db.path / PLACED[1:]).read_text())["image"] == "db"
    assert db.captured == web.captured
    assert (settings.overrides / "db/etc/motd").read_text() == "override\n"
    assert "[db]" in (settings.run / "rsyncd.conf").read_text()
    assert everything(settings) == sorted(
        [
            "images/db", "images/hand", "images/web", "layouts/db.xml", "layouts/web.xml",
            "overrides/db", "overrides/web", "scripts/db.master", "scripts/web.master",
        ]
    )  # fmt: skip


def test_a_move_takes_everything_along(settings: Settings, tmp_path: Path) -> None:
    done = si(settings.root, "mvimage", "web", "db")
    assert done.returncode == 0, done.stderr
    image = load_image(settings, "db")
    assert differences(tmp_path / "golden", image.path, _identity(PLACED), tmp_path) == ""
    assert json.loads((image.path / PLACED[1:]).read_text())["image"] == "db"
    assert everything(settings) == [
        "images/db", "images/hand", "layouts/db.xml", "overrides/db", "scripts/db.master"
    ]  # fmt: skip
    conf = (settings.run / "rsyncd.conf").read_text()
    assert "[db]" in conf and "[web]" not in conf


def test_a_removal_takes_everything_along(settings: Settings) -> None:
    (settings.images / ".web.staging").mkdir()
    asked = si(settings.root, "rmimage", "web")
    assert asked.returncode == NOT_CONFIRMED
    assert all(f"/{name}" in asked.stdout for name in ("images/web", "web.xml", "web.master"))
    assert (settings.images / "web").exists()
    done = si(settings.root, "rmimage", "web", "--yes")
    assert done.returncode == 0, done.stderr
    assert everything(settings) == ["images/hand"]


@pytest.mark.parametrize("beside", ["images/db", "layouts/db.xml", "scripts/db.master"])
def test_a_name_that_is_taken_is_refused(settings: Settings, beside: str) -> None:
    write(settings.var / beside / "x" if beside == "images/db" else settings.var / beside, "x")
    before = everything(settings)
    for command in ("cpimage", "mvimage"):
        done = si(settings.root, command, "web", "db")
        assert done.returncode == EXISTS and beside in done.stderr
    assert everything(settings) == before


@pytest.mark.parametrize("name", ["../web", "a/b", "a b", "", "..", ".", ".web.staging"])
def test_odd_names_are_refused(settings: Settings, name: str) -> None:
    before = everything(settings)
    with pytest.raises(NameInvalid):
        remove_image(settings, name)
    with pytest.raises(NameInvalid):
        copy_image(settings, "web", name)
    assert si(settings.root, "rmimage", "--yes", "--", name).returncode == NAME_INVALID
    assert everything(settings) == before


def test_a_link_is_no_image(settings: Settings) -> None:
    (settings.images / "link").symlink_to("/etc")
    with pytest.raises(ImageInUse, match="symbolic link"):
        remove_image(settings, "link")
    with pytest.raises(ImageNotFound):
        remove_image(settings, "nothing")
    with pytest.raises(ImageExists):
        copy_image(settings, "web", "web")
    assert Path("/etc/passwd").exists()


@contextlib.contextmanager
def _reader(tree: Path, *, chroot: bool) -> Iterator[subprocess.Popen[str]]:
    """A process that stands in `tree`, by working directory or by root as rsync's daemon does."""
    enter = "import os; os.chroot('.'); " if chroot else ""
    with subprocess.Popen(
        ["python3", "-c", f"{enter}print('in', flush=True); input()"],
        cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "in\n"
        try:
            yield process
        finally:
            process.communicate("\n")


@pytest.mark.parametrize("chroot", [True, False])
def test_an_image_that_is_read_is_not_moved_or_removed(settings: Settings, chroot: bool) -> None:
    with _reader(settings.images / "web", chroot=chroot) as process:
        for words in (("rmimage", "web", "--yes"), ("mvimage", "web", "db")):
            done = si(settings.root, *words)
            assert done.returncode == IN_USE and f"process {process.pid} " in done.stderr
        copy_image(settings, "web", "db")  # reading does not disturb reading
    remove_image(settings, "web")
    assert [image.name for image in list_images(settings)] == ["db", "hand"]


def test_what_is_mounted_in_an_image_is_never_removed(settings: Settings, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    write(precious / "file", "keep me")
    point = settings.images / "hand/mnt"
    point.mkdir()
    subprocess.run(["mount", "--bind", precious, point], check=True)
    try:
        for words in (("rmimage", "hand", "--yes"), ("mvimage", "hand", "db"),
                      ("cpimage", "hand", "db")):  # fmt: skip
            done = si(settings.root, *words)
            assert done.returncode == IN_USE and str(point) in done.stderr, words
        tree = retire(settings.images / "hand", "hand")
        with pytest.raises(ImageInUse):
            remove_tree(settings, tree)
        assert sweep_old_trees(settings) == (tree,)
        assert (precious / "file").read_text() == "keep me"
    finally:
        for mounted in mounts_in(settings.images):
            subprocess.run(["umount", mounted], check=True)
    assert sweep_old_trees(settings) == () and not tree.exists()


def test_only_hidden_trees_of_the_store_can_be_removed(settings: Settings, tmp_path: Path) -> None:
    for path in (settings.images / "web", tmp_path / ".web.old-1", Path("/"), settings.images):
        with pytest.raises(ValueError, match="no tree that may be removed"):
            remove_tree(settings, path)


def test_sweeping_takes_only_what_lost_its_name(settings: Settings) -> None:
    """An image's own name may look like that of a tree that waits to be removed."""
    odd = settings.images / ".x.old-00000000000000000001-2.staging"
    odd.mkdir()
    gone = retire(settings.images / "hand", "hand")
    assert sweep_old_trees(settings) == ()
    assert odd.exists() and not gone.exists()


def test_one_writer_at_a_time(settings: Settings) -> None:
    with lock_image(settings, "web"):
        assert lock_holder(settings, "web") is not None
        for words in (("rmimage", "web", "--yes"), ("mvimage", "web", "db"),
                      ("cpimage", "web", "db"), ("cpimage", "hand", "web")):  # fmt: skip
            done = si(settings.root, *words)
            assert done.returncode == LOCKED and f"process {os.getpid()} " in done.stderr, words
        with pytest.raises(StoreLocked), lock_image(settings, "web"):
            pass
    assert lock_holder(settings, "web") is None
    with lock_image(settings, "web"):
        pass
    assert not [name for name in everything(settings) if ".lock" in name]


def test_a_lock_file_that_was_left_behind_locks_nothing(settings: Settings) -> None:
    (settings.images / ".web.lock").write_text("999999 si-getimage\n")
    assert lock_holder(settings, "web") is None
    remove_image(settings, "web")


def test_a_copy_that_fails_leaves_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(settings)
    write(settings.overrides / "web/etc/x", "x")
    copy = store._copy_tree

    def fail_late(source: Path, destination: Path) -> None:
        copy(source, destination)
        if destination.name == "db":  # the override, copied last
            raise OSError("no")

    monkeypatch.setattr(store, "_copy_tree", fail_late)
    with pytest.raises(OSError, match="no"):
        copy_image(settings, "web", "db")
    assert everything(settings) == before


def test_names_are_exchanged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("b")
    exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_text() == "b" and (tmp_path / "b").is_dir()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "nothing")


def _identity(*more: str) -> tuple[str, ...]:
    return (*(f"/{path}" for path in IDENTITY), *more)


def test_what_a_first_capture_that_failed_left_can_be_dropped(settings: Settings) -> None:
    write(settings.images / ".db.staging/etc/x", "x")
    write(settings.images / ".db.partial-00000000000000000001-2/etc/x", "x")
    done = si(settings.root, "rmimage", "db", "--yes")
    assert done.returncode == 0 and ".db.staging" in done.stdout, done.stderr
    assert everything(settings)[:2] == ["images/hand", "images/web"]
    assert si(settings.root, "rmimage", "db", "--yes").returncode == 12


def test_trials_of_a_killed_command_are_swept(settings: Settings) -> None:
    ours = settings.images / f".probe-{os.getpid()}-x"
    for path in (ours, settings.images / ".probe-4194305-x"):
        path.mkdir()
    sweep_old_trees(settings)
    assert [path.name for path in settings.images.glob(".probe-*")] == [ours.name]


def test_moving(settings: Settings) -> None:
    assert move_image(settings, "hand", "other").path == settings.images / "other"
