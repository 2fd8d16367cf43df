"""Where faults are tried: a server with a small image, and clients that are theirs alone.

No golden client is booted: the tree of the lab's Debian goes into the image by
`si-getimage --directory`, without what no fault needs, and its layout is written by hand.
"""

from __future__ import annotations

import hashlib
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from scripts.lab.accel import Accelerator
from scripts.lab.golden_tree import ensure_tree
from scripts.lab.machine import Boot, Machine, Spec, make_disk
from scripts.lab.network import Network
from scripts.lab.site import IMAGE, SETTINGS, Site
from si.system.run import run

MIB = 1 << 20
DISK_BYTES = 1024 * MIB
LAYOUT_BYTES = 84 * MIB
"""More than LAYOUT needs, less than LAYOUT with the image in it."""
CLIENTS = ("cut", "thrice", "broken", "rearmed", "survivor", "small", "diskless", "readonly",
           "peer1", "peer2")  # fmt: skip
PEERS = CLIENTS[-2:]
"""Those that install at once."""
SCRIPT_WORDS = "the pressure of tyre 3 is 17"
LEFT_OUT = (
    "/usr/lib/modules/*/kernel/*", "/usr/lib/python3.11/*", "/usr/bin/python3.11",
    "/usr/lib/udev/*",
    "/usr/lib/x86_64-linux-gnu/gconv/*", "/usr/share/zoneinfo/*", "/usr/lib/apt/*",
    "/usr/sbin/dhclient", "/usr/bin/ssh", "/usr/bin/zstd", "/usr/share/grub/*",
    "/usr/lib/x86_64-linux-gnu/systemd/*", "/usr/lib/systemd/*", "/boot/System.map*",
    "/usr/lib/x86_64-linux-gnu/libicu*",
)  # fmt: skip
LAYOUT = """\
<config format="1">
  <disk dev="/dev/vda" label_type="msdos">
    <part num="1" size="*" p_type="primary" flags="boot"/>
    <part num="2" size="48MiB" p_type="primary" flags="swap"/>
  </disk>
  <bootloader flavor="grub2" install_type="legacy"><target dev="/dev/vda"/></bootloader>
  <fsinfo line="10" real_dev="/dev/vda1" mp="/" fs="ext4" options="defaults" pass="1"/>
  <fsinfo line="20" real_dev="/dev/vda2" mp="swap" fs="swap" options="sw"/>
</config>
"""
POST_INSTALL = f"""\
#!/bin/sh
echo 'checking the tyres'
echo '{SCRIPT_WORDS}' >&2
exit 3
"""


class FaultSite(Site):
    """A server with the clients above and one post-install script, which fails."""

    def make(self, *, plain: bool = False) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        etc = self.root / "etc/systemimager"
        etc.mkdir(parents=True)
        (etc / "si.toml").write_text(SETTINGS)
        self.log.write_text("")
        (self.var / "layouts").mkdir(parents=True)
        (self.var / "layouts" / f"{IMAGE}.xml").write_text(LAYOUT)
        script = self.var / "scripts/post-install/30broken.fails"
        script.parent.mkdir(parents=True)
        script.write_text(POST_INSTALL)
        script.chmod(0o755)

    def set_report_timeout(self, seconds: int) -> None:
        """[install] report_timeout_s; the server must be started again to know it."""
        text = f"{SETTINGS}\n[install]\nreport_timeout_s = {seconds}\n"
        (self.root / "etc/systemimager/si.toml").write_text(text)


class Yard:
    """The server, and machines of its clients; in a `with` statement all of it is up."""

    def __init__(self, folder: Path, lab: Path, accelerator: Accelerator) -> None:
        self.folder = folder
        self.lab = lab
        self.accelerator = accelerator
        self._open = ExitStack()
        self._machines: dict[str, Machine] = {}

    def __enter__(self) -> Yard:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        try:
            self._set_up()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def arm(self, *clients: str, transport: str = "rsync") -> None:
        """Arm them; a client's log and events begin anew."""
        self.site.run("mkclientnetboot", "--netboot", "--clients", ",".join(clients), "--image",
                      IMAGE, "--transport", transport, "--flavor", "virtio", "--yes")  # fmt: skip

    def boots_disk(self, client: str) -> bool:
        """Whether the server sends the client to its own disk."""
        return "kernel" not in self.site.boot_entry(mac(client))

    def machine(self, client: str, *disks: Path, read_only: bool = False) -> Machine:
        """A machine that boots from the network and ends where it would boot again."""
        spec = Spec(name=client, mac=mac(client), disks=disks, accelerator=self.accelerator,
                    boot=Boot.NETWORK, reboots=False, read_only=read_only)  # fmt: skip
        return self._keep(client, spec)

    def again(self, machine: Machine) -> Machine:
        """The same machine, switched on once more, and free to boot again."""
        return self._keep(machine.spec.name, replace(machine.spec, reboots=True))

    def switch_off(self) -> None:
        """Every machine, wherever it stands."""
        for machine in self._machines.values():
            machine.kill()

    def disk(self, client: str, size: int = DISK_BYTES) -> Path:
        """An empty disk."""
        return make_disk(self.folder / f"{client}.raw", size)

    def _keep(self, client: str, spec: Spec) -> Machine:
        if client in self._machines:
            self._machines[client].kill()
        machine = Machine(self.network, spec, self.folder / f"{client}.console")
        self._machines[client] = machine
        self._open.callback(machine.kill)
        return machine

    def _set_up(self) -> None:
        tree = self.folder / "tree"
        tree.mkdir()
        run(["tar", "--extract", "--file", ensure_tree(self.lab, print), "--zstd",
             "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls",
             "--preserve-permissions", "--directory", tree])  # fmt: skip
        self.network = self._open.enter_context(Network())
        self.site = FaultSite(self.network, self.folder)
        self.site.make()
        excludes = [word for path in LEFT_OUT for word in ("--exclude", path)]
        self.site.run("getimage", "--directory", tree, "--image", IMAGE, *excludes)
        self.site.run("mkbootpackage", "--flavor", "virtio")
        for client in CLIENTS:
            self.site.run("client", "add", client, "--mac", mac(client), "--ip", address(client))
        self.site.start_server()
        self._open.callback(self.site.stop_server)
        self.site.start_dhcp()


def mac(client: str) -> str:
    """The MAC of a client's card."""
    return f"52:54:00:77:01:{CLIENTS.index(client):02x}"


def address(client: str) -> str:
    """The address of a client."""
    return f"10.77.0.{31 + CLIENTS.index(client)}"


def fill_disk(path: Path, size: int) -> Path:
    """A disk that somebody uses: a partition table, and bytes everywhere that are no zeros."""
    block = hashlib.sha256(path.name.encode()).digest() * (MIB // 32)
    with path.open("wb") as disk:
        for _ in range(size // MIB):
            disk.write(block)
    run(["sfdisk", "--quiet", path], stdin=b"label: dos\nstart=1MiB, type=83, bootable\n")
    return path


def digest(path: Path) -> str:
    """A hash of every byte of a disk."""
    with path.open("rb") as disk:
        return hashlib.file_digest(disk, "sha256").hexdigest()
