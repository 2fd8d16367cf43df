"""Step 2 of the golden client: its tree becomes a disk that boots by itself.

In: the archive of the tree, the lab's public key. Out: one raw disk with an msdos label: /boot, /,
swap, and GRUB in its first sectors. GRUB and the initramfs are made by the tree's own programs in a
chroot. What this disk has of its own - a static address, a name for its card, ssh host keys, a
machine-id, RESUME of its swap - is there so that tests see whether a copy gets rid of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.lab.disk import attached, filled, mounted, partition
from scripts.lab.network import ADDRESS as SERVER
from scripts.lab.network import PREFIX_LENGTH
from scripts.lab.specimens import ALICE, plant_specimens
from si.system.run import run

HOSTNAME = "golden"
ADDRESS = "10.77.0.10"
MAC = "52:54:00:77:00:10"
CARD = "lan0"
SIZE_MIB = 2048
BOOT, ROOT, SWAP = 1, 2, 3
LABEL = f"""label: dos
unit: sectors
start=1MiB, size=192MiB, type=83, bootable
start=193MiB, size={SIZE_MIB - 193 - 128}MiB, type=83
start={SIZE_MIB - 128}MiB, size=128MiB, type=82
"""
NEEDLESS_UNITS = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service",
    "dpkg-db-backup.timer", "fstrim.timer", "systemd-pstore.service",
)  # fmt: skip

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FileSystems:
    """UUIDs of the golden client's file systems."""

    boot: str
    root: str
    swap: str


def build_disk(
    tree: Path, public_key: str, image: Path, progress: Progress, files: Mapping[str, str] = {}
) -> None:
    """Make `image` from the archive `tree`. `image` lies in a scratch folder of its own.

    `files` are further files, or other texts of those that are written anyway.
    """
    with image.open("wb") as disk:
        disk.truncate(SIZE_MIB << 20)
    run(["sfdisk", "--quiet", image], stdin=LABEL.encode())
    with ExitStack() as stack:
        device = stack.enter_context(attached(image, read_only=False))
        progress("formatting the disk")
        ids = _format(device)
        root = image.with_name("root")
        root.mkdir()
        stack.enter_context(filled(partition(device, ROOT), root))
        (root / "boot").mkdir(mode=0o755)
        stack.enter_context(filled(partition(device, BOOT), root / "boot"))
        progress("unpacking the tree")
        run(["tar", "--extract", "--file", tree, "--zstd", "--numeric-owner", "--xattrs",
             "--xattrs-include=*", "--acls", "--preserve-permissions",
             "--directory", root])  # fmt: skip
        _configure(root, ids, public_key, files)
        with _system_folders(root, device, ids):
            _finish_inside(root, device, progress)
        plant_specimens(root)


def _format(device: Path) -> FileSystems:
    for number, label in ((BOOT, "boot"), (ROOT, "root")):
        run(["mkfs.ext4", "-q", "-F", "-L", label, partition(device, number)])
    run(["mkswap", "-q", partition(device, SWAP)])
    return FileSystems(*(_read_uuid(partition(device, n)) for n in (BOOT, ROOT, SWAP)))


def _read_uuid(device: Path) -> str:
    return run(["blkid", "-p", "-s", "UUID", "-o", "value", device]).text.strip()


def _configure(
    root: Path, ids: FileSystems, public_key: str, more_files: Mapping[str, str]
) -> None:
    """Every file of the golden client that no package made."""
    files = {
        "etc/hostname": f"{HOSTNAME}\n",
        "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {HOSTNAME}\n::1 localhost ip6-localhost\n",
        "etc/resolv.conf": f"nameserver {SERVER}\n",
        "etc/fstab": _fstab(ids),
        "etc/default/locale": "LANG=C.UTF-8\n",
        "etc/default/grub": 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_DISTRIBUTOR=Debian\n'
        'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n'
        'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"\nGRUB_TERMINAL=console\n',
        "etc/initramfs-tools/conf.d/resume": f"RESUME=UUID={ids.swap}\n",
        "etc/network/interfaces": _interfaces(),
        f"etc/systemd/network/10-{CARD}.link": f"[Match]\nMACAddress={MAC}\n\n"
        f"[Link]\nName={CARD}\n",
        "root/.ssh/authorized_keys": public_key,
        **more_files,
    }  # fmt: skip
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "root/.ssh/authorized_keys").chmod(0o600)
    for unit in NEEDLESS_UNITS:
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")
    for path in (*root.glob("etc/ssh/ssh_host_*"), root / "var/lib/dbus/machine-id"):
        path.unlink(missing_ok=True)
    (root / "var/lib/dbus/machine-id").symlink_to("/etc/machine-id")
    (root / "etc/machine-id").write_text(os.urandom(16).hex() + "\n")


def _fstab(ids: FileSystems) -> str:
    return (
        f"UUID={ids.root} / ext4 errors=remount-ro 0 1\n"
        f"UUID={ids.boot} /boot ext4 defaults 0 2\n"
        f"UUID={ids.swap} none swap sw 0 0\n"
    )


def _interfaces() -> str:
    return (
        "source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\n"
        f"auto {CARD}\niface {CARD} inet static\n"
        f"\taddress {ADDRESS}/{PREFIX_LENGTH}\n\tgateway {SERVER}\n"
    )


@contextmanager
def _system_folders(root: Path, device: Path, ids: FileSystems) -> Iterator[None]:
    """/proc, /sys and a /dev with this disk only: what GRUB's programs look at.

    Without /dev/disk/by-uuid they would write the loop device's name into the boot menu.
    """
    with ExitStack() as stack:
        stack.enter_context(mounted("proc", root / "proc", "-t", "proc"))
        stack.enter_context(mounted("sysfs", root / "sys", "-t", "sysfs", "-o", "ro"))
        dev = stack.enter_context(mounted("tmpfs", root / "dev", "-t", "tmpfs", "-o", "mode=755"))
        for name in ("null", "zero", "full", "random", "urandom", "tty"):
            _copy_device(Path("/dev") / name, dev)
        _copy_device(device, dev)
        by_uuid = dev / "disk/by-uuid"
        by_uuid.mkdir(parents=True)
        for number, uuid in ((BOOT, ids.boot), (ROOT, ids.root), (SWAP, ids.swap)):
            _copy_device(partition(device, number), dev)
            (by_uuid / uuid).symlink_to(f"../../{partition(device, number).name}")
        (dev / "fd").symlink_to("/proc/self/fd")
        yield


def _copy_device(path: Path, folder: Path) -> None:
    like = path.stat()
    os.mknod(folder / path.name, stat.S_IFMT(like.st_mode) | 0o666, like.st_rdev)


def _finish_inside(root: Path, device: Path, progress: Progress) -> None:
    """What the tree's own programs do: a user, host keys, initramfs, GRUB."""

    def inside(*argv: str | Path, stdin: str = "") -> None:
        run(
            ["chroot", root, *argv], stdin=stdin.encode(), env={"DEBIAN_FRONTEND": "noninteractive"}
        )

    inside("useradd", "--create-home", "--uid", str(ALICE), "--shell", "/bin/bash", "alice")
    inside("ssh-keygen", "-A")
    inside("debconf-set-selections", stdin="grub-pc grub-pc/install_devices multiselect /dev/vda\n")
    inside("systemctl", "enable", "networking", "ssh")
    progress("making the initramfs")
    inside("update-initramfs", "-c", "-k", "all")
    progress("installing GRUB")
    inside("grub-install", "--target=i386-pc", device)
    inside("update-grub")
