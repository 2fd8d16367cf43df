"""systemd-boot: what BOEL writes onto the ESP, in folders; the firmware is a stand-in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.boel.files import Run, age, attributes, put

ROOT = "11111111-2222-3333-4444-555555555555"
GOLDEN = "99999999-2222-3333-4444-555555555555"
STAND_INS = """
mounted_type() { echo vfat; }
write_boot_entries() { echo "firmware: $*"; }
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image as a golden client with an ESP at /boot/efi leaves it."""
    top = tmp_path / "a"
    put(top / "usr/lib/systemd/boot/efi/systemd-bootx64.efi", "MZ systemd-boot")
    put(top / "etc/os-release", 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\n')
    put(top / "boot/vmlinuz-6.1.0", "kernel 6.1.0")
    put(top / "boot/initrd.img-6.1.0", "initramfs 6.1.0")
    put(top / "boot/vmlinuz-6.9.0", "kernel 6.9.0")
    esp = top / "boot/efi"
    put(esp / "token/6.1.0/linux", "kernel of the golden client")
    put(esp / "token/6.1.0/initrd.img-6.1.0", "initramfs of the golden client")
    entry = "title Debian\nlinux /token/6.1.0/linux\ninitrd /token/6.1.0/initrd.img-6.1.0\n"
    put(esp / "loader/entries/token-6.1.0.conf", f"{entry}options root=UUID={GOLDEN} ro\n")
    put(esp / "loader/entries/memtest.conf", "title memtest\nefi /EFI/memtest.efi\n")
    put(esp / "loader/loader.conf", "timeout 3\n")
    put(esp / "loader/random-seed", "of the golden client")
    return top


def install(boel: Run, image: Path, *esps: str) -> subprocess.CompletedProcess[str]:
    words = f"{image} {ROOT} 'quiet console=ttyS0 resume=UUID=5' {' '.join(esps)}"
    return boel(f"{STAND_INS}install_systemd_boot {words}")


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_each_kernel_has_an_entry_of_this_machine(boel: Run, image: Path) -> None:
    done = install(boel, image, "/boot/efi")
    assert done.returncode == 0, done.stderr
    esp = image / "boot/efi"
    assert names(esp) == {
        "EFI/systemd/systemd-bootx64.efi",
        "EFI/BOOT/BOOTX64.EFI",
        "debian/6.1.0/vmlinuz-6.1.0",
        "debian/6.1.0/initrd.img-6.1.0",
        "debian/6.9.0/vmlinuz-6.9.0",
        "loader/entries/debian-6.1.0.conf",
        "loader/entries/debian-6.9.0.conf",
        "loader/entries/memtest.conf",
        "loader/loader.conf",
    }
    assert (esp / "loader/entries/debian-6.1.0.conf").read_text() == (
        "title Debian GNU/Linux 12\nversion 6.1.0\nsort-key debian\n"
        "linux /debian/6.1.0/vmlinuz-6.1.0\ninitrd /debian/6.1.0/initrd.img-6.1.0\n"
        f"options root=UUID={ROOT} ro quiet console=ttyS0 resume=UUID=5\n"
    )
    assert "initrd" not in (esp / "loader/entries/debian-6.9.0.conf").read_text()
    assert (esp / "debian/6.9.0/vmlinuz-6.9.0").read_text() == "kernel 6.9.0"
    for program in ("EFI/systemd/systemd-bootx64.efi", "EFI/BOOT/BOOTX64.EFI"):
        assert (esp / program).read_text() == "MZ systemd-boot"
    assert rf"firmware: {image} debian systemd\systemd-bootx64.efi /boot/efi" in done.stdout


def test_twice_is_the_same_as_once(boel: Run, image: Path) -> None:
    assert install(boel, image, "/boot/efi").returncode == 0
    once = {name: (image / name).read_bytes() for name in names(image)}
    assert install(boel, image, "/boot/efi").returncode == 0
    assert {name: (image / name).read_bytes() for name in names(image)} == once


def test_an_esp_at_boot_holds_the_kernels_themselves(boel: Run, image: Path) -> None:
    own = f"linux /vmlinuz-6.1.0\noptions root=UUID={GOLDEN}\n"
    put(image / "boot/loader/entries/arch.conf", own)
    done = install(boel, image, "/boot")
    assert done.returncode == 0, done.stderr
    assert (image / "boot/vmlinuz-6.1.0").read_text() == "kernel 6.1.0"
    assert not (image / "boot/loader/entries/arch.conf").exists()
    entry = (image / "boot/loader/entries/debian-6.1.0.conf").read_text()
    assert "\nlinux /vmlinuz-6.1.0\ninitrd /initrd.img-6.1.0\n" in entry


def test_an_entry_names_no_file_outside_its_esp(boel: Run, image: Path) -> None:
    put(image / "boot/efi/loader/entries/bad.conf", "linux /../../etc/os-release\n")
    assert install(boel, image, "/boot/efi").returncode == 0
    assert (image / "etc/os-release").exists()


def test_later_kernels_get_the_arguments_of_this_machine(boel: Run, image: Path) -> None:
    file = put(image / "etc/kernel/cmdline", f"root=UUID={GOLDEN} quiet\n")
    age(file.parent)
    before = attributes(file.parent)
    assert install(boel, image, "/boot/efi").returncode == 0
    assert file.read_text() == f"root=UUID={ROOT} ro quiet console=ttyS0 resume=UUID=5\n"
    assert attributes(file.parent) == before


@pytest.mark.parametrize(
    ("lacks", "says"),
    [
        ("usr/lib/systemd/boot/efi/systemd-bootx64.efi", "the image has no systemd-boot"),
        ("boot/vmlinuz-*", "the image has no kernel /boot/vmlinuz-*"),
    ],
)
def test_what_the_image_lacks_is_said(boel: Run, image: Path, lacks: str, says: str) -> None:
    for path in image.glob(lacks):
        path.unlink()
    done = install(boel, image, "/boot/efi")
    assert (done.returncode, says in done.stderr) == (1, True), done.stderr


def test_a_signed_program_comes_first(boel: Run, image: Path) -> None:
    put(image / "usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed", "MZ signed")
    assert install(boel, image, "/boot/efi").returncode == 0
    assert (image / "boot/efi/EFI/BOOT/BOOTX64.EFI").read_text() == "MZ signed"
