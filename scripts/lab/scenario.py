"""The story: a running machine becomes an image, blank machines its copies, a patch reaches them.

One module for `make demo` and for the end-to-end test. Every step is what an administrator does, by
the same commands, on machines in QEMU; what is seen is judged by programs that know nothing of si.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from scripts.lab import patch
from scripts.lab.accel import choose_accelerator
from scripts.lab.disk import mounted_tree
from scripts.lab.golden import ADDRESS as GOLDEN_ADDRESS
from scripts.lab.golden import MAC as GOLDEN_MAC
from scripts.lab.golden import POINTS, copy_disk, ensure_golden
from scripts.lab.machine import Boot, Machine, Spec, make_disk
from scripts.lab.network import Network
from scripts.lab.proof import ALLOWED, compare_disk, count_differences
from scripts.lab.report import Report
from scripts.lab.site import (
    ADDRESSES,
    DNS_ONLY_CLIENT,
    HOOK_ORDER,
    IMAGE,
    LOADERS,
    MACS,
    TRANSPORTS,
    Site,
)
from scripts.lab.ssh import Login

CLIENTS = ("web1", "web2")
DISK_SIZE = 4 << 30
INSTALL_S = 1200
BOOT_S = 600


class Story:
    """Everything of one run; in a `with` statement the lab is up, and is gone afterwards."""

    def __init__(self, folder: Path, report: Report, clients: tuple[str, ...] = CLIENTS) -> None:
        self.folder = folder
        self.report = report
        self.clients = clients
        self._open = ExitStack()
        self.machines: dict[str, Machine] = {}

    def __enter__(self) -> Self:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def play(self) -> None:
        """All phases. Raises LabError when one cannot go on; failed checks are in the report."""
        self.play_install()
        self.prove()
        self.boot()
        self.patch()
        self.update()
        self.reboot()
        self.report.end()

    def play_install(self) -> None:
        """The phases up to machines whose disks are written."""
        self.set_up()
        self.prepare_golden()
        self.capture()
        self.build_flavor()
        self.arm()
        self.install()

    def set_up(self) -> None:
        """The golden client's disk, a network with DNS and DHCP, and the server."""
        with self.report.phase("golden disk", "a Debian 12 disk for the golden client, built once"):
            self.golden = ensure_golden(self.folder.parent / "lab", _say)
        with self.report.phase("server", "network, DNS, si-server, DHCP by si-mkdhcpserver"):
            choice = choose_accelerator(self.folder.parent / "lab")
            _say(f"machines run with {choice.name}: {choice.reason}")
            self.accelerator = choice.name
            self.network = self._open.enter_context(Network())
            self.site = Site(self.network, self.folder)
            self.site.make()
            self.dns_log = self.folder / "dns.log"
            known = {DNS_ONLY_CLIENT: ADDRESSES[DNS_ONLY_CLIENT]}
            self.network.start_dns(known, self.dns_log)
            self.site.start_server()
            self._open.callback(self.site.stop_server)
            self._add_clients()
            self.site.start_dhcp()

    def prepare_golden(self) -> None:
        """Boot the golden client through the network, where nobody knows it, and prepare it."""
        with self.report.phase("golden client", "an unarmed machine boots its own disk"):
            disk = self.folder / "golden.raw"
            copy_disk(self.golden.disk, disk)
            golden = self._machine("golden", GOLDEN_MAC, disk, Boot.NETWORK)
            golden.start()
            self.login_golden = Login(self.network, GOLDEN_ADDRESS, self.golden.key)
            self.login_golden.wait(BOOT_S)
            unknown = {entry["mac"] for entry in self.site.unknown_macs()}
            self.report.check(
                "unarmed", GOLDEN_MAC in unknown,
                "a machine that nobody armed boots its own disk, and si-monitor lists its MAC",
            )  # fmt: skip
            self.golden_identity = patch.read_identity(self.login_golden)
        with self.report.phase("prepare", "si-prepareclient on the golden client"):
            self.site.prepare(self.login_golden, self.folder / "prepareclient.log")

    def capture(self) -> None:
        """si-getimage, and what it made."""
        with self.report.phase("capture", f"si-getimage --image {IMAGE}"):
            self.site.run("getimage", "--golden-client", GOLDEN_ADDRESS, "--image", IMAGE, "--yes")
            layout = (self.site.var / f"layouts/{IMAGE}.xml").read_text()
            master = (self.site.var / f"scripts/{IMAGE}.master").read_text()
            good = "/dev/vda" in layout and "parted" in master and self.site.image.is_dir()
            self.report.check("captured", good, "image, layout of /dev/vda, script with parted")
        with self.report.phase("specimens", "the golden client's own files against the image"):
            self.machines["golden"].power_down(60)
            with mounted_tree(self.folder / "golden.raw", POINTS, self.folder / "mnt") as tree:
                for name in ("srv/specimens", "home/alice"):
                    lines = count_differences(tree / name, self.site.image / name)
                    self.report.check(
                        "captured", not lines, f"/{name}: {'; '.join(lines) or 'identical'}"
                    )

    def build_flavor(self) -> None:
        """Kernel and BOEL initrd."""
        with self.report.phase("flavor", "si-mkbootpackage --flavor virtio"):
            self.site.run("mkbootpackage", "--flavor", "virtio")

    def arm(self) -> None:
        """si-mkclientnetboot for the version that the capture published, by a transport each; the
        address of one client is known to DNS only."""
        with self.report.phase("arm", "si-mkclientnetboot --netboot"):
            for name in self.clients:
                self.site.run("mkclientnetboot", "--netboot", "--clients", name,
                              "--image", IMAGE, "--transport", TRANSPORTS[name],
                              "--flavor", "virtio", "--yes")  # fmt: skip
            if DNS_ONLY_CLIENT in self.clients:
                asked = f"query[A] {DNS_ONLY_CLIENT}" in self.dns_log.read_text()
                self.report.check("dns", asked, f"DNS was asked for {DNS_ONLY_CLIENT}")

    def install(self) -> None:
        """Both machines boot from the network and install side by side."""
        with self.report.phase("install", f"{' and '.join(self.clients)} side by side"):
            for name in self.clients:
                disk = make_disk(self.folder / f"{name}.raw", DISK_SIZE)
                self._machine(name, MACS[name], disk, Boot.NETWORK, reboots=False).start()
            for name in self.clients:
                self.machines[name].wait_exit(INSTALL_S)
        states = self.site.states()
        for name in self.clients:
            state = states[name]["state"]
            entry = self.site.boot_entry(MACS[name])
            local = "kernel" not in entry
            self.report.check(
                "disarmed", state == "written" and local,
                f"{name}: {state} through {LOADERS[name]} and {TRANSPORTS[name]}, "
                f"its boot entry is the local disk",
            )  # fmt: skip
            self._check_hooks(name)

    def prove(self) -> None:
        """Read each written disk on another machine before it boots."""
        with self.report.phase("proof", "every path of the written disks against the image"):
            for name in self.clients:
                with mounted_tree(self.folder / f"{name}.raw", POINTS, self.folder / "mnt") as tree:
                    ok, detail = compare_disk(
                        self.site.image, tree, self.folder / f"proof-{name}.txt"
                    )
                self.report.check("identical", ok, f"{name}: {detail}")

    def boot(self) -> None:
        """Start both from the network again: their own disks boot, and they report."""
        with self.report.phase("boot", "from the network again, into the installed systems"):
            for name in self.clients:
                self._machine(name, MACS[name], self.folder / f"{name}.raw", Boot.NETWORK).start()
            for name in self.clients:
                state = self.site.wait_state(name, "installed", BOOT_S)
                runs = f"{state['image']}@{state['version']}"
                self.report.check("installed", runs == f"{IMAGE}@1", f"{name}: reported {runs}")
            for name in self.clients:
                wrong = patch.check_booted(
                    self._login(name), name, self.golden_identity, ADDRESSES[name]
                )
                self.report.check("booted", not wrong, f"{name}: {wrong or 'runs as itself'}")

    def patch(self) -> None:
        """Install a package in the image, change and remove files, publish it."""
        with self.report.phase("patch", f"si-chroot --publish {IMAGE}: changes, removals"):
            patch.patch_image(self.site)

    def update(self) -> None:
        """si-updateclient --dry-run, then in earnest, on one client."""
        login = self._login("web1")
        with self.report.phase("update", "si-updateclient on web1"):
            patch.drift(login)
            dry = login.run("si-updateclient --dry-run", timeout_s=300, check=False)
            (self.folder / "update-dry-run.txt").write_bytes(dry.stdout + dry.stderr)
            wrong = patch.check_listing(dry)
            self.report.check("dry-run", not wrong, f"web1: {wrong or 'lists what would change'}")
            done = login.run("si-updateclient --yes", timeout_s=300, check=False)
            (self.folder / "update.txt").write_bytes(done.stdout + done.stderr)
            again = login.run("si-updateclient --dry-run", timeout_s=300, check=False)
            wrong = patch.check_updated(login, done, again)
            self.report.check("updated", not wrong, f"web1: {wrong or 'equals the patched image'}")

    def reboot(self) -> None:
        """The updated client reboots and runs; its disk differs from the image where it may."""
        with self.report.phase("reboot", "web1 after the update"):
            self.machines["web1"].power_down(90)
            self.machines["web1"].start()
            login = self._login("web1")
            login.wait(BOOT_S)
            state = login.wait_running(BOOT_S)
            self.report.check("rebooted", state == "running", f"web1: {state}")
        with self.report.phase("difference", "what a machine that ran differs in"):
            for name in self.clients:
                self.machines[name].power_down(90)
            with mounted_tree(self.folder / "web1.raw", POINTS, self.folder / "mnt") as tree:
                ok, detail = compare_disk(
                    self.site.image, tree, self.folder / "difference-web1.txt",
                    more_allowed=ALLOWED / "ran.txt",
                )  # fmt: skip
            self.report.check("updated", ok, f"web1: {detail}")

    def wait_for_person(self) -> None:
        """Leave the machines up until Enter."""
        for name in self.clients:
            if not self.machines[name].running:
                self.machines[name].start()
            self._login(name).wait(BOOT_S)
        prefix = " ".join(str(word) for word in self.network.inside([]))
        print(f"\nThe lab is up. The server's commands: {prefix} env SI_ROOT={self.site.root} "
              f"{Path(sys.executable).with_name('si')} monitor")  # fmt: skip
        for name in self.clients:
            print(f"  {name}: {prefix} ssh -i {self.golden.key} root@{ADDRESSES[name]}")
        input("Press Enter to take it down. ")

    def _add_clients(self) -> None:
        for name in self.clients:
            words = ["--mac", MACS[name], "--group", "farm", "--loader", LOADERS[name]]
            if name != DNS_ONLY_CLIENT:
                words += ["--ip", ADDRESSES[name]]
            self.site.run("client", "add", name, *words)

    def _check_hooks(self, name: str) -> None:
        log = self.site.run("monitor", "--log", name).text
        for stage in ("pre", "post"):
            marks = (line.split("si-order ")[1].split() for line in log.splitlines()
                     if "si-order " in line)  # fmt: skip
            ran = tuple(mark[1] for mark in marks if mark[0] == stage)
            self.report.check(
                "scripts", ran == HOOK_ORDER[name], f"{name}: {stage}-install: {' '.join(ran)}"
            )

    def _login(self, name: str) -> Login:
        return Login(self.network, ADDRESSES[name], self.golden.key)

    def _machine(
        self, name: str, mac: str, disk: Path, boot: Boot, *, reboots: bool = True
    ) -> Machine:
        """A machine of that name in place of an earlier one."""
        spec = Spec(name=name, mac=mac, disks=(disk,), accelerator=self.accelerator, boot=boot,
                    reboots=reboots)  # fmt: skip
        machine = Machine(self.network, spec, self.folder / f"{name}.console")
        if name in self.machines:
            self.machines[name].kill()
        self.machines[name] = machine
        self._open.callback(machine.kill)
        return machine


def _say(text: str) -> None:
    print(f"           {text}", flush=True)
