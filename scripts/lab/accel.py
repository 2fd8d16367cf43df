"""KVM where a guest is seen to run with it, else TCG.

A /dev/kvm that opens, and even creates a machine, may still hang every guest: so the only question
asked is whether this machine's own kernel, with an initrd of one shell line, says a word within a
few seconds. The answer is kept until the next boot of this machine.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from scripts.lab.errors import LabError
from scripts.lab.scratch import scratch_folder
from si.errors import SIError
from si.system.run import PIPE, STDOUT, find_tool, run, start

VARIABLE = "SI_LAB_ACCEL"
PROBE_S = 10.0
WORD = b"this guest runs"
INIT = f"#!/bin/busybox sh\necho {WORD.decode()}\nexec /bin/busybox poweroff -f\n"


class Accelerator(StrEnum):
    """How QEMU runs a guest's instructions."""

    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True, slots=True)
class Choice:
    """An accelerator, and why it and not the other."""

    name: Accelerator
    reason: str


def choose_accelerator(folder: Path) -> Choice:
    """What to run machines with; `folder` keeps the answer. Raises LabError for a wrong
    $SI_LAB_ACCEL."""
    forced = os.environ.get(VARIABLE)
    if forced:
        if forced not in list(Accelerator):
            raise LabError(f"{VARIABLE}={forced} is unknown", hint="kvm or tcg")
        return Choice(Accelerator(forced), f"{VARIABLE} says so")
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    kept = folder / "accelerator.json"
    if kept.exists():
        answer = json.loads(kept.read_text())
        if answer.pop("boot_id") == boot_id:
            return Choice(Accelerator(answer["name"]), answer["reason"])
    choice = probe_kvm(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({**asdict(choice), "boot_id": boot_id}) + "\n")
    return choice


def probe_kvm(folder: Path) -> Choice:
    """Boot a guest with KVM and see whether it comes as far as a program."""
    kernels = sorted(Path("/boot").glob("vmlinuz-*"))
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Choice(Accelerator.TCG, "/dev/kvm cannot be opened")
    if not kernels:
        return Choice(Accelerator.TCG, "no kernel in /boot to try KVM with")
    try:
        with scratch_folder(folder, "probe") as aside:
            initrd = _make_initrd(aside)
            said = _boot(["-kernel", str(kernels[-1]), "-initrd", str(initrd)])
    except SIError as error:
        return Choice(Accelerator.TCG, f"KVM could not be tried: {error.message}")
    if WORD in said:
        return Choice(Accelerator.KVM, "a guest was seen to run with KVM")
    last = said.decode("utf-8", "replace").strip().splitlines()[-1:]
    ended = last[0][:160] if last else f"it said nothing within {PROBE_S:g} s"
    return Choice(Accelerator.TCG, f"a guest with KVM did not come up: {ended}")


def _boot(arguments: Sequence[str]) -> bytes:
    qemu = start(
        [find_tool("qemu-system-x86_64", package="qemu-system-x86"), "-accel", "kvm",
         "-cpu", "host", "-m", "256", "-nodefaults", "-display", "none", "-serial", "stdio",
         "-no-reboot", *arguments, "-append", "console=ttyS0 quiet panic=-1"],
        stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    try:
        return qemu.communicate(timeout=PROBE_S)[0]
    except subprocess.TimeoutExpired as error:
        return error.stdout or b""
    finally:
        qemu.kill()
        qemu.wait()


def _make_initrd(folder: Path) -> Path:
    """busybox, the libraries it may need, and an init of two lines."""
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    busybox = Path(find_tool("busybox"))
    run(["cp", "-L", busybox, root / "bin/busybox"])
    libraries = run(["ldd", busybox], check=False).text
    for name in re.findall(r"(/\S+) \(0x", libraries):
        (root / name[1:]).parent.mkdir(parents=True, exist_ok=True)
        run(["cp", "-L", name, root / name[1:]])
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    names = "".join(f"{path.relative_to(root)}\n" for path in sorted(root.rglob("*")))
    packed = run(["busybox", "cpio", "-o", "-H", "newc"], stdin=names.encode(), cwd=root)
    initrd = folder / "initrd"
    initrd.write_bytes(packed.stdout)
    return initrd
