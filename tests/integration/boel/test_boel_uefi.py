"""An image with systemd-boot, installed in a UEFI guest that then starts from its own disk.

The image is what systemd-boot needs and no more: its program, a kernel and an initramfs, which are
BOEL's own; that it runs with the right arguments is what the second boot shows.
"""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from si.boot.flavor import Flavor, build_flavor
from si.config import default_settings
from si.layout.document import load_layout
from si.script.header import identifier_value
from si.script.identifiers import identifiers
from si.script.plan import plan
from si.script.render import render_steps
from si.script.steps import PostInstall
from tests.integration.boel.machine import Machine
from tests.integration.boel.server import TOKEN, Server, make_bundle, serving
from tests.integration.boel.test_boel_boot import START

EXAMPLE = Path(__file__).parents[3] / "schemas/examples/systemd-boot.xml"
LAYOUT = load_layout(EXAMPLE.read_bytes(), EXAMPLE.name)
LOADER = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
OVMF = Path("/usr/share/OVMF")
RELEASE = "6.1.0-test"
ARGUMENTS = ("console=ttyS0", "loglevel=7")
# What needs a server; and the golden client's entry, which names a root that is not here.
FUNCTIONS = """
fetch_image() { tar -x -f "$BOEL_STATE/bundle/image.tar" -C "$1"; }
fetch_overrides() { :; }
configure_client() { :; }
"""
OLD = "title old\nlinux /old/linux\noptions root=UUID=99999999-2222-3333-4444-555555555555\n"
VALUES = {
    wanted.variable: identifier_value(wanted, client="web1", image="web")
    for wanted in identifiers(LAYOUT)
}


def make_image(flavor: Flavor) -> bytes:
    contents = {
        f"boot/vmlinuz-{RELEASE}": flavor.kernel.read_bytes(),
        f"boot/initrd.img-{RELEASE}": flavor.initrd.read_bytes(),
        f"lib/modules/{RELEASE}/modules.builtin": b"kernel/drivers/virtio/virtio_pci.ko\n",
        "usr/lib/systemd/boot/efi/systemd-bootx64.efi": LOADER.read_bytes(),
        "etc/os-release": b"ID=debian\nPRETTY_NAME='Debian GNU/Linux'\n",
        "boot/efi/loader/entries/old.conf": OLD.encode(),
        "boot/efi/old/linux": b"a kernel",
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def script() -> str:
    header = "".join(f"{name}={value}\n" for name, value in VALUES.items())
    steps = plan(LAYOUT, kernel_args=ARGUMENTS, post_install=PostInstall.POWEROFF)
    text = render_steps(steps)
    look = (
        "\necho MENU; cat /a/boot/efi/loader/entries/*; ls /a/boot/efi; efibootmgr -v; echo END\n"
    )
    return START + FUNCTIONS + header + text.replace("\nphase unmount", f"{look}\nphase unmount")


@pytest.fixture(scope="module")
def consoles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """What the machine said while it was installed, and when it then started by itself."""
    folder = tmp_path_factory.mktemp("uefi")
    site = default_settings(folder)
    flavor = build_flavor(site, flavor="virtio")
    nvram = folder / "nvram.fd"
    shutil.copy(OVMF / "OVMF_VARS_4M.fd", nvram)
    code = f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF}/OVMF_CODE_4M.fd"
    firmware = ("-drive", code, "-drive", f"if=pflash,format=raw,unit=1,file={nvram}")
    server = Server(make_bundle(site, script(), files={"image.tar": make_image(flavor)}))
    machines: list[Machine] = []
    with serving(server):
        address = f"si.server=http://10.0.2.2:{server.port} si.client=web1 si.token={TOKEN}"
        machines.append(Machine(folder, flavor, address, (2 << 30,), firmware=firmware))
        try:
            first = machines[0]
            first.wait_for(
                lambda: first.process.poll() is not None or "failed" in server.phases, "end", 400
            )
            assert server.phases[-1] == "written", first.text[-6000:]
            machines.append(Machine.boot_again(first, firmware))
            second = machines[1]
            second.wait_for(lambda: "si.server" in second.text, "system of its own", 300)
            yield first.text, second.text
        finally:
            for machine in machines:
                machine.stop()


def test_the_menu_and_the_firmware_name_this_machine(consoles: tuple[str, str]) -> None:
    said = consoles[0].split("MENU\n", 1)[1].split("END\n", 1)[0]
    assert f"linux /debian/{RELEASE}/vmlinuz-{RELEASE}\n" in said
    assert f"options root=UUID={VALUES['UUID_root']} ro {' '.join(ARGUMENTS)} resume=" in said
    assert "99999999" not in said and "\nold\n" not in said
    assert re.search(r"Boot\w{4}\* debian\t.*\\EFI\\systemd\\systemd-bootx64\.efi", said)
    assert "boot check: all that this system refers to is there" in consoles[0]


def test_the_machine_starts_by_it(consoles: tuple[str, str]) -> None:
    """The kernel says what it was given, and the initramfs that it lacks a server."""
    line = re.search(r"Command line: .*", consoles[1])
    assert line and f"root=UUID={VALUES['UUID_root']} ro {' '.join(ARGUMENTS)}" in line[0]
    assert rf"initrd=\debian\{RELEASE}\initrd.img-{RELEASE}" in line[0]
