"""si-audit of trees that were unpacked from a version, against a real si-server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.lab.specimens import FOLDER
from si.client.excludes import DEFAULT_LIST
from tests.integration.client_kit import Ended, Program, rsync
from tests.integration.installed_kit import OLD, copy_tree, install, make_published, put
from tests.integration.server_kit import Server, running_server, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with web@1 and no overrides."""
    settings = make_published(tmp_path_factory.mktemp("site"))
    with running_server(settings, "--only", "http,rsync") as running:
        yield running


@pytest.fixture(scope="module")
def installed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(server.settings, tmp_path_factory.mktemp("client") / "tree")


@pytest.fixture
def client(installed: Path, tmp_path: Path) -> Path:
    """A copy of it to do harm to."""
    return copy_tree(installed, tmp_path / "tree")


def audit(program: Program, client: Path, *words: str) -> Ended:
    return program("audit", "--root", client, *words)


def lines_of(program: Program, client: Path, *words: str) -> list[str]:
    done = audit(program, client, *words)
    assert done.code == 4, done.stderr + done.stdout
    return done.lines


def test_a_fresh_copy_is_its_image(program: Program, installed: Path) -> None:
    for words in ((), ("--full",), ("--image", "web@1")):
        done = audit(program, installed, *words)
        assert (done.code, done.stdout) == (0, ""), done.stderr
        assert "nothing differs from web@1" in done.stderr


def test_every_class_of_drift_is_found(program: Program, client: Path) -> None:
    file = client / "usr/d0/f000"
    size = file.stat().st_size
    file.write_bytes(b"x" * (size + 1))
    touched = client / "usr/d1/f001"
    os.utime(touched, (OLD, OLD))
    rewritten = client / "usr/d2/f002"
    rewritten.write_bytes(b"y" * rewritten.stat().st_size)
    (client / "usr/d3/f003").unlink()
    shutil.rmtree(client / "usr/d4")
    (client / "usr/d5/f005").chmod(0o4755)
    os.chown(client / "usr/d6/f006", 12, 34)
    put(client / "opt/stray/deep/file", "")
    (client / "usr/d7/f007").unlink()
    (client / "usr/d7/f007").mkdir()
    put(client / "usr/d7/f007/inside", "")
    (client / "usr/d8/f008").unlink()
    (client / "usr/d8/f008").symlink_to("f020")
    assert lines_of(program, client) == [
        "changed: / (time)",
        "extra: /opt/",
        "changed: /usr/ (time)",
        "changed: /usr/d0/f000 (contents, time)",
        "changed: /usr/d1/f001 (time)",
        "changed: /usr/d2/f002 (contents, time)",
        "changed: /usr/d3/ (time)",
        "missing: /usr/d3/f003",
        "missing: /usr/d4/",
        "mode: /usr/d5/f005",
        "owner: /usr/d6/f006",
        "changed: /usr/d7/ (time)",
        "changed: /usr/d7/f007/ (type)",
        "changed: /usr/d8/ (time)",
        "changed: /usr/d8/f008 (type)",
    ]


def test_what_lstat_does_not_show(program: Program, client: Path) -> None:
    folder = client / FOLDER
    links = (folder / "links").stat()
    os.removexattr(folder / "capable", "security.capability")
    os.removexattr(folder / "acl-and-xattr", "user.origin")
    subprocess.run(["setfacl", "-d", "-x", "u:1000", folder / "acl-default"], check=True)
    os.setxattr(folder / "xattr", "user.more", b"")
    shutil.copy2(folder / "links/first", folder / "links/copy")
    (folder / "links/copy").replace(folder / "links/second")
    (folder / "links/pair-b").unlink()
    (folder / "links/pair-b").hardlink_to(folder / "links/first")
    target = (folder / "links/relative").lstat()
    for name in ("relative", "hard-linked-symlink"):
        (folder / "links" / name).unlink()
    (folder / "links/relative").symlink_to("second")
    (folder / "links/hard-linked-symlink").hardlink_to(folder / "links/relative")
    when = (target.st_atime_ns, target.st_mtime_ns)
    os.utime(folder / "links/relative", ns=when, follow_symlinks=False)
    os.utime(folder / "links", ns=(links.st_atime_ns, links.st_mtime_ns))
    assert lines_of(program, client) == [
        f"attributes: /{FOLDER}/acl-and-xattr",
        f"attributes: /{FOLDER}/acl-default/",
        f"capability lost: /{FOLDER}/capable",
        f"changed: /{FOLDER}/links/hard-linked-symlink (target)",
        f"changed: /{FOLDER}/links/pair-b (hard link)",
        f"changed: /{FOLDER}/links/second (hard link)",
        f"attributes: /{FOLDER}/xattr",
    ]


def test_two_files_of_the_image_that_are_one_here(program: Program, client: Path) -> None:
    for name in ("usr/d1/f001", "usr/d2/f002"):
        (client / name).unlink()
    (client / "usr/d1/f001").hardlink_to(client / "usr/d0/f000")
    shutil.copy2(client / "usr/d0/f000", client / "usr/d2/f002")
    assert lines_of(program, client) == [
        "changed: /usr/d1/ (time)",
        "changed: /usr/d1/f001 (hard link, contents)",
        "changed: /usr/d2/ (time)",
        "changed: /usr/d2/f002 (contents)",
    ]


def test_a_change_that_keeps_size_and_time_needs_a_full_audit(
    program: Program, client: Path
) -> None:
    for name in ("usr/d0/f000", "usr/large0"):
        file = client / name
        status = file.stat()
        with file.open("r+b") as opened:
            opened.seek(status.st_size - 1)
            last = opened.read(1)
            opened.seek(status.st_size - 1)
            opened.write(bytes([last[0] ^ 1]))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    mode = client / "usr/d1/f001"
    mode.chmod(0o600)
    assert lines_of(program, client) == ["mode: /usr/d1/f001"]
    assert sorted(lines_of(program, client, "--full")) == [
        "changed: /usr/d0/f000 (contents)",
        "changed: /usr/large0 (contents)",
        "mode: /usr/d1/f001",
    ]


def test_what_is_protected_is_no_drift_and_says_by_what(program: Program, client: Path) -> None:
    own = put(
        client / "etc/systemimager/updateclient.local.exclude", "# mine\n*.journal\n/srv/own\n"
    )
    put(client / "etc/systemimager/updateclient.exclude", "/usr/d1/*\n")
    put(client / "usr/d1/f001", "protected by the image's list")
    put(client / "usr/d2/kept", "protected on the command line")
    put(client / "srv/own/file", "")
    put(client / "new/deep/x.journal", "")
    put(client / "new/stray", "")
    put(client / "proc/1/comm", "")
    (client / "usr/large1").unlink()
    words = ("--exclude", "/usr/d2/", "--exclude", "/usr/large1")
    bare = ["changed: / (time)", "extra: /etc/systemimager/updateclient.exclude",
            "extra: /new/stray"]  # fmt: skip
    assert lines_of(program, client, *words) == bare
    told = lines_of(program, client, "--protected", *words)
    assert [line for line in told if not line.startswith("protected: ")] == bare
    built_in, image = "built in: identity of this machine", f"{own.parent}/updateclient.exclude"
    assert [line[11:] for line in told if line.startswith("protected: ")] == [
        f"/etc/hostname (extra; by /etc/hostname ({built_in}))",
        *(
            f"/etc/systemimager/{name} (extra; by /etc/systemimager/{name} ({built_in}))"
            for name in ("client.json", "site-key.pub", "updateclient.local.exclude")
        ),
        f"/new/ (extra; by *.journal ({own}:2))",
        f"/new/deep/ (extra; by *.journal ({own}:2))",
        f"/new/deep/x.journal (extra; by *.journal ({own}:2))",
        "/proc/ (extra; by /proc/* (built in: /proc is not the image's))",
        "/proc/1/ (extra; by /proc/* (built in: /proc is not the image's))",
        f"/srv/own/ (extra; by /srv/own ({own}:3))",
        f"/usr/d1/f001 (changed; by /usr/d1/* ({image}:1))",
        "/usr/d2/ (changed; by /usr/d2/ (--exclude))",
        "/usr/large1 (missing; by /usr/large1 (--exclude))",
    ], "\n".join(told)


def test_nothing_but_protected_differences_is_no_drift(program: Program, client: Path) -> None:
    put(client / "etc/ssh/ssh_host_rsa_key", "secret")
    put(client / "home/bob/letter", "")
    put(client / "tmp/x", "")
    done = audit(program, client, "--exclude", "/etc/ssh", "--exclude", "/tmp")
    assert (done.code, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "/home/ann/letter",
            "/home/ann/letter: protected by /home/* (default list:{}), which protects /home/ann",
        ),
        ("/etc/fstab", "/etc/fstab: protected by /etc/fstab (built in: identity of this machine)"),
        ("/proc/1", "/proc/1: protected by /proc/* (built in: /proc is not the image's)"),
        ("/usr/bin/../bin/tool", "/usr/bin/tool: nothing protects it"),
        ("/", "/: nothing protects it"),
    ],
)
def test_what_protects_a_path(program: Program, installed: Path, path: str, said: str) -> None:
    line = DEFAULT_LIST.split("\n").index("/home/*") + 1
    done = audit(program, installed, "--explain", path)
    assert (done.code, done.lines) == (0, [said.format(line)]), done.stderr


def test_an_exclude_list_with_a_bad_line_stops_it(program: Program, client: Path) -> None:
    own = put(client / "etc/systemimager/updateclient.local.exclude", "/srv\n!\n")
    done = audit(program, client)
    assert (done.code, done.stdout) == (10, "")
    assert f"{own}:2: '!' is not allowed" in done.stderr
    own.unlink()
    assert audit(program, client, "--explain", "etc").code == 10


def test_all_of_it_as_json(program: Program, client: Path) -> None:
    (client / "usr/d5/f005").chmod(0o4755)
    put(client / "usr/d5/new\nline", "")
    done = audit(program, client, "--json")
    assert done.code == 4, done.stderr
    told = json.loads(done.stdout)
    differences = told.pop("differences")
    summary = told.pop("summary")
    assert told == {"client": "web1", "image": "web", "version": 1, "overrides": []}
    assert {"path": "/usr/d5/f005", "directory": False, "classes": ["mode"], "what": [],
            "protected_by": None} in differences  # fmt: skip
    assert {one["path"]: one["classes"] for one in differences if not one["protected_by"]} == {
        "/usr/d5": ["changed"], "/usr/d5/f005": ["mode"], r"$'/usr/d5/new\nline'": ["extra"],
    }  # fmt: skip
    rules = [one["protected_by"] for one in differences if one["path"] == "/etc/hostname"]
    assert rules == [{"rule": "- /etc/hostname", "source": "built in: identity of this machine"}]
    protected = sum(1 for one in differences if one["protected_by"])
    assert summary == {"differ": 3, "protected": protected, "changed": 1, "mode": 1, "extra": 1}


def test_a_socket_is_no_drift(program: Program, client: Path) -> None:
    before = (client / "usr").stat()
    os.mknod(client / "usr/socket", 0o140755)
    os.utime(client / "usr", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert audit(program, client).code == 0


def test_an_override_is_what_the_machine_should_be(
    program: Program, server: Server, client: Path
) -> None:
    override = server.settings.overrides / "web1"
    put(override / "usr/d1/f001", "from the override")
    put(override / "usr/d1/added", "also")
    module = f"rsync://127.0.0.1:{server.settings.server.rsync_port}/override-web1/"
    try:
        wait_until(lambda: rsync(module).returncode == 0, "the override is offered")
        assert {"changed: /usr/d1/f001 (contents, times)", "missing: /usr/d1/added"} <= set(
            lines_of(program, client)
        )
        before = (client.stat().st_atime_ns, client.stat().st_mtime_ns)
        subprocess.run(["rsync", "-a", f"{override}/usr", f"{client}/"], check=True)
        os.utime(client, ns=before)
        done = audit(program, client)
        assert (done.code, done.stdout) == (0, ""), done.stderr
    finally:
        shutil.rmtree(override)


def test_mounts_guard_themselves(program: Program, client: Path) -> None:
    points = [client / name for name in ("data", "usr/d3/inside")]
    for point in points:
        point.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", point], check=True)
    try:
        for point in points:
            put(point / "file", "")
        done = audit(program, client, "--protected")
        assert done.code == 0, "the time of what holds a mount does not count"
        told = done.lines
        by = "(built in: a mount of type tmpfs)"
        assert f"protected: /data/ (extra; by /data {by})" in told
        assert f"protected: /usr/d3/inside/ (extra; by /usr/d3/inside {by})" in told
        assert not any("file" in line for line in told)
    finally:
        for point in points:
            subprocess.run(["umount", point], check=True)


def test_a_disk_is_the_images_where_the_image_has_something(program: Program, client: Path) -> None:
    disk = client.parent / "disk.img"
    with disk.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    points = [client / "added", client / "usr/d3"]
    points[0].mkdir()
    subprocess.run(["mount", "-o", "loop", disk, points[0]], check=True)
    try:
        subprocess.run(["mount", "--bind", points[0], points[1]], check=True)
        put(points[0] / "precious", "")
        told = lines_of(program, client, "--protected")
        by = "(built in: a disk that the image knows nothing about)"
        assert f"protected: /added/ (extra; by /added {by})" in told
        assert {"extra: /usr/d3/precious", "missing: /usr/d3/f003"} <= set(told)
    finally:
        for point in reversed(points):
            subprocess.run(["umount", point], check=False)


def test_refusals(program: Program, client: Path, tmp_path: Path) -> None:
    assert audit(program, client, "--image", "web@7").code == 60
    assert audit(program, client, "--image", "none").code == 12
    assert audit(program, client, "--image", "../web").code == 14
    assert audit(program, client, "--server", "127.0.0.1:1").code == 33
    key = client / "etc/systemimager/site-key.pub"
    key.unlink()
    keyless = audit(program, client)
    assert keyless.code == 10
    assert "site-key.pub" in keyless.stderr
    put(key, "ssh-ed25519 AAAA of another site\n")
    assert audit(program, client).code == 61
    assert audit(program, tmp_path / "nothing").code == 10
