"""Enter an image so that nothing is left behind, however it ends.

Stage 2. In: an image and a command; out: the command's exit code, and in the tree only what the
command wrote. All mounts live in a private mount namespace and all processes in a private pid
namespace. Each process in the chain dies with the one before it (PR_SET_PDEATHSIG), so killing
si-chroot with -9 ends everything inside, and the kernel drops the mounts with the namespace.

Nothing is created in the tree to mount on: /dev and /run are tmpfs, resolv.conf is bound over the
file that is there or appears in /run where the image's link points, and a policy-rc.d of the
image's own is bound over. An image without one needs none: invoke-rc.d starts nothing when no
runlevel is known, which is so with an empty /run, and systemctl ignores requests in a chroot.
invoke-rc.d itself is not bound over, since dpkg could then not upgrade the package it belongs to.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from si.config import Settings
from si.errors import PrivilegeMissing
from si.image.lock import lock_image
from si.image.store import load_image
from si.system.run import attach, find_tool

_MOST_LINKS = 40
_HOST_RESOLV_CONF = Path("/etc/resolv.conf")

_IN_CONTAINER = {"container": "si-chroot"}
# What systemd-detect-virt looks for in process 1. Packages' scripts then leave the boot loader and
# hardware of this machine alone: update-grub would fail here, and a kernel upgrade with it.

# $1: who must still be our parent, or it died before the kernel was told to take us along.
_WITH_PARENT = 'if [ "$PPID" = "$1" ]; then shift; exec "$@"; fi'

ENTER = r"""
set -eu
name=$1 tree=$2 resolver=$3 policy=$4 host_resolver=$5
shift 5
mount --bind -- "$tree" "$tree"
cd -- "$tree"

has_directory() {
    if [ -d "$1" ] && [ ! -L "$1" ]; then return 0; fi
    echo "si-chroot: image $name has no directory /$1, so it is not mounted" >&2
    return 1
}

if has_directory proc; then
    mount -t proc -o nosuid,nodev,noexec proc proc
fi
if has_directory sys; then
    mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
fi
if has_directory dev; then
    mount -t tmpfs -o nosuid,mode=0755 tmpfs dev
    while read -r device major minor; do
        mknod -m 0666 "dev/$device" c "$major" "$minor"
    done <<DEVICES
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
DEVICES
    ln -s /proc/self/fd dev/fd
    ln -s /proc/self/fd/0 dev/stdin
    ln -s /proc/self/fd/1 dev/stdout
    ln -s /proc/self/fd/2 dev/stderr
    ln -s pts/ptmx dev/ptmx
    mkdir -m 0755 dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
    mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs dev/shm
fi
if has_directory run; then
    mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs run
    mkdir -m 1777 run/lock
    mkdir -m 0755 run/systemimager
    printf '#!/bin/sh\nexit 101\n' >run/systemimager/policy-rc.d
    chmod 0755 run/systemimager/policy-rc.d
    if [ -n "$policy" ]; then
        mount --bind -- run/systemimager/policy-rc.d "$policy"
    fi
fi
case $resolver in
'')
    echo "si-chroot: image $name has no /etc/resolv.conf, so names do not resolve in it" >&2
    ;;
run/*)
    mkdir -p -- "${resolver%/*}"
    cp -L -- "$host_resolver" "$resolver"
    ;;
*)
    mount --bind -- "$host_resolver" "$resolver"
    mount -o remount,bind,ro -- "$resolver"
    ;;
esac
trap : INT QUIT # they are for the command; ignoring them would be inherited
set +e
env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 SYSTEMD_OFFLINE=1 debian_chroot="$name" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    chroot . "$@"
exit $?
"""
"""What runs as process 1 of the namespaces: image name, tree, resolv.conf and policy-rc.d in it
(relative, free of links, or empty), this machine's resolv.conf, then the command."""


def enter_image(settings: Settings, name: str, command: Sequence[str]) -> int:
    """Run `command` (a shell when empty) in image `name`, held for writing; its exit code.

    126 and 127 are chroot's own: the command cannot be run, or is not there. Raises
    ImageNotFound, StoreLocked, PrivilegeMissing, ToolMissing.
    """
    if os.geteuid() != 0:
        raise PrivilegeMissing("only root can enter an image", hint="run it as root")
    for tool in ("unshare", "setpriv"):
        find_tool(tool, package="util-linux")
    with lock_image(settings, name):
        tree = load_image(settings, name).path.resolve()
        words = [
            "setpriv", "--pdeathsig", "KILL", "--",
            "sh", "-c", _WITH_PARENT, "si-chroot", str(os.getpid()),
            "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child=KILL", "--",
            "sh", "-c", ENTER, "si-chroot",
            name, str(tree), _find_resolver(tree), _find_policy(tree), str(_HOST_RESOLV_CONF),
            *(command or (_shell_of(tree),)),
        ]  # fmt: skip
        return _attach_undisturbed(words)


def resolve_inside(tree: Path, path: str) -> str | None:
    """Where `path` leads when `tree` is the root: relative to it and free of links. Its last
    parts need not exist. None when it leads nowhere: a loop, or a file in the way."""
    done: list[str] = []
    todo = [part for part in path.split("/") if part]
    links = 0
    while todo:
        part = todo.pop(0)
        if part == ".":
            continue
        if part == "..":
            done = done[:-1]
            continue
        here = tree.joinpath(*done, part)
        try:
            is_link = here.is_symlink()
        except OSError:
            return None
        if not is_link:
            done.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            return None
        aim = os.readlink(here)  # noqa: PTH115 - a Path would normalise it
        done = [] if aim.startswith("/") else done
        todo = [piece for piece in aim.split("/") if piece] + todo
    return "/".join(done)


def _find_resolver(tree: Path) -> str:
    """The file that programs in the tree open as /etc/resolv.conf; "" when it must be made."""
    found = resolve_inside(tree, "etc/resolv.conf")
    if found is None or not _HOST_RESOLV_CONF.is_file():
        return ""
    return found if found.startswith("run/") or _is_file(tree / found) else ""


def _find_policy(tree: Path) -> str:
    found = resolve_inside(tree, "usr/sbin/policy-rc.d")
    return found if found and _is_file(tree / found) else ""


def _shell_of(tree: Path) -> str:
    found = resolve_inside(tree, "bin/bash")
    return "/bin/bash" if found and _is_file(tree / found) else "/bin/sh"


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _attach_undisturbed(words: Sequence[str]) -> int:
    """Ctrl-C belongs to the program inside; this process waits for what comes of it."""

    def leave_it(_number: int, _frame: FrameType | None) -> None:
        """A handler, not SIG_IGN, which the programs inside would inherit."""

    before = signal.signal(signal.SIGINT, leave_it)
    try:
        return attach(words, env=_IN_CONTAINER)
    finally:
        signal.signal(signal.SIGINT, before)
