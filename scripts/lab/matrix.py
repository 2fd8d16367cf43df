"""Rows of the matrix: a running machine of some layout becomes an image, blank disks its copy.

The same commands and the same proof as in the main story (`scenario`), on other firmware and disks:
capture, install, compare the written disks with the image, boot twice. The second boot is one of a
machine whose firmware has forgotten its boot entries.
"""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from scripts.lab import patch
from scripts.lab.accel import choose_accelerator
from scripts.lab.golden import ADDRESS as GOLDEN_ADDRESS
from scripts.lab.golden import FOLDER, KEY
from scripts.lab.golden import MAC as GOLDEN_MAC
from scripts.lab.hardware import Firmware
from scripts.lab.machine import Boot, Machine, Spec, make_disk
from scripts.lab.network import Network
from scripts.lab.report import Report
from scripts.lab.row_golden import ensure_rows
from scripts.lab.row_proof import prove_row
from scripts.lab.rows import PASSPHRASE, Row
from scripts.lab.site import ADDRESSES, IMAGE, MACS, Site
from scripts.lab.ssh import Login

LAYOUTS = Path(__file__).with_name("layouts")
CLIENT = "web1"
INSTALL_S = 900
BOOT_S = 300
NEW_PROMPTS = ("Passphrase for ", "Again:")
PROMPT = r"[Pp]lease (unlock|enter)"


class RowStory:
    """One golden client and the rows that are installed from it: that of its own layout, retargets.

    In a `with` statement its lab is up, and is gone afterwards.
    """

    def __init__(self, folder: Path, golden_row: Row) -> None:
        self.folder = folder
        self.golden_row = golden_row
        self.row = golden_row
        self.report = Report(golden_row.name)
        """Of what is being played; the golden client's own row has the phases of the capture."""
        self.network = Network()
        self._open = ExitStack()
        self._machine: Machine | None = None

    def __enter__(self) -> Self:
        self._open.enter_context(self.network)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def take_image(self) -> None:
        """The phases up to the image. Raises LabError when one cannot go on."""
        self.set_up()
        self.capture()

    def play_row(self, row: Row) -> Report:
        """From the image to machines that booted twice.

        Raises LabError when a phase cannot go on; failed checks are in the report.
        """
        self.row = row
        if row is not self.golden_row:
            self.report = Report(row.name)
        self.arm()
        self.install()
        self.prove()
        self.boot()
        self.boot_again()
        if row.mirrored:
            self.boot_with_a_disk_removed()
        self.report.end()
        return self.report

    def break_off(self) -> None:
        """End all machines and servers; a phase that waits for one of them fails."""
        self.network.close()

    def set_up(self) -> None:
        """The golden client's disks, a network with DNS and DHCP, and the server."""
        with self.report.phase("golden disks", f"{self.golden_row.name}: made by hand, kept"):
            self.golden_disks = ensure_rows(FOLDER, [self.golden_row], _say)[self.golden_row.name]
        with self.report.phase("server", "network, DNS, DHCP, si-server"):
            self.accelerator = choose_accelerator(FOLDER).name
            self.site = Site(self.network, self.folder)
            self.site.make(plain=True)
            self.network.start_dns({}, self.folder / "dns.log")
            self.site.start_server()
            self._open.callback(self.site.stop_server)
            self.site.run("client", "add", CLIENT, "--mac", MACS[CLIENT], "--group", "farm",
                          "--ip", ADDRESSES[CLIENT])  # fmt: skip
            self.site.start_dhcp()

    def capture(self) -> None:
        """Boot the golden client and take its image."""
        with self.report.phase("golden client", "boots from its own disks"):
            self._start("golden", self.golden_disks, Boot.DISK)
            login = Login(self.network, GOLDEN_ADDRESS, FOLDER / KEY)
            login.wait(BOOT_S)
            self.golden_identity = patch.read_identity(login)
            self.site.prepare(login, self.folder / "prepareclient.log")
        with self.report.phase("capture", f"si-getimage --image {IMAGE}"):
            self.site.run("getimage", "--golden-client", GOLDEN_ADDRESS, "--image", IMAGE, "--yes")
            layout = (self.site.var / f"layouts/{IMAGE}.xml").read_text()
            missing = [word for word in self.golden_row.in_layout if word not in layout]
            self.report.check(
                "captured", not missing, f"the layout lacks {missing}" if missing else "layout"
            )
            self._keep_facts()
        self._kill()

    def _keep_facts(self) -> None:
        """What the golden client recorded, as tests/machines wants it for tests of inferring."""
        facts = json.loads((self.site.image / "etc/systemimager/facts.json").read_text())
        (self.folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")

    def arm(self) -> None:
        """The flavor, of a retarget another master script, and the client armed."""
        row = self.row
        with self.report.phase("arm", f"{row.name}: flavor {row.flavor}"):
            self.site.run("mkbootpackage", "--flavor", row.flavor)
            if row.source:
                layout = LAYOUTS / f"{row.name}.xml"
                self.site.run("mkautoinstallscript", "--image", IMAGE, "--layout", layout)
            self.site.run("mkclientnetboot", "--netboot", "--clients", CLIENT, "--image", IMAGE,
                          "--flavor", row.flavor, "--yes")  # fmt: skip

    def install(self) -> None:
        """Boot it from the network onto blank disks."""
        with self.report.phase(
            "install", f"{self.row.firmware}, {self.row.bus}, {self.row.flavor}"
        ):
            self.disks = tuple(
                make_disk(self.folder / f"{number}.raw", (mib << 20) * 4 // 3 >> 20 << 20)
                for number, mib in enumerate(self.row.disks_mib)
            )
            machine = self._start(CLIENT, self.disks, Boot.NETWORK, reboots=False)
            if self.row.passphrase:
                for prompt in NEW_PROMPTS:
                    machine.console.expect(prompt, INSTALL_S)
                    machine.console.send(f"{PASSPHRASE}\n")
            machine.wait_exit(INSTALL_S)
        state = self.site.states()[CLIENT]["state"]
        self.report.check("written", state == "written", state)

    def prove(self) -> None:
        """Read the written disks before they boot."""
        with self.report.phase("proof", "every path of the written disks against the image"):
            ok, detail = prove_row(self.row, self.disks, self.site.image, self.folder)
            self.report.check("identical", ok, detail)

    def boot(self) -> None:
        """Its own disks boot, and it reports.

        A PC asks the network first. UEFI starts its new entry, for without that it would try the
        network in four ways, and wait for each.
        """
        boot = Boot.NETWORK if self.row.firmware is Firmware.BIOS else Boot.DISK
        with self.report.phase("boot", f"{boot} first, into the installed system"):
            self._start(CLIENT, self.disks, boot)
            # Asking si-monitor each second would take a quarter of a processor from the machine.
            self._login().wait(BOOT_S)
            state = self.site.wait_state(CLIENT, "installed", BOOT_S)
            self.report.check("installed", True, f"reported image {state['image']}")
            self._check_booted()

    def boot_again(self) -> None:
        """From the disks; UEFI firmware has forgotten its entries meanwhile."""
        with self.report.phase("second boot", "from the disks, with a firmware that knows nothing"):
            self._nvram.unlink(missing_ok=True)
            self._start(CLIENT, self.disks, Boot.DISK)
            self._check_booted()

    def boot_with_a_disk_removed(self) -> None:
        """Each disk alone must do; what is written meanwhile is forgotten."""
        for gone in range(len(self.disks)):
            with self.report.phase("one disk", f"without disk {gone}"):
                self._nvram.unlink(missing_ok=True)
                left = (*self.disks[:gone], *self.disks[gone + 1 :])
                self._start(CLIENT, left, Boot.DISK, keep_disks=False)
                self._check_booted()

    def _check_booted(self) -> None:
        login = self._login()
        login.wait(BOOT_S)
        wrong = patch.check_booted(
            login, CLIENT, self.golden_identity, ADDRESSES[CLIENT], self.row.fstab
        )
        firmware = login.run("test -d /sys/firmware/efi && echo uefi || echo bios").text.strip()
        if firmware != self.row.firmware:
            wrong += f"; it was booted by {firmware}"
        self.report.check("booted", not wrong, wrong or "runs as itself")
        assert self._machine is not None
        self._machine.power_down(90)

    def _login(self) -> Login:
        return Login(self.network, ADDRESSES[CLIENT], FOLDER / KEY)

    @property
    def _nvram(self) -> Path:
        return self.folder / f"{CLIENT}.nvram"

    def _start(
        self, name: str, disks: tuple[Path, ...], boot: Boot, *,
        reboots: bool = True, keep_disks: bool = True,
    ) -> Machine:  # fmt: skip
        """The one machine that runs, in place of an earlier one."""
        self._kill()
        golden = name != CLIENT
        row = self.golden_row if golden else self.row
        spec = Spec(
            name=name, mac=GOLDEN_MAC if golden else MACS[CLIENT], disks=disks, boot=boot,
            accelerator=self.accelerator, reboots=reboots,
            keep_disks=keep_disks and not golden, firmware=row.firmware, bus=row.bus,
            sector_bytes=row.sector_bytes,
            boot_rom=row.boot_rom,
            nvram=None if golden else self._nvram,
        )  # fmt: skip
        machine = Machine(self.network, spec, self.folder / f"{name}.console")
        self._open.callback(machine.kill)
        machine.start()
        self._machine = machine
        if row.passphrase and reboots:
            machine.console.expect(PROMPT, BOOT_S)
            machine.console.send(f"{PASSPHRASE}\n")
        return machine

    def _kill(self) -> None:
        if self._machine is not None:
            self._machine.kill()


def _say(text: str) -> None:
    print(f"           {text}", flush=True)
