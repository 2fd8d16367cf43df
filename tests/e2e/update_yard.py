"""Where updates are tried: a server, an image of the golden disk, machines installed from it.

The image is taken from the disk by `si-getimage --directory`, without what no test here needs: how
it is taken of a running machine is the story's matter.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from scripts.lab.accel import Accelerator
from scripts.lab.disk import attached, filled, partition
from scripts.lab.golden import Golden, copy_disk
from scripts.lab.golden_disk import BOOT, ROOT
from scripts.lab.machine import Boot, Machine, Spec, make_disk
from scripts.lab.network import Network, stop_process
from scripts.lab.site import IMAGE, Site
from scripts.lab.ssh import OPTIONS, Login
from scripts.lab.upgrade import ensure_upgrade
from si.boot.clientapp import write_client_app
from si.system.run import PIPE, Completed

DISK_BYTES = 4 << 30
BOOT_S = 600
INSTALL_S = 1200
UPDATE_S = 600
UPDATE_LOG = "/var/log/update"
NUMBERS = {f"web{number}": 40 + number for number in range(1, 7)}
"""The last byte of each client's address and MAC."""
LEFT_OUT = (
    "/usr/lib/x86_64-linux-gnu/gconv/*", "/usr/lib/x86_64-linux-gnu/libicu*",
    # The initramfs of the new kernel would have every client wait for the golden client's swap.
    "/etc/initramfs-tools/conf.d/resume",
)  # fmt: skip
FACTS = Path(__file__).parents[1] / "machines/debian-virtio-bios.json"
"""Of a machine like the golden client."""
PREPARE = """\
import sys
from pathlib import Path

program = Path("/root/si-client.pyz")
sys.path.insert(0, str(program))
from si.client.install import make_change, planned_changes
from si.client.places import Places

for change in planned_changes(Places(Path("/")), program.read_bytes()):
    make_change(change)
"""
"""Run inside the image: the client commands get where si-prepareclient would put them."""


class UpdateYard:
    """The server, and clients that run; in a `with` statement all of it is up."""

    def __init__(self, folder: Path, golden: Golden, accelerator: Accelerator) -> None:
        self.folder = folder
        self._golden = golden
        self._accelerator = accelerator
        self._open = ExitStack()
        self.machines: dict[str, Machine] = {}

    def __enter__(self) -> Self:
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

    def install(self, *names: str, transport: str = "http") -> None:
        """Blank machines install the current version at once, and boot into it."""
        self.write_disks(*names, transport=transport)
        self.boot_written(*names)

    def write_disks(
        self, *names: str, transport: str, when_fetching: Callable[[], None] | None = None
    ) -> None:
        """Blank machines install the current version at once, and switch themselves off.

        when_fetching: called when all of them fetch the image.
        """
        self.site.run("mkclientnetboot", "--netboot", "--clients", ",".join(names), "--image",
                      IMAGE, "--transport", transport, "--flavor", "virtio", "--yes")  # fmt: skip
        for name in names:
            disk = make_disk(self.disk(name), DISK_BYTES)
            spec = Spec(name=name, mac=mac(name), disks=(disk,), accelerator=self._accelerator,
                        boot=Boot.NETWORK, reboots=False)  # fmt: skip
            self._keep(spec).start()
        if when_fetching is not None:
            for name in names:
                self.machines[name].console.expect("phase image", INSTALL_S)
            when_fetching()
        for name in names:
            self.machines[name].wait_exit(INSTALL_S)

    def boot_written(self, *names: str) -> None:
        """Boot them into what was installed."""
        for name in names:
            self._keep(replace(self.machines[name].spec, boot=Boot.DISK, reboots=True))
        self.start(*names)
        for name in names:
            self.site.wait_state(name, "installed", BOOT_S)

    def disk(self, name: str) -> Path:
        """The disk of a client."""
        return self.folder / f"{name}.raw"

    def login(self, name: str) -> Login:
        """root on a client."""
        return Login(self.network, address(name), self._golden.key)

    def reboot(self, *names: str) -> None:
        """Switch off in good order and on again; come back when all have started."""
        for name in names:
            self.machines[name].power_down(BOOT_S)
        self.start(*names)

    def start(self, *names: str) -> None:
        """Switch on; come back when all have started."""
        for name in names:
            self.machines[name].start()
        for name in names:
            login = self.login(name)
            login.wait(BOOT_S)
            state = login.wait_running(BOOT_S)
            assert state == "running", f"{name}: {state}"

    def update(self, name: str, *words: str, ok: Iterable[int] = (0,)) -> Completed:
        """si-updateclient on a client."""
        return self._on_client(name, ["si-updateclient", *words], ok)

    def cut_off(self, name: str, reached: str) -> None:
        """Begin an update on a client, and cut its power as soon as the path `reached`, in which
        a shell's wildcards may be, is there."""
        line = (
            f"si-updateclient --yes >{UPDATE_LOG} 2>&1 & "
            f"until [ -e {reached} ] || ! kill -0 $!; do sleep 0.05; done; "
            f"if kill -0 $!; then echo reached; else cat {UPDATE_LOG}; fi"
        )
        process = self.network.start([*self.login(name).shell_command(), line], stdout=PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"reached\n", process.stdout.read()
            self.machines[name].power_cut()
        finally:
            stop_process(process)

    def audit(self, name: str, *words: str, ok: Iterable[int] = (0,)) -> dict[str, Any]:
        """What si-audit finds on a client."""
        done = self._on_client(name, ["si-audit", "--json", *words], ok)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def patch(self, script: str, files: Sequence[Path] = ()) -> int:
        """Run a script in the image, where `files` lie in /root meanwhile, and publish the result;
        the number of the version."""
        for file in files:
            shutil.copy(file, self.site.image / "root")
        remove = "".join(f"rm '/root/{file.name}'\n" for file in files)
        self.site.run("chroot", "--publish", IMAGE, "--", "sh", "-euc", f"{script}\n{remove}")
        return max(int(one.name) for one in (self.site.var / "versions" / IMAGE).glob("[0-9]*"))

    def packages(self) -> tuple[Path, ...]:
        """Newer packages than the image has, a kernel among them."""
        return ensure_upgrade(self._golden.disk.parent, print)

    def kernels(self) -> frozenset[str]:
        """Releases of the kernels of the image."""
        return frozenset(
            path.name.removeprefix("vmlinuz-") for path in self.site.image.glob("boot/vmlinuz-*")
        )

    def _on_client(self, name: str, argv: Sequence[str], ok: Iterable[int]) -> Completed:
        done = self.login(name).run(argv, timeout_s=UPDATE_S, check=False)
        with (self.folder / f"{name}.log").open("ab") as log:
            log.write(f"\n# {' '.join(argv)}\n".encode() + done.stdout + done.stderr)
        assert done.exit_code in ok, (done.exit_code, done.text[-2000:], done.stderr[-2000:])
        return done

    def _keep(self, spec: Spec) -> Machine:
        """A machine of that name in place of an earlier one."""
        if spec.name in self.machines:
            self.machines[spec.name].kill()
        machine = Machine(self.network, spec, self.folder / f"{spec.name}.console")
        self.machines[spec.name] = machine
        self._open.callback(machine.kill)
        return machine

    def _set_up(self) -> None:
        self.network = self._open.enter_context(Network())
        self.site = Site(self.network, self.folder)
        self.site.make(plain=True)
        with self._golden_tree() as tree:
            excludes = [word for path in LEFT_OUT for word in ("--exclude", path)]
            self.site.run(
                "getimage", "--directory", tree, "--image", IMAGE, "--no-publish", *excludes
            )
        program, prepare = self.folder / "si-client.pyz", self.folder / "prepare.py"
        write_client_app(program)
        prepare.write_text(PREPARE)
        self.patch("python3 -B /root/prepare.py", (program, prepare))
        self.site.run("mkbootpackage", "--flavor", "virtio")
        for name in NUMBERS:
            self.site.run("client", "add", name, "--mac", mac(name), "--ip", address(name))
        self._write_ssh_config()
        self.site.start_server()
        self._open.callback(self.site.stop_server)
        self.site.start_dhcp()

    @contextmanager
    def _golden_tree(self) -> Iterator[Path]:
        """The golden client's disk, as a tree that also has facts."""
        disk = copy_disk(self._golden.disk, self.folder / "golden.raw")
        tree = self.folder / "golden"
        tree.mkdir()
        with (
            attached(disk, read_only=False) as device,
            filled(partition(device, ROOT), tree),
            filled(partition(device, BOOT), tree / "boot"),
        ):
            (tree / "etc/systemimager").mkdir()
            shutil.copy(FACTS, tree / "etc/systemimager/facts.json")
            yield tree
        disk.unlink()

    def _write_ssh_config(self) -> None:
        """How the server's own commands log in on clients."""
        lines = [option for option in OPTIONS if "=" in option]
        lines += [f"IdentityFile={self._golden.key}", "User=root"]
        text = "".join(f"{line}\n" for line in lines)
        (self.site.root / "etc/systemimager/ssh_config").write_text(text)


def mac(name: str) -> str:
    """The MAC of a client's card."""
    return f"52:54:00:77:02:{NUMBERS[name]}"


def address(name: str) -> str:
    """The address of a client."""
    return f"10.77.0.{NUMBERS[name]}"
