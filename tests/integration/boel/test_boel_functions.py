"""What BOEL makes of the kernel command line, of identity, GRUB and the scripts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.integration.boel.files import Run, age, attributes, put


def test_arguments_are_read_and_never_run(boel: Run, tmp_path: Path) -> None:
    line = (
        "BOOT_IMAGE=x si.server=http://10.0.0.1:8080/ si.client=web1 si.token=abc_-. "
        "si.client=$(touch${IFS}/tmp/x) si.token=`id` si.server=http://a;reboot si.other=* "
        "SI_TOKEN=no PATH=/evil si.token= quiet BOOTIF=01-52-54-00-AA-bb-01\n"
    )
    command_line = put(tmp_path / "cmdline", line)
    show = f"""
. "$BOEL_LIB/arguments.sh"
read_arguments <"{command_line}"
echo "$SI_HTTP|$SI_CLIENT|$SI_TOKEN|$SI_INTERFACE"
"""
    done = boel(show)
    assert done.stdout.splitlines()[-1] == "http://10.0.0.1:8080|web1|abc_-.|52:54:00:aa:bb:01"
    assert done.stdout.count("ignored: ") == 5
    assert done.returncode == 0


def test_configure_client_keeps_directories_as_the_image_has_them(
    boel: Run, tmp_path: Path
) -> None:
    new = tmp_path / "a"
    identity = tmp_path / "state/bundle/identity"
    put(new / "etc/hostname", "golden\n", mode=0o755)
    put(new / "etc/machine-id", "golden's own\n")
    put(new / "var/lib/dbus/machine-id", "golden's own\n")
    put(new / "etc/network/interfaces", "golden\n")
    (new / "etc/network").chmod(0o700)
    os.chown(new / "etc/network", 7, 8)
    os.link(new / "etc/hostname", new / "etc/hostname.link")
    put(identity / "etc/hostname", "web1\n")
    put(identity / "etc/network/interfaces", "auto lo\n")
    put(identity / "etc/new folder/file", "x\n", mode=0o600)
    folders = [new / "etc", new / "etc/network", new / "var/lib/dbus", new / "var", new]
    points = [new / name for name in ("dev", "proc", "sys", "run")]
    for point in points:
        point.mkdir()
    age(*folders, *points, new / "etc/hostname.link")
    before = attributes(*folders, *points)

    done = boel(f'mount_for_chroot() {{ :; }}\nconfigure_client "{new}"\n')
    assert done.returncode == 0, done.stderr
    assert attributes(*folders, *points) == before
    assert (new / "etc/hostname").read_text() == "web1\n"
    assert (new / "etc/hostname.link").read_text() == "golden\n", "wrote through a hard link"
    assert (new / "etc/network/interfaces").read_text() == "auto lo\n"
    assert (new / "etc/new folder/file").stat().st_mode & 0o777 == 0o600
    machine_id = (new / "etc/machine-id").read_text()
    assert len(machine_id) == 33
    assert int(machine_id, 16)
    assert (new / "var/lib/dbus/machine-id").read_text() == machine_id
    again = boel(f'mount_for_chroot() {{ :; }}\nconfigure_client "{new}"\n')
    assert again.returncode == 0
    assert (new / "etc/machine-id").read_text() != machine_id


def test_grub_config(boel: Run, tmp_path: Path) -> None:
    boot = tmp_path / "a/boot"
    for release in ("6.1.0-9-amd64", "6.1.0-56-amd64", "6.1.0-56-cloud-amd64"):
        put(boot / f"vmlinuz-{release}")
    put(boot / "initrd.img-6.1.0-56-amd64")
    put(boot / "initrd.img-6.1.0-9-amd64")
    put(tmp_path / "a/etc/default/grub", 'GRUB_DEFAULT=0\n#GRUB_TIMEOUT=9\nGRUB_TIMEOUT="2"\n')
    (boot / "grub").mkdir()
    age(boot, boot / "grub")
    before = attributes(boot, boot / "grub")
    arguments = 'console=ttyS1,57600n8 x="a b;$c" resume=UUID=aaaa'
    done = boel(f"write_grub_config '{tmp_path}/a' 1111-root 2222-boot '' '{arguments}'")
    assert done.returncode == 0, done.stderr
    assert attributes(boot, boot / "grub") == before
    text = (boot / "grub/grub.cfg").read_text()
    subprocess.run(["grub-script-check", boot / "grub/grub.cfg"], check=True)
    words = r"root=UUID=1111-root ro console=ttyS1,57600n8 x=\"a b\;\$c\" resume=UUID=aaaa"
    assert text.splitlines()[1:] == [
        "set timeout=2",
        "set default=0",
        "serial --unit=1 --speed=57600",
        "terminal_input console serial",
        "terminal_output console serial",
        "search --no-floppy --fs-uuid --set=root 2222-boot",
        "menuentry 'Linux 6.1.0-56-cloud-amd64' {",
        f"\tlinux /vmlinuz-6.1.0-56-cloud-amd64 {words}",
        "}",
        "menuentry 'Linux 6.1.0-56-amd64' {",
        f"\tlinux /vmlinuz-6.1.0-56-amd64 {words}",
        "\tinitrd /initrd.img-6.1.0-56-amd64",
        "}",
        "menuentry 'Linux 6.1.0-9-amd64' {",
        f"\tlinux /vmlinuz-6.1.0-9-amd64 {words}",
        "\tinitrd /initrd.img-6.1.0-9-amd64",
        "}",
    ]


def test_grub_config_without_serial_console_kernel_or_timeout(boel: Run, tmp_path: Path) -> None:
    put(tmp_path / "a/boot/vmlinuz-6.1")
    done = boel(f"write_grub_config '{tmp_path}/a' r b /boot 'root=LABEL=x rw quiet'")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "a/boot/grub/grub.cfg").read_text()
    assert "set timeout=5\n" in text
    assert "serial" not in text
    assert "\tlinux /boot/vmlinuz-6.1 root=LABEL=x rw quiet\n" in text
    (tmp_path / "a/boot/vmlinuz-6.1").unlink()
    failed = boel(f"write_grub_config '{tmp_path}/a' r b /boot quiet")
    assert failed.returncode == 1
    assert "the image has no kernel" in failed.stderr


def test_scripts_run_in_order_until_one_fails(boel: Run, tmp_path: Path) -> None:
    bundle = tmp_path / "state/bundle"
    put(tmp_path / "state/header.sh", "SI_CLIENT=web1\nSI_IMAGE=web\nUUID_root='1 2'\n")
    put(bundle / "pre-install/90all.first", '#!/bin/sh\necho "first $HOSTNAME $IMAGENAME"\n')
    put(bundle / "pre-install/10web1.a+b", '#!/bin/sh\necho "second $UUID_root"; cat; exit 3\n')
    put(bundle / "pre-install/20web1.never", "#!/bin/sh\necho never\n")
    put(bundle / "pre-install.order", "90all.first\n10web1.a+b\n20web1.never\n")
    done = boel("run_scripts pre-install")
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if not line.startswith("boel: ")]
    assert lines == ["first web1 web", "second 1 2"]
    assert "pre-install script 10web1.a+b ended with exit code 3" in done.stderr
    put(bundle / "pre-install.order", "../../../etc/passwd\n")
    assert "no fit name" in boel("run_scripts pre-install").stderr
    (bundle / "pre-install.order").unlink()
    assert boel("run_scripts pre-install").returncode == 0


def test_an_initramfs_that_is_made_anew_leaves_folders_as_they_were(
    boel: Run, tmp_path: Path
) -> None:
    """update-initramfs writes into /boot and makes its folders in /var/tmp."""
    new = tmp_path / "a"
    put(new / "boot/vmlinuz-6.1", "kernel")
    put(new / "boot/initrd.img-6.1", "golden's")
    put(new / "usr/sbin/update-initramfs", "#!/bin/sh\n", mode=0o755)
    (new / "var/tmp").mkdir(parents=True)
    folders = [new / "boot", new / "var/tmp"]
    age(*folders)
    before = attributes(*folders)
    fakes = f"""
mount_for_chroot() {{ :; }}
mounted_device() {{ echo vda1; }}
mounted_type() {{ echo ext4; }}
needed_programs() {{ :; }}
lacking() {{ echo "the module nvme"; }}
in_chroot() {{
    mkdir "{new}/var/tmp/work"
    rm -r "{new}/var/tmp/work" "{new}/boot/initrd.img-6.1"
    echo "$@" >"{new}/boot/initrd.img-6.1"
}}
"""
    done = boel(f'{fakes}rebuild_initramfs "{new}"\n')
    assert done.returncode == 0, done.stderr
    assert (new / "boot/initrd.img-6.1").read_text() == f"{new} update-initramfs -u -k 6.1\n"
    assert attributes(*folders) == before
