"""What goes on around an update to a version: overrides, boot menu, scripts."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path

from tests.integration import version_kit
from tests.integration.client_kit import Program, rsync
from tests.integration.installed_kit import (
    is_clean,
    put,
    update,
)
from tests.integration.server_kit import Server, wait_until


def put_program(tree: Path, name: str, text: str) -> Path:
    """A script for busybox in a tree of which there is nothing else to run."""
    if not (tree / "bin/busybox").exists():
        (tree / "bin").mkdir(exist_ok=True)
        shutil.copy2("/bin/busybox", tree / "bin/busybox")
        linked = subprocess.run(
            ["ldd", "/bin/busybox"], capture_output=True, text=True, check=False
        )
        for word in linked.stdout.split():
            if word.startswith("/"):
                (tree / word[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(word, tree / word[1:])
    script = put(tree / name, f"#!/bin/busybox sh\nset -e\n{text}")
    script.chmod(0o755)
    return script


def is_offered(module: str) -> bool:
    return rsync(module).returncode == 0


def test_overrides_lie_over_the_version(program: Program, server: Server, client: Path) -> None:
    settings = server.settings
    for override, text in (("everyone", "from everyone\n"), ("web1", "from web1\n")):
        put(settings.overrides / override / "usr/d0/f000", text)
    put(settings.overrides / "everyone/usr/d1/f001", "from everyone\n").chmod(0o640)
    put(settings.overrides / "web1/usr/d5/added", "in a folder that web@2 does not have\n")
    put(settings.overrides / "web1/usr/new/deep/file", "in a folder that web@1 does not have\n")
    module = f"rsync://127.0.0.1:{settings.server.rsync_port}/override-"
    try:
        for override in ("everyone", "web1"):
            wait_until(partial(is_offered, f"{module}{override}/"), "the override is offered")
        done = update(program, client, "--yes")
        assert done.code == 0, done.stderr
        assert (client / "usr/d0/f000").read_text() == "from web1\n"
        assert (client / "usr/d1/f001").read_text() == "from everyone\n"
        assert (client / "usr/d5/added").exists()
        assert not (client / "usr/d5/f005").exists()
        is_clean(program, client)
        inode = (client / "usr/d0/f000").stat().st_ino
        put(client / "usr/d0/f012", "drift beside an override")
        assert update(program, client, "--yes").code == 0
        assert (client / "usr/d0/f000").stat().st_ino == inode, "written anew without need"
        is_clean(program, client)
    finally:
        for folder in settings.overrides.iterdir():
            shutil.rmtree(folder)
    assert update(program, client, "--yes").code == 0
    is_clean(program, client)


def test_boot_menu_and_scripts(program: Program, server: Server, client: Path) -> None:
    tree = version_kit.tree_of(server.settings)
    put(tree / "boot/vmlinuz-2", "a new kernel")
    put(tree / "boot/grub/grub.cfg", "menu of the golden client")
    put(client / "boot/grub/grub.cfg", "menu of web1")
    put_program(tree, "usr/sbin/update-grub", "/bin/busybox ls /boot >/boot/grub/grub.cfg\n")
    hooks = "etc/systemimager"
    tell = "/bin/busybox tr '\\0' '\\n' >/run/{0}; echo {0} $SI_CLIENT $SI_IMAGE $SI_VERSION\n"
    for stage, name in (("pre", "10all.one"), ("post", "10web1.two"), ("post", "20farm.three"),
                        ("post", "10other.four")):  # fmt: skip
        put_program(tree, f"{hooks}/{stage}-update.d/{name}", tell.format(f"{stage}-{name[2:]}"))
    version_kit.publish(server.settings)
    done = program("updateclient", "--root", client, "--yes")
    assert done.code == 0, done.stderr
    assert "vmlinuz-2" in (client / "boot/grub/grub.cfg").read_text()
    ran = [line for line in done.stderr.splitlines() if line.startswith(("pre-", "post-"))]
    assert ran == [
        "post-update.d/20farm.three: post-farm.three web1 web 3",
        "post-update.d/10web1.two: post-web1.two web1 web 3",
    ], "the script before the update was not here yet"
    assert "/boot/vmlinuz-2" in (client / "run/post-web1.two").read_text().splitlines()
    is_clean(program, client)
    (client / "usr/d0/f000").unlink()
    again = program("updateclient", "--root", client, "--yes")
    assert "pre-update.d/10all.one: pre-all.one web1 web 3" in again.stderr
    assert "/usr/d0/f000" in (client / "run/pre-all.one").read_text().splitlines()
    assert "grub.cfg anew" not in again.stderr
    refuse_by_scripts(program, client)


def refuse_by_scripts(program: Program, client: Path) -> None:
    """A script that fails, or that anybody could have written."""
    mine = ("--exclude", "/etc/systemimager/pre-update.d/")
    failing = put_program(client, "etc/systemimager/pre-update.d/20all.no", "exit 3\n")
    (client / "usr/d0/f000").unlink()
    refused = program("updateclient", "--root", client, "--yes", *mine)
    assert (refused.code, "20all.no failed" in refused.stderr) == (18, True), refused.stderr
    assert not (client / "usr/d0/f000").exists(), "nothing was changed"
    failing.chmod(0o777)
    refused = program("updateclient", "--root", client, "--yes", *mine)
    assert (refused.code, "not only root" in refused.stderr) == (34, True), refused.stderr
    failing.unlink()
    assert program("updateclient", "--root", client, "--yes").code == 0
