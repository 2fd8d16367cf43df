"""Files that a copying program is likely to get wrong, planted on the golden client.

In: the mounted tree of the golden client. Out: one of each kind below /srv/specimens, and the home
of the user alice. Everything is made with the tree's own file systems, by this process.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from si.system.run import run

FOLDER = "srv/specimens"
ALICE = 1000
NOBODYS_ID = 54321
NAMES = (
    b"with space",
    b" leading and trailing ",
    b"with\nnewline",
    b"with\ttab",
    b"-dash",
    b"back\\slash",
    b"quote'and\"double",
    b"$dollar `tick` *star* [x]",
    "größe-日本".encode(),
    b"not-utf8-\xff\xfe\xe9",
    b"#hash;semicolon&",
    b"x" * 255,
)
TIMES_NS = {
    "one-ns": 1_000_000_000_000_000_001,
    "all-digits": 1_234_567_890_123_456_789,
    "last-ns": 1_599_999_999_999_999_999,
    "year-2040": 2_208_988_800_000_000_007,
}


def plant_specimens(root: Path) -> None:
    """Plant them all below `root`; alice (uid 1000) must be in its /etc/passwd."""
    folder = root / FOLDER
    folder.mkdir(parents=True)
    _attributes(folder)
    _modes(folder)
    _links(folder, root)
    _sparse(folder)
    _special(folder)
    _names(folder)
    _home(root / "home/alice")
    _times(folder)


def _attributes(folder: Path) -> None:
    run(["cp", "/bin/true", folder / "capable"])
    run(["setcap", "cap_net_raw,cap_net_bind_service=ep", folder / "capable"])
    (folder / "acl").write_text("user 1000 may write this\n")
    run(["setfacl", "-m", f"u:{ALICE}:rw-,g:{NOBODYS_ID}:r--,m::rw-", folder / "acl"])
    (folder / "acl-default").mkdir()
    run(["setfacl", "-d", "-m", f"u:{ALICE}:rwx", folder / "acl-default"])
    (folder / "acl-and-xattr").write_text("both\n")
    run(["setfacl", "-m", f"u:{ALICE}:r--", folder / "acl-and-xattr"])
    os.setxattr(folder / "acl-and-xattr", "user.origin", b"golden\x00client\xff")
    (folder / "xattr").write_text("user attributes\n")
    os.setxattr(folder / "xattr", "user.note", "größe".encode())
    os.setxattr(folder / "xattr", "user.empty", b"")
    os.setxattr(folder / "xattr", "user.long", bytes(range(256)) * 4)
    (folder / "xattr-folder").mkdir()
    os.setxattr(folder / "xattr-folder", "user.note", b"on a folder")


def _modes(folder: Path) -> None:
    for name, mode in (("setuid", 0o4755), ("setgid", 0o2755), ("no-access", 0o000),
                       ("odd-mode", 0o1357)):  # fmt: skip
        (folder / name).write_text(f"{name}\n")
        (folder / name).chmod(mode)
    for name, mode in (("sticky-folder", 0o1777), ("setgid-folder", 0o2775), ("closed", 0o000)):
        (folder / name).mkdir()
        (folder / name).chmod(mode)
    (folder / "closed/inside").write_text("in a folder without a single right\n")
    (folder / "owned-by-number").write_text("no such user\n")
    os.chown(folder / "owned-by-number", NOBODYS_ID, NOBODYS_ID + 1)
    (folder / "empty").touch()
    (folder / "empty-folder").mkdir()


def _links(folder: Path, root: Path) -> None:
    links = folder / "links"
    links.mkdir()
    first = links / "first"
    first.write_text("one file, four names\n")
    for other in (links / "second", folder / "third", root / "home/alice/fourth"):
        other.hardlink_to(first)
    (links / "pair-a").write_text("another group\n")
    (links / "pair-b").hardlink_to(links / "pair-a")
    for name, text in (("relative", "first"), ("absolute", "/etc/hostname"),
                       ("dangling", "/nowhere/at/all"), ("to-folder", ".."),
                       ("odd target", "with space\nand newline")):  # fmt: skip
        (links / name).symlink_to(text)
    (links / "raw-target").symlink_to(os.fsdecode(b"bytes-\xff"))
    (links / "hard-linked-symlink").hardlink_to(links / "relative")
    os.chown(links / "dangling", ALICE, ALICE, follow_symlinks=False)


def _sparse(folder: Path) -> None:
    with (folder / "sparse").open("wb") as file:
        for offset in (0, 5 << 20, 11 << 20):
            file.seek(offset)
            file.write(b"island".ljust(4096, b"."))
        file.truncate(24 << 20)
    with (folder / "only-a-hole").open("wb") as file:
        file.truncate(3 << 20)


def _special(folder: Path) -> None:
    os.mknod(folder / "device-char", stat.S_IFCHR | 0o640, os.makedev(1, 3))
    os.mknod(folder / "device-block", stat.S_IFBLK | 0o660, os.makedev(259, 70000))
    os.mkfifo(folder / "fifo", 0o622)
    os.chown(folder / "fifo", ALICE, ALICE)
    os.mknod(folder / "socket", stat.S_IFSOCK | 0o755)


def _names(folder: Path) -> None:
    names = folder / "names"
    names.mkdir()
    for number, name in enumerate(NAMES):
        (names / os.fsdecode(name)).write_text(f"name {number}\n")
    inner = names / os.fsdecode(b"folder \xe9\n")
    inner.mkdir()
    (inner / "file").write_text("in a folder with an odd name\n")


def _home(home: Path) -> None:
    (home / "notes.txt").write_text("alice was here\n")
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".ssh/config").write_text("# alice's own\n")
    (home / ".ssh/config").chmod(0o600)
    for path in (home / "notes.txt", home / ".ssh", home / ".ssh/config"):
        os.chown(path, ALICE, ALICE)


def _times(folder: Path) -> None:
    times = folder / "times"
    times.mkdir()
    for name, when in TIMES_NS.items():
        (times / name).write_text(f"{when}\n")
        os.utime(times / name, ns=(when, when))
    (times / "link").symlink_to("one-ns")
    os.utime(times / "link", ns=(5_000_000_042, 5_000_000_042), follow_symlinks=False)
    (times / "folder").mkdir()
    os.utime(times / "folder", ns=(987_654_321_987_654_321,) * 2)
    os.utime(times, ns=(1_111_111_111_111_111_111,) * 2)
