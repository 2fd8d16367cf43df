"""One machine in QEMU: BIOS, virtio disks, a virtio card on a tap, a serial console, ACPI.

QEMU waits for the console's reader before it runs its first instruction, so no output is lost.
A machine with `reboots=False` ends where it would reboot: an install is finished when QEMU exits,
and its disk can then be read before it boots.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from scripts.lab.accel import Accelerator
from scripts.lab.console import Console
from scripts.lab.errors import LabError, LabTimeout
from scripts.lab.network import Network
from scripts.lab.qmp import Control
from si.system.run import find_tool

NIC_SLOT = 3
INTERFACE = f"ens{NIC_SLOT}"
"""What udev calls the card of every machine, for it sits in one slot always."""


class Boot(StrEnum):
    """What the firmware tries; the network falls through to the disk, never the other way."""

    DISK = "disk"
    NETWORK = "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a machine is made of."""

    name: str
    mac: str
    disks: tuple[Path, ...]
    """Raw images; the first is /dev/vda."""
    accelerator: Accelerator
    boot: Boot = Boot.DISK
    reboots: bool = True
    memory_mib: int = 1024
    cpus: int = 1
    keep_disks: bool = True
    """False: what the machine writes is forgotten when it ends."""
    read_only: bool = False
    """True: the disks themselves refuse to be written to."""


class Machine:
    """A machine on `network`; in a `with` statement it runs, and is gone afterwards."""

    def __init__(self, network: Network, spec: Spec, log: Path) -> None:
        self.spec = spec
        self.log = log
        """All bytes of the serial console; a later start appends."""
        self.console = Console(spec.name)
        self._network = network
        self._tap: str | None = None
        self._control: Control | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def running(self) -> bool:
        """Whether QEMU is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Switch on, with an empty console. Raises LabError with QEMU's words if it refuses."""
        if self.running:
            raise LabError(f"{self.spec.name} runs already")
        self.console = Console(self.spec.name)
        self._tap = self._network.add_tap()
        for path in (self._path("console"), self._path("qmp")):
            path.unlink(missing_ok=True)
        try:
            with self._path("stderr").open("wb") as words:
                self._process = self._network.start(self._command_line(), stderr=words)
            self.console.connect(self._path("console"))
            self._control = Control(self._path("qmp"))
        except (LabError, OSError) as error:
            self.kill()
            raise LabError(f"{self.spec.name} did not start: {self._words() or error}") from error

    def power_down(self, timeout_s: float) -> int:
        """Press the power button (ACPI) and wait for the end; the exit code of QEMU."""
        self._ask("system_powerdown")
        return self.wait_exit(timeout_s)

    def power_cut(self) -> None:
        """Take the power away this instant."""
        self.kill()

    def wait_exit(self, timeout_s: float) -> int:
        """Wait until the machine has switched itself off. Raises LabTimeout with the console."""
        if self._process is None:
            raise LabError(f"{self.spec.name} was not started")
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise LabTimeout(
                f"{self.spec.name} still runs after {timeout_s:g} s; its console ends with:\n"
                f"{self.console.tail()}"
            ) from error
        self.kill()
        return code

    def kill(self) -> None:
        """End QEMU if it is there, and give back the tap. May be called at any time."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._control is not None:
            self._control.close()
            self._control = None
        self.console.close()
        if self._tap is not None:
            self._network.remove_tap(self._tap)
            self._tap = None

    def _words(self) -> str:
        """What QEMU complained of."""
        lines = self._path("stderr").read_text(errors="replace").splitlines()
        return " | ".join(line for line in lines if "waiting for connection" not in line)

    def _ask(self, command: str) -> None:
        if self._control is None or not self.running:
            raise LabError(f"{self.spec.name} is not running")
        self._control.ask(command)

    def _path(self, kind: str) -> Path:
        return self._network.folder / f"{self.spec.name}.{kind}"

    def _command_line(self) -> list[str]:
        spec = self.spec
        first_disk, card = (1, "") if spec.boot is Boot.DISK else (2, ",bootindex=1")
        command = [
            find_tool("qemu-system-x86_64", package="qemu-system-x86"),
            "-name", spec.name,
            "-nodefaults", "-machine", "pc,graphics=off", "-device", "VGA", "-display", "none",
            "-accel", spec.accelerator,
            *(["-cpu", "host"] if spec.accelerator is Accelerator.KVM else []),
            "-m", str(spec.memory_mib), "-smp", str(spec.cpus), "-boot", "strict=on",
            "-chardev", f"socket,id=con,path={self._path('console')},server=on,wait=on,"
            f"logfile={self.log},logappend=on",
            "-serial", "chardev:con",
            "-qmp", f"unix:{self._path('qmp')},server=on,wait=off",
            "-netdev", f"tap,id=net0,ifname={self._tap},script=no,downscript=no",
            "-device", f"virtio-net-pci,netdev=net0,mac={spec.mac},addr={NIC_SLOT:#x}{card}",
            # Without it mkfs, sshd and sfdisk wait many seconds for random numbers under TCG.
            "-object", "rng-random,id=rng0,filename=/dev/urandom",
            "-device", "virtio-rng-pci,rng=rng0,addr=0x8",
        ]  # fmt: skip
        for number, path in enumerate(spec.disks):
            command += [
                "-drive", f"file={path},format=raw,if=none,id=disk{number},cache=unsafe,"
                f"discard=unmap,snapshot={'off' if spec.keep_disks else 'on'},"
                f"readonly={'on' if spec.read_only else 'off'}",
                "-device", f"virtio-blk-pci,drive=disk{number},serial=lab{number},"
                f"bootindex={first_disk + number}",
            ]  # fmt: skip
        return command if spec.reboots else [*command, "-no-reboot"]


def make_disk(path: Path, size_bytes: int) -> Path:
    """An empty sparse disk, over whatever was there."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as disk:
        disk.truncate(size_bytes)
    return path
