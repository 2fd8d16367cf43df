"""The boot check: a system on loop devices that is right, then broken in one place each time.

What is there is real (partitions, file systems, an archive that cpio makes); only what loop devices
cannot have - a driver of their own, arrays, containers, a firmware's variables - is told by
stand-ins for the functions that ask the kernel; so is which file system is the ESP, for the
kernels of some testing machines cannot mount vfat.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.boel.files import Run, put

ROOT = "11111111-2222-3333-4444-555555555555"
BOOT = "22222222-2222-3333-4444-555555555555"
SWAP = "33333333-2222-3333-4444-555555555555"
ESP = "44444444-2222-3333-4444-555555555555"
ABSENT = "99999999-2222-3333-4444-555555555555"
RELEASE = "6.1.0-test"
FSTAB = f"""\
# a comment
UUID={ROOT} / ext4 errors=remount-ro 0 1
UUID={BOOT} /boot ext4 defaults 0 2
UUID={ESP} /boot/efi ext4 defaults 0 1
UUID={SWAP} none swap sw 0 0
tmpfs /tmp tmpfs size=1G 0 0
server:/home /home nfs rw 0 0
UUID={ABSENT} /media/stick vfat noauto,nofail 0 0
"""
GRUB = f"""\
search --no-floppy --fs-uuid --set=root {BOOT}
menuentry 'Linux {RELEASE}' {{
\tlinux /vmlinuz-{RELEASE} root=UUID={ROOT} ro quiet resume=UUID={SWAP}
\tinitrd /initrd.img-{RELEASE}
}}
"""
# A virtio disk under the root, and no firmware but the ESP.
STAND_INS = """
needed_modules() { echo virtio_blk; }
check_loader() { check_esp "$1"; }
list_esps() { printf '%s %s\\n' "$ESP" "$1/boot/efi"; }
efibootmgr() {
    printf 'Boot0001* x\\tHD(1,GPT,%s,0x800,0x1)/File(%s)\\n' "$PART" '\\EFI\\x\\grubx64.efi'
}
"""


@dataclass
class System:
    """An installed system, mounted at `path`; `check` runs the boot check on it."""

    path: Path
    run: Run
    esp: str = ""
    part: str = ""

    def check(self, more: str = "") -> subprocess.CompletedProcess[str]:
        told = f"PART={self.part}\nESP={self.esp}\n"
        return self.run(f"{told}{STAND_INS}{more}\ncheck_boot {self.path}")

    def edit(self, name: str, old: str, new: str) -> None:
        file = self.path / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))


@pytest.fixture
def system(tmp_path: Path, boel: Run) -> Iterator[System]:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(200 << 20)
    table = "label: gpt\nsize=20M, type=U\nsize=20M\nsize=20M\n-\n"
    subprocess.run(["sfdisk", "--quiet", image], input=table, text=True, check=True)
    loop = output("losetup", "--find", "--show", image)
    point = tmp_path / "a"
    point.mkdir()
    try:
        yield make_system(System(point, boel), loop)
    finally:
        subprocess.run(["umount", "--recursive", "--quiet", point], check=False)
        subprocess.run(["partx", "--delete", loop], check=False)
        subprocess.run(["losetup", "--detach", loop], check=True)


def make_system(system: System, loop: str) -> System:
    # The kernel may be adding the partitions itself, or still forget those of the loop's last file.
    deadline = time.monotonic() + 15
    while subprocess.run(["partx", "--update", loop], capture_output=True).returncode != 0:
        assert time.monotonic() < deadline, f"no partitions on {loop}"
        time.sleep(0.05)
    ext4 = ("mkfs.ext4", "-q", "-F", "-U")
    output(*ext4, ESP, f"{loop}p1")
    output(*ext4, BOOT, f"{loop}p2")
    output("mkswap", "-U", SWAP, f"{loop}p3")
    output(*ext4, ROOT, f"{loop}p4")
    for number, place in ((4, ""), (2, "boot"), (1, "boot/efi")):
        (system.path / place).mkdir(exist_ok=True)
        output("mount", f"{loop}p{number}", str(system.path / place))
    system.esp = f"{loop}p1"
    system.part = output("blkid", "-p", "-s", "PART_ENTRY_UUID", "-o", "value", f"{loop}p1")
    put(system.path / "etc/fstab", FSTAB)
    put(system.path / "boot/grub/grub.cfg", GRUB)
    put(system.path / f"boot/vmlinuz-{RELEASE}", "kernel")
    modules = system.path / "lib/modules" / RELEASE
    put(modules / "modules.builtin", "kernel/fs/ext4/ext4.ko\n")
    put(modules / "modules.dep", "kernel/drivers/block/virtio_blk.ko: \n")
    make_initramfs(system, ["usr/lib/modules/drivers/block/virtio_blk.ko"])
    for place in ("BOOT/BOOTX64.EFI", "x/grubx64.efi"):
        put(system.path / "boot/efi/EFI" / place, f"MZ\nsearch.fs_uuid {BOOT} root hd0,gpt2 \n")
    return system


def make_initramfs(system: System, names: list[str], *, packer: str = "zstd") -> None:
    """As Debian's: microcode in an archive of its own, then the rest, compressed."""
    folder = system.path.parent / "initramfs"
    for name in ("kernel/x86/microcode/GenuineIntel.bin", *names):
        put(folder / name, "contents" * 100)
    early = archive(folder, ["kernel/x86/microcode/GenuineIntel.bin"])
    early += bytes(-len(early) % 512)
    rest = archive(folder, names)
    packed = subprocess.run([packer, "-c"], input=rest, check=True, capture_output=True).stdout
    (system.path / f"boot/initrd.img-{RELEASE}").write_bytes(early + packed)


def archive(folder: Path, names: list[str]) -> bytes:
    lines = "".join(f"{name}\n" for name in names).encode()
    argv = ["cpio", "--create", "--format=newc", "--quiet"]
    return subprocess.run(argv, cwd=folder, input=lines, check=True, capture_output=True).stdout


def output(*argv: object) -> str:
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_system_that_is_right_passes(system: System) -> None:
    done = system.check()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all that this system refers to is there" in done.stdout


@pytest.mark.parametrize("packer", ["zstd", "gzip", "xz", "bzip2"])
def test_initramfs_of_any_packer_is_read(system: System, packer: str) -> None:
    make_initramfs(system, ["usr/lib/modules/drivers/block/virtio_blk.ko.xz"], packer=packer)
    done = system.check()
    assert done.returncode == 0, done.stdout + done.stderr


def replace(name: str, old: str, new: str) -> Callable[[System], None]:
    return lambda system: system.edit(name, old, new)


def remove(name: str) -> Callable[[System], None]:
    return lambda system: (system.path / name).unlink()


def write(name: str, text: str) -> Callable[[System], None]:
    def sabotage(system: System) -> None:
        put(system.path / name, text)

    return sabotage


FSTAB_FILE, MENU = "etc/fstab", "boot/grub/grub.cfg"
SABOTAGE: dict[str, tuple[Callable[[System], None], str]] = {
    "fstab: a wrong UUID": (
        replace(FSTAB_FILE, BOOT, ABSENT),
        f"/etc/fstab: no device is UUID={ABSENT}, which /boot needs",
    ),
    "fstab: a label that nothing has": (
        replace(FSTAB_FILE, f"UUID={SWAP}", r"LABEL=my\040swap"),
        r"/etc/fstab: no device is LABEL=my\040swap, which none needs",
    ),
    "fstab: a device that is not there": (
        replace(FSTAB_FILE, f"UUID={SWAP}", "/dev/sdz9"),
        "/etc/fstab: no device is /dev/sdz9, which none needs",
    ),
    "fstab: another type": (
        replace(FSTAB_FILE, "/boot ext4", "/boot xfs"),
        f"/etc/fstab: UUID={BOOT} for /boot holds ext4, not xfs",
    ),
    "fstab: / elsewhere": (
        replace(FSTAB_FILE, f"UUID={ROOT}", f"UUID={BOOT}"),
        f"/etc/fstab: / is UUID={BOOT}, but the system was installed on loop",
    ),
    "fstab: no /": (replace(FSTAB_FILE, f"UUID={ROOT} / ", f"UUID={ROOT} /x "), "no line for /"),
    "fstab: a swap file": (
        replace(FSTAB_FILE, f"UUID={SWAP}", "/swapfile"),
        "/etc/fstab: none needs /swapfile, which is not there",
    ),
    "grub: a wrong UUID to search": (
        replace(MENU, BOOT, ABSENT),
        f"/boot/grub/grub.cfg: no device is UUID={ABSENT}, which GRUB searches",
    ),
    "grub: no kernel": (
        replace(MENU, f"linux /vmlinuz-{RELEASE}", "linux /vmlinuz-5.0"),
        "/boot/grub/grub.cfg: there is no /vmlinuz-5.0 on /dev/loop",
    ),
    "grub: no initramfs": (
        replace(MENU, f"initrd /initrd.img-{RELEASE}", "initrd /initrd.img-5.0"),
        "/boot/grub/grub.cfg: there is no /initrd.img-5.0 on /dev/loop",
    ),
    "grub: nothing to start": (
        replace(MENU, "\tlinux", "\techo"),
        "/boot/grub/grub.cfg starts no kernel",
    ),
    "no menu": (remove(MENU), "there is no boot menu"),
    "command line: a wrong root": (
        replace(MENU, f"root=UUID={ROOT}", f"root=UUID={ABSENT}"),
        f"no device is UUID={ABSENT}, which root= names",
    ),
    "command line: the root is something else": (
        replace(MENU, f"root=UUID={ROOT}", f"root=UUID={BOOT}"),
        f"root= names UUID={BOOT}, but the system was installed on loop",
    ),
    "command line: a wrong resume": (
        replace(MENU, f"resume=UUID={SWAP}", f"resume=UUID={ABSENT}"),
        f"no device is UUID={ABSENT}, which resume= names",
    ),
    "command line: resume from a file system": (
        replace(MENU, f"resume=UUID={SWAP}", f"resume=UUID={BOOT}"),
        "which holds ext4",
    ),
    "command line: no root": (replace(MENU, "root=UUID", "rood=UUID"), "a kernel gets no root="),
    "BLS: no kernel, no root": (
        write("boot/loader/entries/a.conf", f"linux /no\noptions root=UUID={ABSENT}\n"),
        "/boot/loader/entries/a.conf: there is no /no",
    ),
    "BLS: another root, on the ESP": (
        write(
            "boot/efi/loader/entries/a.conf",
            f"linux /EFI/x/grubx64.efi\noptions root=UUID={BOOT} quiet\n",
        ),
        f"/boot/efi/loader/entries/a.conf: root= names UUID={BOOT}, but the system was installed",
    ),
    "crypttab: a container that is not there": (
        write("etc/crypttab", f"data UUID={ABSENT} none luks\n"),
        f"/etc/crypttab: no device is UUID={ABSENT}, the container of data",
    ),
    "crypttab: no container": (
        write("etc/crypttab", f"data UUID={BOOT} none luks\n"),
        f"/etc/crypttab: UUID={BOOT}, the container of data, holds no LUKS",
    ),
    "mdadm.conf: an array that is not there": (
        write("etc/mdadm/mdadm.conf", "ARRAY /dev/md0 metadata=1.2 UUID=0a:0b:0c:0d\n"),
        "/etc/mdadm/mdadm.conf: no array of this machine has the UUID 0a:0b:0c:0d",
    ),
    "ESP: no removable path": (
        remove("boot/efi/EFI/BOOT/BOOTX64.EFI"),
        "has no EFI/BOOT/BOOTX64.EFI",
    ),
    "ESP: an entry without its file": (
        remove("boot/efi/EFI/x/grubx64.efi"),
        "a boot entry of the firmware names /EFI/x/grubx64.efi, which is not on /dev/loop",
    ),
    "ESP: GRUB looks elsewhere": (
        write("boot/efi/EFI/x/grubx64.efi", f"MZ\nsearch.fs_uuid {ABSENT} root hd0,gpt2 \n"),
        f"/EFI/x/grubx64.efi: no device is UUID={ABSENT}, which it searches",
    ),
    "initramfs: no driver": (
        lambda system: make_initramfs(system, ["usr/lib/modules/drivers/block/loop.ko"]),
        f"/boot/initrd.img-{RELEASE} lacks the module virtio_blk",
    ),
    "initramfs: cannot be read": (
        write(f"boot/initrd.img-{RELEASE}", "no archive at all"),
        f"/boot/initrd.img-{RELEASE} lacks an archive format that BOEL knows",
    ),
    "a kernel without modules": (
        write("boot/vmlinuz-7.0", "kernel"),
        "/boot/vmlinuz-7.0 has no modules in /lib/modules/7.0",
    ),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_what_is_broken_is_named(system: System, name: str) -> None:
    sabotage, words = SABOTAGE[name]
    sabotage(system)
    done = system.check()
    assert done.returncode == 1
    assert words in done.stderr
    assert "this system would not start" in done.stderr


def test_all_is_named_at_once(system: System) -> None:
    for name in ("fstab: a wrong UUID", "grub: no kernel", "initramfs: no driver"):
        SABOTAGE[name][0](system)
    done = system.check()
    assert done.stderr.count("boot check: ") == 3
    assert "3 references do not resolve" in done.stderr


def test_programs_that_open_the_root_are_looked_for(system: System) -> None:
    done = system.check("needed_programs() { echo cryptsetup; echo lvm; }")
    assert f"/boot/initrd.img-{RELEASE} lacks the program cryptsetup" in done.stderr
    assert f"/boot/initrd.img-{RELEASE} lacks the program lvm" in done.stderr


def test_systemd_boot_reads_no_menu_of_grub(system: System) -> None:
    """One that the golden client had before names nothing that counts; the ESP's entries do."""
    system.edit(MENU, BOOT, ABSENT)
    entry = f"linux /EFI/x/grubx64.efi\noptions root=UUID={ROOT}\n"
    put(system.path / "boot/efi/loader/entries/a.conf", entry)
    assert system.check().returncode == 1
    mark = ': >"$BOEL_STATE/systemd-boot"'
    done = system.check(mark)
    assert done.returncode == 0, done.stderr
    (system.path / "boot/efi/loader/entries/a.conf").unlink()
    assert "there is no boot menu" in system.check(mark).stderr


def test_no_grub_in_the_boot_sector(system: System) -> None:
    """The real check of a machine with BIOS: this disk has a table and no boot loader."""
    stand_in = 'check_loader() { check_boot_sectors "$1"; }'
    done = system.check(stand_in)
    assert "no boot sector of a disk that holds /boot has GRUB" in done.stderr
    disk = output("findmnt", "-no", "SOURCE", system.path).removesuffix("p4")
    with Path(disk).open("r+b") as file:
        file.write(b"\xeb\x63\x90" + bytes(381) + b"GRUB ")
    assert system.check(stand_in).returncode == 0


def test_every_disk_of_a_mirrored_boot_has_grub_in_its_boot_sector(system: System) -> None:
    """Two files for the disks; that one is the mirror of the other is told by stand-ins."""
    grub = b"\xeb\x63\x90" + bytes(381) + b"GRUB "
    names = ("shm/si-first", "shm/si-second")
    disks = [Path("/dev") / name for name in names]
    stand_ins = f"""
    check_loader() {{ check_boot_sectors "$1"; }}
    disks_of() {{ printf '%s\\n' {" ".join(name.replace("/", "!") for name in names)}; }}
    """
    mirrored = stand_ins + "is_mirrored() { :; }\n"
    try:
        for disk, contents in zip(disks, (grub, bytes(512)), strict=True):
            disk.write_bytes(contents)
        done = system.check(mirrored)
        assert f"has no GRUB: {disks[1]}\n" in done.stderr
        assert system.check(stand_ins).returncode == 0
        disks[1].write_bytes(grub)
        assert system.check(mirrored).returncode == 0
    finally:
        for disk in disks:
            disk.unlink(missing_ok=True)
