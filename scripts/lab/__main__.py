"""`python -m scripts.lab`: build, boot and inspect the golden client by hand."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from scripts.lab.accel import choose_accelerator
from scripts.lab.errors import LabError
from scripts.lab.golden import FOLDER, copy_disk, ensure_golden
from scripts.lab.machine import Machine, Spec
from scripts.lab.network import Network, sweep
from scripts.lab.ssh import Login
from si.errors import SIError
from si.system.run import attach

_began = time.monotonic()


def main() -> int:
    """Run one command and give its exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.lab", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where disks are kept")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build-golden", help="build the golden client's disk if it is not there")
    boot = commands.add_parser("boot-golden", help="boot it, log in, switch it off")
    boot.add_argument("--shell", action="store_true", help="give a shell on it first")
    boot.add_argument("--keep", action="store_true", help="boot a copy that keeps what is written")
    commands.add_parser("accelerator", help="say what machines run with, and why")
    commands.add_parser("sweep", help="remove what killed labs left behind")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run_command(arguments)
    except SIError as error:
        print(f"lab: error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 1


def run_command(arguments: argparse.Namespace) -> int:
    """Do what the command line says. Raises SIError."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root", hint="run it with sudo")
    if arguments.command == "accelerator":
        choice = choose_accelerator(arguments.folder.resolve())
        print(f"{choice.name}: {choice.reason}")
    elif arguments.command == "sweep":
        print("\n".join(sweep()) or "nothing was left behind")
    elif arguments.command == "build-golden":
        print(ensure_golden(arguments.folder, say).disk)
    else:
        boot_golden(arguments.folder, shell=arguments.shell, keep=arguments.keep)
    return 0


def boot_golden(folder: Path, *, shell: bool, keep: bool) -> None:
    """Boot the golden client, log in, ask how it is, switch it off by ACPI. Raises LabError."""
    golden = ensure_golden(folder, say)
    choice = choose_accelerator(folder.resolve())
    say(f"machines run with {choice.name}: {choice.reason}")
    disk = copy_disk(golden.disk, folder / "kept-golden.raw") if keep else golden.disk
    spec = Spec(
        name="golden", mac=golden.mac, disks=(disk,),
        accelerator=choice.name, keep_disks=keep,
    )  # fmt: skip
    log = folder.resolve() / "golden.console"
    log.unlink(missing_ok=True)
    with Network() as network, Machine(network, spec, log) as machine:
        machine.console.expect(r"golden login:", 180)
        say("console: login prompt")
        login = Login(network, golden.address, golden.key)
        login.wait(60)
        say("ssh: logged in")
        state = login.wait_running(120)
        say(f"systemctl is-system-running: {state}")
        if shell:
            attach(network.inside(login.shell_command()))
        code = machine.power_down(60)
        say(f"switched off by ACPI, QEMU ended with {code}")
    if state != "running":
        raise LabError(f"the golden client is {state}", hint=f"its console: {log}")


def say(text: str) -> None:
    """One line of progress with the seconds since the start."""
    print(f"[{time.monotonic() - _began:6.1f}] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
