"""si-updateclient --live against a real rsync daemon, on a file tree of its own."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.client_kit import (
    Ended,
    ImageServer,
    Program,
    image_server,
)

OLD = 1_600_000_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ImageServer]:
    names = ("web", "override-all", "override-web1")
    folder = tmp_path / "server"
    folder.mkdir()
    make_image(folder / "web")
    with image_server(folder, {name: folder / name for name in names}) as running:
        yield running


@pytest.fixture
def client(tmp_path: Path, server: ImageServer) -> Path:
    """A tree that was installed from the image, overrides included."""
    tree = tmp_path / "client"
    subprocess.run(["rsync", "-aHAXS", f"{server.tree('web')}/", f"{tree}/"], check=True)
    put(tree / "etc/machine-id", "this machine\n")
    put(tree / "etc/hostname", "web1\n")
    put(tree / "etc/ssh/ssh_host_ed25519_key", "secret of web1\n")
    put(tree / "etc/fstab", "UUID=1 / ext4\n")
    put(tree / "home/ann/letter", "dear\n")
    put(tree / "var/log/messages", "lines\n")
    put(tree / "boot/grub/grub.cfg", "menu of web1\n")
    put(
        tree / "etc/systemimager/client.json",
        json.dumps(
            {
                "format": 1,
                "server": f"http://{server.address}",
                "client": "web1",
                "token": "t0ken",
                "image": "web",
                "arch": os.uname().machine,
                "captured": "2026-01-01T00:00:00Z",
            }
        ),
    )
    return tree


def put(file: Path, text: str, *, mode: int = 0o644, mtime: int = OLD) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    os.utime(file, (mtime, mtime))
    return file


def make_image(tree: Path) -> None:
    put(tree / "etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    put(tree / "etc/machine-id", "the golden client's\n")
    put(tree / "etc/hostname", "golden\n")
    put(tree / "etc/motd", "hello\n")
    put(tree / "etc/fstab", "UUID=golden / ext4\n")
    put(tree / "usr/bin/tool", "#!/bin/sh\n", mode=0o755)
    put(tree / "boot/vmlinuz-1", "kernel\n")
    put(tree / "boot/grub/grub.cfg", "menu of the golden client\n")
    for name in ("proc", "sys", "dev", "run", "tmp", "home", "var/log"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    for path in (*tree.rglob("*"), tree):
        os.utime(path, (OLD, OLD), follow_symlinks=False)


def update(program: Program, client: Path, *words: str) -> Ended:
    return program("updateclient", "--live", "--root", client, *words)


def settle(program: Program, client: Path) -> None:
    """Take away what the fixtures' own writing left different (times of directories)."""
    done = update(program, client, "--yes", "--no-bootloader")
    assert done.code == 0, done.stderr
    assert update(program, client, "--dry-run").code == 0


def at_rest(*folders: Path) -> None:
    for folder in folders:
        os.utime(folder, (OLD, OLD))


def test_dry_run_says_exactly_what_a_run_then_does(
    program: Program, server: ImageServer, client: Path
) -> None:
    settle(program, client)
    image = server.tree("web")
    put(image / "etc/motd", "hello, patched\n")
    put(image / "etc/new", "new\n")
    (image / "usr/bin/tool").chmod(0o700)
    os.chown(image / "etc/passwd", 0, 42)
    (image / "opt/pack").mkdir(parents=True)
    os.utime(image / "boot/vmlinuz-1", (OLD + 5, OLD + 5))
    put(client / "usr/bin/stray", "stray\n")
    at_rest(image / "etc", image, client / "usr/bin")
    before = snapshot(client)
    dry = update(program, client, "--dry-run", "--no-bootloader")
    assert dry.code == 4, dry.stderr
    assert dry.lines == [
        "~ /boot/vmlinuz-1 (times)",
        "~ /etc/motd (contents)",
        "+ /etc/new",
        "~ /etc/passwd (group)",
        "+ /opt/",
        "+ /opt/pack/",
        "- /usr/bin/stray",
        "~ /usr/bin/tool (mode)",
    ]
    assert snapshot(client) == before, "a dry run changed something"
    done = update(program, client, "--yes", "--no-bootloader")
    assert done.code == 0, done.stderr
    assert done.lines == [
        "web, captured 2026-11-21T12:00:00Z: 3 added, 4 changed, 1 removed, 26 B of files"
    ]
    assert (client / "etc/motd").read_text() == "hello, patched\n"
    assert not (client / "usr/bin/stray").exists()
    assert (client / "usr/bin/tool").stat().st_mode & 0o7777 == 0o700
    again = update(program, client, "--dry-run", "--no-bootloader")
    assert (again.code, again.lines) == (0, [])
    assert "nothing differs" in again.stderr


def snapshot(tree: Path) -> dict[str, tuple[int, int, int, bytes]]:
    found = {}
    for path in tree.rglob("*"):
        if path.parts[len(tree.parts)] == "run":
            continue
        status = path.lstat()
        body = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (status.st_mode, status.st_uid, status.st_mtime_ns, body)
    return found


def test_what_makes_this_machine_itself_stays(
    program: Program, server: ImageServer, client: Path
) -> None:
    put(
        client / "etc/systemimager/updateclient.local.exclude",
        "# mine\n*.journal\n/srv/own\n/var/log/*\n/home/*\n",
    )
    put(client / "srv/own/file", "own\n")
    put(client / "srv/deep/x.journal", "journal\n")
    put(client / "srv/other", "goes\n")
    put(client / "etc/network/interfaces", "auto si\n")
    put(client / "etc/netplan/1.yaml", "network\n")
    put(client / "boot/grub/i386-pc/core.img", "core of web1\n")
    put(server.tree("web") / "boot/grub/i386-pc/core.img", "core of golden\n")
    put(server.tree("web") / "etc/systemimager/updateclient.local.exclude", "# the image's\n")
    put(client / "keep/this", "named on the command line\n")
    done = update(program, client, "--yes", "--exclude", "/keep", "--no-bootloader")
    assert done.code == 0, done.stderr
    kept = {
        "etc/machine-id": "this machine\n",
        "etc/hostname": "web1\n",
        "etc/ssh/ssh_host_ed25519_key": "secret of web1\n",
        "etc/fstab": "UUID=1 / ext4\n",
        "home/ann/letter": "dear\n",
        "var/log/messages": "lines\n",
        "boot/grub/grub.cfg": "menu of web1\n",
        "boot/grub/i386-pc/core.img": "core of web1\n",
        "srv/own/file": "own\n",
        "srv/deep/x.journal": "journal\n",
        "etc/network/interfaces": "auto si\n",
        "etc/netplan/1.yaml": "network\n",
        "keep/this": "named on the command line\n",
    }
    assert {name: (client / name).read_text() for name in kept} == kept
    assert not (client / "srv/other").exists()
    mine = (client / "etc/systemimager/updateclient.local.exclude").read_text()
    assert mine.startswith("# mine")
    identity = json.loads((client / "etc/systemimager/client.json").read_text())
    assert identity["captured"] == "2026-11-21T12:00:00Z"
    assert identity["token"] == "t0ken"


def test_a_client_without_a_list_gets_the_defaults(
    program: Program, server: ImageServer, client: Path
) -> None:
    done = update(program, client, "--yes", "--no-bootloader")
    assert done.code == 0, done.stderr
    assert (client / "home/ann/letter").exists()
    assert (client / "var/log/messages").exists()


def test_no_list_switches_the_built_in_protection_off(
    program: Program, server: ImageServer, client: Path
) -> None:
    mine = put(client / "etc/systemimager/updateclient.local.exclude", "+ /etc/machine-id\n")
    assert update(program, client, "--yes", "--no-bootloader").code == 0
    assert (client / "etc/machine-id").read_text() == "this machine\n"
    put(mine, "/home/*\n!\n")
    refused = update(program, client, "--yes")
    assert refused.code == 10
    assert f"{mine}:2: '!' is not allowed" in refused.stderr
    assert (client / "etc/machine-id").read_text() == "this machine\n"


def test_overrides_win_in_order_and_stay_put(
    program: Program, server: ImageServer, client: Path
) -> None:
    server.update["overrides"] = ["all", "web1"]
    for override, text in (("override-all", "from all\n"), ("override-web1", "from web1\n")):
        put(server.tree(override) / "etc/motd", text)
    put(server.tree("override-all") / "etc/site.conf", "site\n")
    put(server.tree("override-web1") / "etc/machine-id", "not even an override\n")
    (server.tree("override-web1") / "srv/empty").mkdir(parents=True)
    # Names that are patterns to rsync, or look like escapes.
    for odd in ("back\\slash", "wild[1]*?", "both\\[*", "new\nline"):
        put(server.tree("web") / "opt" / odd, "of the image\n")
        put(server.tree("override-all") / "opt" / odd, "of the override\n")
    (server.tree("override-all") / "etc").chmod(0o750)
    server.tree("override-web1").chmod(0o700)
    done = update(program, client, "--yes", "--no-bootloader")
    assert done.code == 0, done.stderr
    assert (client / "etc/motd").read_text() == "from web1\n"
    assert (client / "etc/site.conf").read_text() == "site\n"
    assert (client / "etc/machine-id").read_text() == "this machine\n"
    assert (client / "srv/empty").is_dir()
    assert {file.read_text() for file in (client / "opt").iterdir()} == {"of the override\n"}
    assert client.stat().st_mode & 0o777 == server.tree("web").stat().st_mode & 0o777
    inode = (client / "etc/motd").stat().st_ino
    again = update(program, client, "--dry-run")
    assert (again.code, again.lines) == (0, [])
    assert update(program, client, "--yes").code == 0
    assert (client / "etc/motd").stat().st_ino == inode, "an unchanged file was written anew"
    put(server.tree("override-web1") / "etc/motd", "from web1, later\n")
    changed = update(program, client, "--dry-run")
    assert (changed.code, changed.lines) == (4, ["~ /etc/motd (contents)"])


def test_everything_about_a_file_arrives(
    program: Program, server: ImageServer, client: Path
) -> None:
    image = server.tree("web")
    put(image / "srv/linked", "one body\n")
    os.link(image / "srv/linked", image / "srv/second")
    with (image / "srv/sparse").open("wb") as sparse:
        sparse.truncate(8 * 1024 * 1024)
        sparse.seek(4 * 1024 * 1024)
        sparse.write(b"middle")
    put(image / "srv/marked", "marked\n")
    os.setxattr(image / "srv/marked", "user.note", b"\x00\xff")
    subprocess.run(["setfacl", "-m", "u:33:r", image / "srv/marked"], check=True)
    put(image / "srv/capable", "program\n", mode=0o755)
    subprocess.run(["setcap", "cap_net_raw+ep", image / "srv/capable"], check=True)
    os.mknod(image / "srv/null", 0o20666, os.makedev(1, 3))
    os.mkfifo(image / "srv/pipe")
    (image / "srv/link").symlink_to("no/where")
    assert update(program, client, "--yes", "--no-bootloader").code == 0
    got = client / "srv"
    assert (got / "linked").stat().st_ino == (got / "second").stat().st_ino
    sparse_now = (got / "sparse").stat()
    assert sparse_now.st_size == 8 * 1024 * 1024
    assert sparse_now.st_blocks * 512 < 1024 * 1024
    assert os.getxattr(got / "marked", "user.note") == b"\x00\xff"
    acl = subprocess.run(["getfacl", "-cn", got / "marked"], capture_output=True, check=True)
    assert b"user:33:r--" in acl.stdout
    capability = subprocess.run(["getcap", got / "capable"], capture_output=True, check=True)
    assert b"cap_net_raw=ep" in capability.stdout
    assert (got / "null").stat().st_rdev == os.makedev(1, 3)
    assert (got / "link").readlink() == Path("no/where")
    # A difference in each of these alone is seen.
    os.setxattr(got / "marked", "user.note", b"changed")
    subprocess.run(["setfacl", "-m", "u:33:rw", got / "capable"], check=True)
    (got / "second").unlink()
    shutil.copy2(got / "linked", got / "second")
    (got / "link").unlink()
    (got / "link").symlink_to("else/where")
    os.utime(got / "link", (OLD, OLD), follow_symlinks=False)
    os.utime(image / "srv/link", (OLD, OLD), follow_symlinks=False)
    at_rest(got, image / "srv")
    dry = update(program, client, "--dry-run", "--no-bootloader")
    assert dry.lines == [
        "~ /srv/capable (mode, acl)",
        "~ /srv/link (link target)",
        "~ /srv/marked (xattrs)",
        "~ /srv/second (hard link)",
    ]


def test_odd_names_and_changes_of_type_are_listed_on_one_line_each(
    program: Program, server: ImageServer, client: Path
) -> None:
    image = server.tree("web")
    settle(program, client)
    put(image / "srv/new\nline", "")
    put(image / os.fsdecode(b"srv/\xff\xfe"), "")
    put(image / "srv/a b", "")
    put(image / "srv/back\\#012slash", "")
    put(image / "srv/größe", "")
    put(image / "was-file/inside", "")
    put(client / "was-file", "file")
    put(client / "was-dir/deep", "")
    put(image / "was-dir", "file now")
    (client / "was-link").symlink_to("etc")
    (image / "was-link").mkdir()
    at_rest(image, client)
    dry = update(program, client, "--dry-run", "--no-bootloader")
    assert dry.lines == [
        "+ /srv/",
        "+ $'/srv/a b'",
        r"+ $'/srv/back\\#012slash'",
        "+ /srv/größe",
        r"+ $'/srv/new\nline'",
        r"+ $'/srv/\xff\xfe'",
        "~ /was-dir (type)",
        "- /was-dir/deep",
        "~ /was-file/ (type)",
        "+ /was-file/inside",
        "~ /was-link/ (type)",
    ]
    as_data = update(program, client, "--dry-run", "--json", "--no-bootloader")
    assert as_data.code == 4
    changes = json.loads(as_data.stdout)["changes"]
    assert [change["path"] for change in changes][4] == r"$'/srv/new\nline'"
    assert update(program, client, "--yes", "--no-bootloader").code == 0
    assert (client / "was-link").is_dir() and not (client / "was-link").is_symlink()
    assert (client / "was-dir").read_text() == "file now"
    assert update(program, client, "--dry-run", "--no-bootloader").code == 0


def test_mounts_that_the_image_does_not_know_are_left_alone(
    program: Program, server: ImageServer, client: Path
) -> None:
    disk = client.parent / "disk.img"
    with disk.open("wb") as file:
        file.truncate(8 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    (server.tree("web") / "data").mkdir()
    points = [client / name for name in ("data", "added [1]*", "mem")]
    for point in points:
        point.mkdir()
    try:
        subprocess.run(["mount", "-o", "loop", disk, points[0]], check=True)
        subprocess.run(["mount", "--bind", points[0], points[1]], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", points[2]], check=True)
        put(points[0] / "precious", "data\n")
        put(points[2] / "volatile", "data\n")
        done = update(program, client, "--yes", "--no-bootloader")
        assert done.code == 0, done.stderr
        assert "leaves '/data' alone" in done.stderr
        assert "leaves '/added [1]*' alone" in done.stderr
        assert (points[0] / "precious").exists()
        assert (points[2] / "volatile").exists()
        # Once the image has something there, the disk is the image's.
        put(server.tree("web") / "data/from-image", "")
        assert update(program, client, "--yes", "--no-bootloader").code == 0
        assert (points[1] / "from-image").exists()
        assert not (points[0] / "precious").exists()
    finally:
        for point in reversed(points):
            subprocess.run(["umount", point], check=False)


def test_too_little_space_is_found_out_before_anything_changes(
    program: Program, server: ImageServer, client: Path
) -> None:
    (client / "srv").mkdir()
    put(server.tree("web") / "srv/keep", "")
    subprocess.run(["mkfs.ext4", "-q", client.parent / "d.img", "16M"], check=True)
    subprocess.run(["mount", "-o", "loop", client.parent / "d.img", client / "srv"], check=True)
    try:
        settle(program, client)
        (server.tree("web") / "srv/big").write_bytes(os.urandom(24 * 1024 * 1024))
        put(server.tree("web") / "etc/motd", "changed too\n")
        before = (client / "etc/motd").read_text()
        refused = update(program, client, "--yes", "--no-bootloader")
        assert refused.code == 27, refused.stderr
        assert f"on the file system of '{client}/srv'" in refused.stderr
        assert "needs 50.3 MB" in refused.stderr
        assert (client / "etc/motd").read_text() == before
        forced = update(program, client, "--yes", "--no-bootloader", "--no-space-check")
        assert forced.code == 27
        assert "No space left" in forced.stderr
    finally:
        subprocess.run(["umount", client / "srv"], check=True)


def test_refusals(program: Program, server: ImageServer, client: Path, tmp_path: Path) -> None:
    settle(program, client)
    put(server.tree("web") / "etc/new", "")
    asked = update(program, client)
    assert asked.code == 36
    assert "--yes" in asked.stderr
    assert not (client / "etc/new").exists()
    assert update(program, client, "--client", "nobody", "--yes").code == 20
    assert update(program, client, "--image", "missing", "--yes").code == 12
    assert update(program, client, "--image", "../web", "--yes").code == 14
    frozen = update(program, client, "--image", "web@1", "--yes")
    assert (frozen.code, "not one of its versions" in frozen.stderr) == (34, True)
    unserved = update(program, client, "--image", "unserved", "--yes")
    assert unserved.code == 12
    assert "/unserved/" in unserved.stderr
    away = update(program, client, "--server", "127.0.0.1:1", "--yes")
    assert away.code == 33
    assert "Connection refused" in away.stderr
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    assert update(program, stranger, "--dry-run").code == 10
    server.update["arch"] = "sparc64"
    other = update(program, client, "--yes")
    assert other.code == 34
    assert "sparc64" in other.stderr
    server.update["arch"] = os.uname().machine
    server.update["overrides"] = ["../../etc"]
    assert update(program, client, "--yes").code == 14
    server.update["overrides"] = []
    server.update["rsync"] = "ssh://somewhere"
    assert update(program, client, "--yes").code == 34
    assert not (client / "etc/new").exists()


def test_an_emptied_image_does_not_take_the_machine_with_it(
    program: Program, server: ImageServer, client: Path
) -> None:
    shutil.rmtree(server.tree("web") / "etc")
    refused = update(program, client, "--yes", "--no-bootloader")
    assert refused.code == 34
    assert "no /etc/passwd" in refused.stderr
    assert (client / "etc/passwd").exists()


def test_what_protects_a_path_is_explained(
    program: Program, server: ImageServer, client: Path
) -> None:
    mine = put(client / "etc/systemimager/updateclient.local.exclude", "/srv/own/*\n")
    put(client / "etc/motd", "not what the image has")
    done = update(program, client, "--explain", "/srv/own/file")
    assert (done.code, done.stdout) == (
        0,
        f"/srv/own/file: protected by /srv/own/* ({mine}:1)\n",
    )
    assert update(program, client, "--explain", "/etc/motd").lines == [
        "/etc/motd: nothing protects it"
    ]
    assert (client / "etc/motd").read_text() == "not what the image has"


def test_two_at_once(program: Program, server: ImageServer, client: Path) -> None:
    lock = client / "run/si-updateclient.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write("another si-updateclient is at work here (process 17)\n")
        held.flush()
        refused = update(program, client, "--yes")
    assert refused.code == 43
    assert "process 17" in refused.stderr
    assert update(program, client, "--yes", "--no-bootloader").code == 0


def test_the_boot_menu_follows_the_kernels(
    program: Program, server: ImageServer, client: Path
) -> None:
    """update-grub here is a script of the image, run inside the client's tree."""
    image = server.tree("web")
    busybox = image / "bin/busybox"
    busybox.parent.mkdir()
    shutil.copy2("/bin/busybox", busybox)
    linked = subprocess.run(["ldd", "/bin/busybox"], capture_output=True, text=True, check=False)
    for word in linked.stdout.split():
        if word.startswith("/"):
            (image / word[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(word, image / word[1:])
    script = "#!/bin/busybox sh\nset -e\n/bin/busybox ls /boot > /boot/grub/grub.cfg.new\n"
    script += "/bin/busybox cat /boot/grub/grub.cfg.new > /boot/grub/grub.cfg\n"
    script += "/bin/busybox rm /boot/grub/grub.cfg.new\n"
    put(image / "usr/sbin/update-grub", "#!/bin/busybox sh\nexit 3\n", mode=0o755)
    put(image / "boot/vmlinuz-2", "a new kernel\n")
    failed = update(program, client, "--yes")
    assert failed.code == 18
    assert "the files are updated, but /usr/sbin/update-grub failed" in failed.stderr
    assert (client / "boot/vmlinuz-2").exists()
    # What failed is still owed, though no file differs any more.
    owed = update(program, client, "--dry-run")
    assert (owed.code, owed.lines) == (4, ["the boot menu would be made anew"])
    put(image / "usr/sbin/update-grub", script, mode=0o755)
    done = update(program, client, "--yes")
    assert done.code == 0, done.stderr
    assert "grub.cfg anew" in done.stderr
    assert "vmlinuz-2" in (client / "boot/grub/grub.cfg").read_text()
    after = update(program, client, "--dry-run")
    assert (after.code, after.lines) == (0, [])
    put(image / "etc/motd", "no kernel in this one\n")
    put(client / "boot/grub/grub.cfg", "untouched\n")
    assert update(program, client, "--yes").code == 0
    assert (client / "boot/grub/grub.cfg").read_text() == "untouched\n"
