"""A machine in QEMU that boots a flavor directly."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from si.boot.flavor import Flavor

DISK_BYTES = 1 << 30
DEADLINE_S = 120.0
"""Far above the 15 s that it takes alone: the machine may be busy."""


class Machine:
    """A QEMU machine that boots the flavor directly; its serial console is kept, and typed to."""

    def __init__(
        self,
        folder: Path,
        flavor: Flavor,
        arguments: str,
        sizes: tuple[int, ...] = (DISK_BYTES,),
        *,
        firmware: Sequence[str] = (),
    ) -> None:
        self.disk = folder / "disk.img"
        self.console = folder / "console.log"
        disks = [self.disk, *(folder / f"disk{number}.img" for number in range(1, len(sizes)))]
        drives = []
        for path, size in zip(disks, sizes, strict=True):
            with path.open("wb") as file:
                file.truncate(size)
            drives += ["-drive", f"file={path},format=raw,if=virtio,cache=unsafe,discard=unmap"]
        boot = ["-kernel", str(flavor.kernel), "-initrd", str(flavor.initrd)]
        boot += ["-append", f"console=tty0 console=ttyS0,115200 {arguments}"]
        self._start([*boot, *firmware, *drives])

    @classmethod
    def boot_again(cls, machine: Machine, firmware: Sequence[str]) -> Machine:
        """The machine from its own disk, after it went off."""
        again = cls.__new__(cls)
        again.disk = machine.disk
        again.console = machine.console.with_name("again.log")
        drive = f"file={again.disk},format=raw,if=virtio,cache=unsafe"
        again._start([*firmware, "-drive", drive])
        return again

    def _start(self, hardware: list[str]) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        self.process = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-display", "none"),
                *("-no-user-config", "-monitor", "none", "-no-reboot"),
                *("-chardev", f"socket,id=s0,host=127.0.0.1,port={port},logfile={self.console}"),
                *("-serial", "chardev:s0", "-device", "virtio-rng-pci"),
                *hardware,
                *("-nic", "user,model=virtio-net-pci"),
            ],
            stdin=subprocess.DEVNULL,
        )
        listener.settimeout(30)
        self.serial, _address = listener.accept()
        listener.close()
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        while self.serial.recv(65536):
            pass

    @property
    def text(self) -> str:
        return self.console.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")

    def wait_for(
        self, holds: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S
    ) -> None:
        deadline = time.monotonic() + deadline_s
        while not holds():
            assert time.monotonic() < deadline, f"no {what}; the console:\n{self.text[-6000:]}"
            time.sleep(0.05)

    def wait_for_end(self) -> None:
        self.wait_for(lambda: self.process.poll() is not None, "power-off")
        assert self.process.returncode == 0

    def type(self, line: str) -> None:
        self.serial.sendall(line.encode() + b"\n")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.serial.close()
