"""A golden client on loopback for tests: a tree with odd files, its facts, a real rsync daemon."""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from si.client.record import (
    BootFacts,
    Facts,
    Kernel,
    NetworkFacts,
    Swap,
    dump_facts,
)
from si.config import Settings
from si.image.capture import CaptureReport, capture_image, compare_early
from si.image.lock import lock_image
from si.image.offer import open_offer
from si.image.source import GoldenClient

REPOSITORY = Path(__file__).parents[2]
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
IDENTITY = {
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/hostname": "golden\n",
    "etc/ssh/ssh_host_ed25519_key": "secret\n",
    "etc/network/interfaces": "auto eth0\n",
    "etc/NetworkManager/system-connections/wired.nmconnection": "[connection]\n",
    "var/lib/dhcp/dhclient.eth0.leases": "lease {}\n",
    "var/lib/systemd/random-seed": "seed",
}
PLACED = "/etc/systemimager/image.json"
"""What a capture adds to the tree."""


def make_golden(tree: Path) -> Path:
    """A small system with every kind of file that is easy to lose."""
    for folder in ("etc/systemimager", "bin", "home/ann", "proc", "run", "dev", "sys", "tmp"):
        (tree / folder).mkdir(parents=True)
    (tree / "tmp").chmod(0o1777)
    for name, text in IDENTITY.items():
        write(tree / name, text)
    write(tree / "etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    write(tree / "proc/cpuinfo", "not to be copied\n")
    (tree / "var/lib/dbus").mkdir()
    (tree / "var/lib/dbus/machine-id").symlink_to("/etc/machine-id")
    _make_odd_files(tree / "home/ann")
    write(tree / "etc/systemimager/facts.json", dump_facts(make_facts()))
    for path in (tree, tree / "etc", tree / "home/ann"):
        os.utime(path, ns=(10**18 + 123456789, 10**18 + 123456789))
    return tree


def make_facts(*, used_bytes: int = 1_000_000, swaps: tuple[Swap, ...] = ()) -> Facts:
    """Facts of a small machine; /proc and /run are mounts."""
    mounts = [
        {"target": "/proc", "source": "proc", "fstype": "proc", "options": "rw"},
        {"target": "/run", "source": "tmpfs", "fstype": "tmpfs", "options": "rw"},
    ]
    root = {
        "target": "/", "source": "/dev/vda1", "fstype": "ext4", "options": "rw", "children": mounts
    }  # fmt: skip
    return Facts(
        recorded="2026-11-21T12:00:00Z",
        hostname="golden",
        arch="x86_64",
        firmware="bios",
        os_release={"ID": "debian"},
        kernel=Kernel("6.1.0", "quiet"),
        lsblk={"blockdevices": []},
        sfdisk={},
        findmnt={"filesystems": [root]},
        fstab="",
        swaps=swaps,
        blkid="",
        boot=BootFacts("none", (), ""),
        network=NetworkFacts("unknown", []),
        tools={},
        used_bytes=used_bytes,
        inodes=100,
    )


def write(path: Path, data: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def _make_odd_files(home: Path) -> None:
    write(home / "capable", b"\x7fELF")
    os.setxattr(home / "capable", "security.capability", CAPABILITY)
    write(home / "listed", "acl")
    subprocess.run(["setfacl", "-m", "u:12345:r", home / "listed"], check=True)
    subprocess.run(["setfacl", "-d", "-m", "g:54321:rwx", home], check=True)
    os.setxattr(home / "listed", "user.note", b"value\0\xff")
    os.setxattr(home / "listed", "trusted.note", b"value")
    write(home / "one", "linked")
    (home / "two").hardlink_to(home / "one")
    with (home / "sparse").open("wb") as stream:
        stream.write(b"begin")
        stream.truncate(8 << 20)
    os.mknod(home / "device", 0o640 | stat.S_IFBLK, os.makedev(7, 99))
    os.mkfifo(home / "pipe")
    os.mknod(home / "socket", 0o666 | stat.S_IFSOCK)
    for name in (b"a b", b"new\nline", "Grüße".encode(), b"\xff\xfe", b"*?[x]", b"-n", b"n" * 255):
        write(home / os.fsdecode(name), name)
    os.chown(home / "a b", 12345, 54321)
    write(home / "setuid", "x")
    (home / "setuid").chmod(0o6755)
    (home / "dangling").symlink_to("/no/such\nplace")
    os.utime(home / "one", ns=(10**18 + 1, 10**18 + 987654321))


class GoldenDaemon:
    """`rsync --daemon` that offers `tree` as si-prepareclient does: modules root and done."""

    def __init__(self, tree: Path, work: Path, *, limit_kb_s: int = 0) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self.completed = work / "completed"
        self.port = free_port()
        conf = work / "rsyncd.conf"
        conf.write_text(
            "uid = 0\ngid = 0\nnumeric ids = yes\nread only = yes\nlist = no\nreverse lookup = no\n"
            f"hosts allow = 127.0.0.1\nlog file = {work}/log\n"
            f"[root]\npath = {tree}\n"
            f"[done]\npath = {work}\npre-xfer exec = /usr/bin/touch {self.completed}\n"
        )
        limit = [f"--bwlimit={limit_kb_s}"] if limit_kb_s else []
        self._process = subprocess.Popen(
            ["rsync", "--daemon", "--no-detach", f"--config={conf}", "--address=127.0.0.1",
             f"--port={self.port}", *limit],
            start_new_session=True,
        )  # fmt: skip
        wait_for(self._answers)

    def kill(self) -> None:
        """Power off: the daemon and all its transfers."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    """Poll until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def differences(expected: Path, actual: Path, allowed: Iterable[str], work: Path) -> str:
    """What scripts/compare.py has to say; "" when the trees are equal but for `allowed`."""
    lines = "".join(f"{path}\ttest\n" for path in allowed)
    write(work / "allowed", lines)
    done = subprocess.run(
        [sys.executable, REPOSITORY / "scripts/compare.py", expected, actual,
         "--allow", work / "allowed"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return "" if done.returncode == 0 else done.stdout


def si(root: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run `si WORDS` below `root`, as a process of its own without a terminal."""
    return subprocess.run(
        si_words(*words), env=si_environment(root), text=True, capture_output=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def si_words(*words: object) -> list[str]:
    main = "import sys; sys.argv[0] = 'si'; from si.cli.main import main; main()"
    return [sys.executable, "-c", main, *map(str, words)]


def si_environment(root: Path) -> dict[str, str]:
    return {**os.environ, "SI_ROOT": str(root), "PYTHONPATH": str(REPOSITORY)}


LEFT_OUT = (*(f"/{path}" for path in IDENTITY), "/proc/cpuinfo")
"""What a capture of the golden tree leaves out."""


def capture(settings: Settings, port: int, *, own_rules: tuple[str, ...] = ()) -> CaptureReport:
    """Capture image web from a daemon on this machine."""
    source = GoldenClient("127.0.0.1", port=port)
    with (
        lock_image(settings, "web") as held,
        compare_early(settings, held, source, own_rules=own_rules) as early,
    ):
        return capture_image(settings, held, open_offer(source), own_rules=own_rules, early=early)


def hidden(settings: Settings) -> list[str]:
    return sorted(p.name for p in settings.images.iterdir() if p.name.startswith("."))


def inodes(tree: Path) -> dict[str, int]:
    return {
        str(path.relative_to(tree)): path.lstat().st_ino
        for path in tree.rglob("*")
        if not path.is_dir()
    }
