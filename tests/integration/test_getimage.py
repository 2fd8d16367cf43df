"""si-getimage as a person runs it: tree, layout, master script, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from si.config import Settings, default_settings
from si.image.lock import lock_image
from tests.integration.golden_source import (
    IDENTITY,
    REPOSITORY,
    GoldenDaemon,
    make_golden,
    si,
    wait_for,
    write,
)

FACTS = REPOSITORY / "tests/machines/debian-virtio-bios.json"
LAYOUT = REPOSITORY / "schemas/examples/virtio-boot.xml"
USAGE, CONFIG, LOCKED, NAME_INVALID, DOCUMENT, UNREACHABLE, CONTRADICTS = 2, 10, 11, 14, 16, 24, 32

Run = subprocess.CompletedProcess[str]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = make_golden(tmp_path / "golden")
    shutil.copy(FACTS, tree / "etc/systemimager/facts.json")
    return tree


@pytest.fixture
def daemon(tree: Path, tmp_path: Path) -> Iterator[GoldenDaemon]:
    golden = GoldenDaemon(tree, tmp_path / "daemon")
    yield golden
    golden.kill()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return default_settings(tmp_path / "server")


def getimage(settings: Settings, daemon: GoldenDaemon, *words: object) -> Run:
    return si(
        settings.root, "getimage", "--golden-client", "127.0.0.1", "--port", daemon.port,
        "--image", "web", *words,
    )  # fmt: skip


def test_tree_layout_and_script_stand_and_the_golden_client_is_told(
    settings: Settings, daemon: GoldenDaemon
) -> None:
    done = getimage(settings, daemon)
    assert done.returncode == 0, done.stderr
    layout, script = settings.layouts / "web.xml", settings.scripts / "web.master"
    assert 'dev="/dev/vda"' in layout.read_text()
    assert re.search(r"^parted .*/dev/vda", script.read_text(), re.MULTILINE)
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    assert "[web]" in (settings.run / "rsyncd.conf").read_text()
    for told in (str(layout), str(script), "/etc/machine-id", "/proc (proc)", "si-mkclientnetboot"):
        assert told in done.stdout
    assert "/srv/bound (ext4)" in done.stdout
    assert not any((settings.images / "web" / path).exists() for path in IDENTITY)
    wait_for(daemon.completed.exists)


def test_what_was_captured_is_published(
    tree: Path, settings: Settings, daemon: GoldenDaemon
) -> None:
    done = getimage(settings, daemon)
    assert done.returncode == 0 and "web@1: " in done.stdout, done.stderr
    script = settings.versions / "web/1/script"
    assert script.read_bytes() == (settings.scripts / "web.master").read_bytes()
    write(tree / "srv/new", "x")
    assert "web@" not in getimage(settings, daemon, "--no-publish").stdout
    assert not (settings.versions / "web/2").exists()
    done = getimage(settings, daemon)
    assert "nothing changed since 20" in done.stdout and "web@2: " in done.stdout
    assert "nothing changed since web@2" in getimage(settings, daemon).stdout


def test_again_with_nothing_changed(settings: Settings, daemon: GoldenDaemon) -> None:
    getimage(settings, daemon)
    record = json.loads((settings.images / "web/etc/systemimager/image.json").read_text())
    layout = settings.layouts / "web.xml"
    layout.write_text(layout.read_text() + "<!-- a person was here -->\n")
    daemon.completed.unlink(missing_ok=True)
    done = getimage(settings, daemon)
    assert done.returncode == 0, done.stderr
    assert f"nothing changed since {record['captured']}" in done.stdout
    assert "a person was here" in layout.read_text()
    wait_for(daemon.completed.exists)
    (settings.scripts / "web.master").unlink()
    assert "was there and stays" in getimage(settings, daemon).stdout
    assert (settings.scripts / "web.master").exists()


def test_a_document_left_on_the_golden_client_wins(
    tree: Path, settings: Settings, daemon: GoldenDaemon
) -> None:
    getimage(settings, daemon)
    ours = (settings.layouts / "web.xml").read_text()
    left = ours.replace("<config", "<!-- by hand, over there -->\n<config", 1)
    write(tree / "etc/systemimager/disks-layout.xml", left)
    kept = getimage(settings, daemon)
    assert kept.returncode == 0 and "was there and stays" in kept.stdout, kept.stderr
    assert (settings.layouts / "web.xml").read_text() == ours
    taken = getimage(settings, daemon, "--force")
    assert taken.returncode == 0 and "from disks-layout.xml of the golden client" in taken.stdout
    assert (settings.layouts / "web.xml").read_text() == left


def test_a_document_that_contradicts_the_facts_stops_before_anything_is_copied(
    tree: Path, settings: Settings, daemon: GoldenDaemon
) -> None:
    text = LAYOUT.read_text().replace("/dev/vda", "/dev/vdb")
    write(tree / "etc/systemimager/layout.xml", text)
    done = getimage(settings, daemon)
    assert done.returncode == CONTRADICTS
    assert "/dev/vdb: the golden client has no such disk" in done.stderr and "--yes" in done.stderr
    assert list(settings.images.iterdir()) == [] and not daemon.completed.exists()
    taken = getimage(settings, daemon, "--yes")
    assert taken.returncode == 0, taken.stderr
    assert "contradicts the facts: /dev/vdb" in taken.stderr
    assert (settings.layouts / "web.xml").read_text() == text


def test_a_document_with_faults_stops_before_anything_is_copied(
    tree: Path, settings: Settings, daemon: GoldenDaemon
) -> None:
    write(tree / "etc/systemimager/layout.xml", "<config><disk/></config>\n")
    done = getimage(settings, daemon)
    assert done.returncode == DOCUMENT and "layout.xml:1: " in done.stderr
    assert list(settings.images.iterdir()) == []


def test_a_script_that_a_person_changed_stays(
    tree: Path, settings: Settings, daemon: GoldenDaemon
) -> None:
    getimage(settings, daemon)
    script = settings.scripts / "web.master"
    made = script.read_text()
    script.write_text(made + "echo by hand\n")
    write(tree / "etc/motd", "changed\n")
    done = getimage(settings, daemon)
    assert done.returncode == 0 and "was changed by hand and stays" in done.stderr
    assert script.read_text().endswith("echo by hand\n")
    assert getimage(settings, daemon, "--force").returncode == 0
    assert script.read_text() == made


def test_post_install(settings: Settings, daemon: GoldenDaemon) -> None:
    assert getimage(settings, daemon, "--post-install", "poweroff").returncode == 0
    assert "finish poweroff" in (settings.scripts / "web.master").read_text()


def test_excludes_of_ones_own(
    tree: Path, settings: Settings, daemon: GoldenDaemon, tmp_path: Path
) -> None:
    for path in ("srv/a/f", "srv/b/f", "srv/c.log", "srv/d.log", "srv/[e]/f"):
        write(tree / path, "x")
    write(settings.getimage_exclude, "# a comment\n\n+ /etc/hostname\n/srv/d.log\n")
    write(tmp_path / "more", "/srv/c.log\n")
    done = getimage(
        settings, daemon,
        "--exclude", "/srv/a/", "--exclude", "/srv/b/*", "--exclude-file", tmp_path / "more",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = sorted(
        str(path.relative_to(settings.images / "web")) for path in
        (settings.images / "web/srv").rglob("*")
    )  # fmt: skip
    assert found == ["srv/[e]", "srv/[e]/f", "srv/b"]
    assert (settings.images / "web/etc/hostname").read_text() == "golden\n"
    assert "/srv/b/*" in done.stdout


def test_a_directory_has_no_facts_but_may_get_a_layout(
    tree: Path, settings: Settings, tmp_path: Path
) -> None:
    (tree / "etc/systemimager/facts.json").unlink()
    words = ("getimage", "--directory", tree, "--image", "web")
    done = si(settings.root, *words)
    assert done.returncode == 0 and "no layout and no master script" in done.stderr
    assert not (settings.layouts / "web.xml").exists()
    write(settings.layouts / "web.xml", LAYOUT.read_text())
    done = si(settings.root, *words)
    assert done.returncode == 0, done.stderr
    assert (settings.scripts / "web.master").exists()
    assert si(settings.root, *words[:2], tmp_path / "nothing", *words[3:]).returncode == 25


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--image", "web"), USAGE),
        (("--image", "web", "--golden-client", "g", "--directory", "/x"), USAGE),
        (("--golden-client", "127.0.0.1"), USAGE),
        (("--image", "../web", "--golden-client", "127.0.0.1"), NAME_INVALID),
        (("--image", "-web", "--golden-client", "127.0.0.1"), NAME_INVALID),
        (("--image", "a/b", "--golden-client", "127.0.0.1"), NAME_INVALID),
        (("--image", "web", "--golden-client", "-e reboot"), NAME_INVALID),
        (("--image", "web", "--golden-client", "g", "--exclude", "x"), CONFIG),
        (("--image", "web", "--golden-client", "g", "--exclude-file", "/no/such"), CONFIG),
        (("--image", "web", "--golden-client", "127.0.0.1", "--port", "1"), UNREACHABLE),
    ],
)
def test_bad_input_changes_nothing(settings: Settings, words: tuple[str, ...], code: int) -> None:
    done = si(settings.root, "getimage", *words)
    assert done.returncode == code, done.stderr
    if code != USAGE:
        assert done.stderr.splitlines()[0].startswith("si-getimage: error: ")
    assert not settings.images.exists() or list(settings.images.iterdir()) == []


def test_two_captures_of_one_image_at_once(settings: Settings, daemon: GoldenDaemon) -> None:
    with lock_image(settings, "web"):
        done = getimage(settings, daemon)
    assert done.returncode == LOCKED and "is held by process" in done.stderr
    assert not (settings.images / "web").exists()


def test_names_from_the_golden_client_do_not_steer_the_terminal(
    tree: Path, settings: Settings, daemon: GoldenDaemon
) -> None:
    write(tree / "etc/network/interfaces.d/\x1b[31mred", "x")
    done = getimage(settings, daemon)
    assert done.returncode == 0 and "\x1b" not in done.stdout + done.stderr
    assert "[31mred" in done.stdout
