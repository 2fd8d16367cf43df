"""si-chroot in a small tree with busybox: what is in it, and that nothing stays of it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from si.image.chroot import ENTER
from tests.integration.golden_source import si, si_environment, si_words, wait_for, write

BUSYBOX = "/usr/bin/busybox"
PROGRAMS = "sh sleep cat ls id mount touch mkdir rm tty test echo kill hostname ps env readlink"
LOCKED, NOT_FOUND, IN_USE = 11, 12, 15


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """images/web, a tree that can run busybox."""
    tree = tmp_path / "server/var/lib/systemimager/images/web"
    for folder in ("bin", "proc", "sys", "dev", "run", "root", "usr/sbin"):
        (tree / folder).mkdir(parents=True)
    listed = subprocess.run(["ldd", BUSYBOX], capture_output=True, text=True, check=False).stdout
    for path in (BUSYBOX, *re.findall(r"(/\S+) \(0x", listed)):
        (tree / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tree / path[1:])
    for name in PROGRAMS.split():
        (tree / "bin" / name).symlink_to(BUSYBOX)
    write(tree / "etc/resolv.conf", "nameserver 192.0.2.1\n")
    return tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "server"


def snapshot(tree: Path) -> dict[str, tuple[int, int, int, int, int]]:
    found = {}
    for path in (tree, *tree.rglob("*")):
        about = path.lstat()
        found[str(path)] = (
            about.st_ino, about.st_mode, about.st_uid, about.st_size, about.st_mtime_ns
        )  # fmt: skip
    return found


def mounts_below(tree: Path) -> list[str]:
    """In every mount namespace that a process of this machine is in."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "mountinfo").read_text(errors="replace")
        except OSError:
            continue
        found += [line for line in text.splitlines() if str(tree) in line]
    return found


def inside(tree: Path) -> list[str]:
    """Processes whose root is the tree."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "root").stat().st_ino == tree.stat().st_ino:
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_the_command_gets_its_words_and_gives_its_exit_code(root: Path, tree: Path) -> None:
    before = snapshot(tree)
    done = si(
        root, "chroot", "web", "--", "sh", "-c", 'echo "$1|$2"; pwd; exit 42', "x", "a  b", "$c"
    )
    assert (done.returncode, done.stdout) == (42, "a  b|$c\n/\n"), done.stderr
    assert si(root, "chroot", "web", "--", "nothing-of-this-name").returncode == 127
    assert si(root, "chroot", "web", "--", "sh", "-c", "kill -9 $$").returncode == 137
    assert snapshot(tree) == before
    assert not mounts_below(tree) and not inside(tree)


def test_it_has_devices_of_its_own(root: Path, tree: Path) -> None:
    before = snapshot(tree)
    script = """
        echo x >/dev/null && cat /dev/null && test -c /dev/zero && test -c /dev/urandom &&
        touch /dev/mine /run/mine && mkdir /run/lock/one && test -d /dev/pts && ls /dev &&
        test -f /proc/uptime && test -d /sys/kernel && ! touch /sys/mine
    """
    done = si(root, "chroot", "web", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    listed = "fd full mine null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert " ".join(sorted(done.stdout.split())) == listed
    assert snapshot(tree) == before


def test_what_the_user_writes_stays(root: Path, tree: Path) -> None:
    done = si(root, "chroot", "web", "--", "sh", "-c", "echo hello >/etc/motd; rm /root -r")
    assert done.returncode == 0, done.stderr
    assert (tree / "etc/motd").read_text() == "hello\n" and not (tree / "root").exists()


def test_host_name_and_processes_are_private(root: Path, tree: Path) -> None:
    ours = os.uname().nodename
    done = si(root, "chroot", "web", "--", "sh", "-c", "hostname other; hostname; ps; env")
    assert done.returncode == 0 and done.stdout.startswith("other\n"), done.stderr
    assert os.uname().nodename == ours
    assert str(os.getpid()) not in re.findall(r"^\s*(\d+) ", done.stdout, re.MULTILINE)
    assert "SI_ROOT" not in done.stdout and "HOME=/root" in done.stdout


def test_a_service_that_was_started_ends_with_the_command(root: Path, tree: Path) -> None:
    done = si(root, "chroot", "web", "--", "sh", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 &")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: not inside(tree))


@pytest.mark.parametrize(
    ("link", "resolves"),
    [
        (None, True),
        ("../run/systemd/resolve/stub-resolv.conf", True),
        ("/run/resolvconf/resolv.conf", True),
        ("/nowhere/resolv.conf", False),
        ("resolv.conf", False),
        ("", False),
    ],
)
def test_names_resolve_without_a_file_being_made(
    root: Path, tree: Path, link: str | None, resolves: bool
) -> None:
    if link is not None:
        (tree / "etc/resolv.conf").unlink()
    if link:
        (tree / "etc/resolv.conf").symlink_to(link)
    before = snapshot(tree)
    done = si(root, "chroot", "web", "--", "cat", "/etc/resolv.conf")
    assert snapshot(tree) == before
    if resolves:
        assert (done.returncode, done.stdout) == (0, Path("/etc/resolv.conf").read_text())
        assert done.stderr == ""
    else:
        assert done.returncode != 0 and "names do not resolve" in done.stderr


def test_this_machines_resolv_conf_cannot_be_written_from_inside(root: Path, tree: Path) -> None:
    ours = Path("/etc/resolv.conf").read_bytes()
    done = si(root, "chroot", "web", "--", "sh", "-c", "echo evil >/etc/resolv.conf")
    assert done.returncode != 0
    assert Path("/etc/resolv.conf").read_bytes() == ours
    assert (tree / "etc/resolv.conf").read_text() == "nameserver 192.0.2.1\n"


def test_a_policy_of_the_image_is_bound_over(root: Path, tree: Path) -> None:
    write(tree / "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n")
    (tree / "usr/sbin/policy-rc.d").chmod(0o755)
    before = snapshot(tree)
    assert si(root, "chroot", "web", "--", "/usr/sbin/policy-rc.d", "x", "start").returncode == 101
    assert snapshot(tree) == before


def test_an_image_without_mount_points_is_entered_as_it_is(root: Path, tree: Path) -> None:
    for name in ("proc", "sys", "dev"):
        (tree / name).rmdir()
    (tree / "dev").symlink_to("/etc")
    before = snapshot(tree)
    done = si(root, "chroot", "web", "--", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert done.stderr.count("so it is not mounted") == 3
    assert snapshot(tree) == before


def test_killed_with_9_it_leaves_nothing(root: Path, tree: Path) -> None:
    write(tree / "usr/sbin/policy-rc.d", "x")
    before = snapshot(tree)
    script = "sleep 1000 & echo ready; sleep 1000"
    with contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            si_words("chroot", "web", "--", "sh", "-c", script),
            env=si_environment(root), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        stack.callback(process.kill)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        wait_for(lambda: len(inside(tree)) == 2 and bool(mounts_below(tree)), seconds=5)
        second = si(root, "chroot", "web", "--", "sh", "-c", "exit 0")
        assert second.returncode == LOCKED and f"process {process.pid} " in second.stderr
        removal = si(root, "rmimage", "web", "--yes")
        assert removal.returncode in (LOCKED, IN_USE) and tree.exists()
        process.kill()
        process.wait()
    wait_for(lambda: not inside(tree) and not mounts_below(tree))
    assert snapshot(tree) == before
    assert si(root, "chroot", "--no-publish", "web", "--", "sh", "-c", "exit 5").returncode == 5
    assert sorted(path.name for path in tree.parent.iterdir()) == ["web"]


def test_ctrl_c_is_for_the_program_inside(root: Path, tree: Path) -> None:
    script = "trap 'exit 7' INT; echo ready; while :; do sleep 1; done"
    pid, terminal = pty.fork()
    if pid == 0:
        words = si_words("chroot", "--no-publish", "web", "--", "sh", "-c", script)
        os.execve(words[0], words, si_environment(root))
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    _pid, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 7


def test_an_image_that_is_not_there(root: Path, tree: Path) -> None:
    done = si(root, "chroot", "wbe", "--", "sh")
    assert done.returncode == NOT_FOUND and "images: web" in done.stderr
    (tree.parent / "link").symlink_to(tree)
    assert si(root, "chroot", "link", "--", "sh").returncode == IN_USE


def test_its_script_is_clean_posix_shell() -> None:
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "-"], input=ENTER, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_leaving_may_publish(root: Path, tree: Path) -> None:
    done = si(root, "chroot", "--publish", "web", "--", "sh", "-c", "echo new >/etc/motd")
    assert done.returncode == 0 and "web@1: " in done.stdout, done.stderr
    done = si(root, "chroot", "--publish", "web", "--", "sh", "-c", "echo more >/etc/motd; exit 3")
    assert done.returncode == 3 and "not published" in done.stderr
    assert si(root, "chroot", "web", "--", "id").returncode == 0
    assert si(root, "diff", "web@1").stdout == "~ /etc/motd (contents, time)\n"
    assert si(root, "chroot", "--publish", "--no-publish", "web").returncode == 2
