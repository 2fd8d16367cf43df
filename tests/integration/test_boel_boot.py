"""BOEL in QEMU: an install on a blank disk, one that fails, one that the server refuses."""

from __future__ import annotations

import dataclasses
import http.server
import io
import socket
import subprocess
import tarfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from si.boot.flavor import Flavor, build_flavor
from si.config import default_settings

DISK_BYTES = 1 << 30
TOKEN = "t0ken-of_this.arming"
DEADLINE_S = 120.0
"""Far above the 15 s that it takes alone: the machine may be busy."""


@dataclasses.dataclass
class Server:
    """Answers BOEL as si-server would, and remembers what it was told."""

    bundle: bytes
    armed: bool = True
    lost_events: int = 0
    events: list[tuple[str, float, str]] = dataclasses.field(default_factory=list)
    log: bytearray = dataclasses.field(default_factory=bytearray)
    asked: list[str] = dataclasses.field(default_factory=list)
    port: int = 0

    @property
    def phases(self) -> list[str]:
        return [phase for phase, _uptime, _detail in self.events]

    def answer(self, method: str, address: str, body: bytes) -> tuple[int, bytes]:
        self.asked.append(f"{method} {address}")
        parts = urllib.parse.urlsplit(address)
        query = dict(urllib.parse.parse_qsl(parts.query))
        if not self.armed or not parts.path.startswith(f"/install/web1/{TOKEN}/"):
            return 403, b"not armed\n"
        match method, parts.path.rpartition("/")[2]:
            case "GET", "bundle.tar":
                return 200, self.bundle
            case "POST", "events":
                if query["phase"] == "written" and self.lost_events:
                    self.lost_events -= 1
                    return 500, b"out of order\n"
                event = (query["phase"], float(query["uptime"]), body.decode("utf-8", "replace"))
                self.events.append(event)
                return 204, b""
            case "POST", "log":
                offset = int(query["offset"])
                if offset > len(self.log):
                    return 409, f"{len(self.log)}\n".encode()
                self.log[offset : offset + len(body)] = body
                return 204, b""
        return 404, b"no such thing\n"


@pytest.fixture
def serve() -> Iterator[Callable[[Server], Server]]:
    running: list[http.server.ThreadingHTTPServer] = []

    def start(server: Server) -> Server:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers["Content-Length"])))

            def _answer(self, body: bytes) -> None:
                status, text = server.answer(self.command, self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_words: object) -> None:
                pass

        listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.port = listener.server_port
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        running.append(listener)
        return server

    yield start
    for listener in running:
        listener.shutdown()
        listener.server_close()


@pytest.fixture(scope="module")
def flavor(tmp_path_factory: pytest.TempPathFactory) -> Flavor:
    return build_flavor(default_settings(tmp_path_factory.mktemp("flavor")), flavor="virtio")


class Machine:
    """A QEMU machine that boots the flavor directly; its serial console is kept, and typed to."""

    def __init__(self, folder: Path, flavor: Flavor, arguments: str) -> None:
        self.disk = folder / "disk.img"
        self.console = folder / "console.log"
        with self.disk.open("wb") as file:
            file.truncate(DISK_BYTES)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        self.process = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-display", "none"),
                *("-no-user-config", "-monitor", "none", "-no-reboot"),
                *("-kernel", flavor.kernel, "-initrd", flavor.initrd),
                *("-append", f"console=tty0 console=ttyS0,115200 {arguments}"),
                *("-chardev", f"socket,id=s0,host=127.0.0.1,port={port},logfile={self.console}"),
                *("-serial", "chardev:s0", "-device", "virtio-rng-pci"),
                *("-drive", f"file={self.disk},format=raw,if=virtio,cache=unsafe"),
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

    def wait_for(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
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


@pytest.fixture
def boot(tmp_path: Path, flavor: Flavor) -> Iterator[Callable[[str], Machine]]:
    machines: list[Machine] = []

    def start(arguments: str) -> Machine:
        machines.append(Machine(tmp_path, flavor, arguments))
        return machines[-1]

    yield start
    for machine in machines:
        machine.stop()


def make_bundle(master: str, **files: str) -> bytes:
    header = "SI_CLIENT=web1\nSI_IMAGE=web\nSI_CAPTURED=2026-11-21T12:00:00Z\n"
    contents = {"header.sh": header, "master.sh": master, **files}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def arguments(server: Server) -> str:
    return f"si.server=http://10.0.2.2:{server.port} si.client=web1 si.token={TOKEN}"


START = "set -eu\n. /lib/boel/functions.sh\n. /run/boel/header.sh\n"
INSTALL = (
    START
    + """\
phase check
check_disk /dev/vda 1000000000
run_scripts pre-install
phase partition
parted --script --align optimal /dev/vda mklabel msdos mkpart primary ext4 1MiB 300MiB \
    mkpart primary linux-swap 300MiB 400MiB mkpart primary xfs 400MiB 100%
sfdisk --disk-id /dev/vda 0x1a2b3c4d
wait_for /dev/vda1 /dev/vda2 /dev/vda3
phase format
mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 /dev/vda1
mkswap /dev/vda2
swapon /dev/vda2
mkfs.xfs -q /dev/vda3
phase mount
mount -t xfs /dev/vda3 /a
mkdir /a/boot
mount -t ext4 /dev/vda1 /a/boot
echo 'written by the master script' >/a/boot/proof
phase unmount
unmount_all /a
phase written
finish poweroff
"""
)


def test_install_on_a_blank_disk(
    serve: Callable[[Server], Server], boot: Callable[[str], Machine], tmp_path: Path
) -> None:
    scripts = {
        "pre-install.order": "10all.first\n20web1.second\n",
        "pre-install/10all.first": "#!/bin/sh\necho one=1 >>/tmp/pre-install_variables.txt\n",
        "pre-install/20web1.second": '#!/bin/sh\necho "second for $HOSTNAME with $IMAGENAME"\n',
    }
    master = INSTALL.replace("phase partition\n", 'phase partition\necho "one is $one"\n')
    server = serve(Server(make_bundle(master, **scripts), lost_events=1))
    machine = boot(arguments(server))
    machine.wait_for_end()

    assert server.phases == [
        *("started", "check", "partition", "format", "mount", "unmount", "written")
    ], machine.text
    uptimes = [uptime for _phase, uptime, _detail in server.events]
    assert uptimes == sorted(uptimes)
    assert all(uptime > 0 for uptime in uptimes)
    log = server.log.decode()
    assert "phase written" in log
    assert "done: poweroff" in log
    assert "second for web1 with web" in log
    assert "one is 1" in log
    assert "boel: [" in machine.text
    read_back(machine.disk, tmp_path)
    print(f"master script at {server.events[1][1]} s, end at {uptimes[-1]} s of uptime")


def read_back(disk: Path, folder: Path) -> None:
    table = subprocess.run(["sfdisk", "--dump", disk], capture_output=True, text=True, check=True)
    assert "label-id: 0x1a2b3c4d" in table.stdout
    part = folder / "part1.img"
    with disk.open("rb") as file, part.open("wb") as copy:
        file.seek(1 << 20)
        copy.write(file.read(299 << 20))
    proof = subprocess.run(
        ["debugfs", "-R", "cat /proof", part], capture_output=True, text=True, check=True
    )
    assert proof.stdout == "written by the master script\n"


def test_failure_is_reported_and_leaves_a_shell(
    serve: Callable[[Server], Server], boot: Callable[[str], Machine]
) -> None:
    master = START + "phase check\ncheck_disk /dev/vda 2000000000\nphase partition\n"
    server = serve(Server(make_bundle(master)))
    machine = boot(arguments(server))
    machine.wait_for(lambda: "failed" in server.phases, "failed event")

    phase, _uptime, detail = server.events[-1]
    assert phase == "failed"
    assert detail.startswith("phase check, exit code 1\n")
    assert f"too small: it has {DISK_BYTES} bytes, the layout needs 2000000000" in detail
    assert len(detail.splitlines()) <= 41
    assert "partition" not in server.phases
    machine.wait_for(lambda: "This machine waits here" in machine.text, "words on the console")
    assert "too small" in server.log.decode()
    assert "kernel: " in server.log.decode()
    machine.wait_for(lambda: "BOEL# " in machine.text, "prompt")
    machine.type("id -u; echo sh''ell")
    machine.wait_for(lambda: "\n0\nshell\n" in machine.text, "answer of a root shell")
    assert machine.process.poll() is None
    assert machine.disk.stat().st_blocks == 0, "something was written to the disk"


def test_machine_that_is_not_armed_is_left_alone(
    serve: Callable[[Server], Server], boot: Callable[[str], Machine]
) -> None:
    server = serve(Server(make_bundle(INSTALL), armed=False))
    machine = boot(arguments(server))
    machine.wait_for(lambda: "BOEL# " in machine.text, "prompt")

    assert "This machine is not armed" in machine.text
    assert not any("bundle.tar" in line for line in server.asked)
    assert machine.disk.stat().st_blocks == 0
    assert machine.process.poll() is None
