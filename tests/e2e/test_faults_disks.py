"""Disks that cannot be installed on: refused in plain words before anything is written."""

from __future__ import annotations

import re

import pytest

from scripts.lab.machine import Machine
from tests.e2e.fault_yard import LAYOUT_BYTES, Yard, digest, fill_disk

pytestmark = pytest.mark.usefixtures("_switched_off_afterwards")
BOOT_S = 600


def test_disks_that_cannot_be_installed_on(yard: Yard) -> None:
    """The layout alone would fit on all; the image does not fit on the small one."""
    yard.arm("small", "readonly", "diskless")
    sizes = {"small": LAYOUT_BYTES, "readonly": 4 * LAYOUT_BYTES}
    disks = {name: fill_disk(yard.folder / f"{name}.raw", size) for name, size in sizes.items()}
    before = {name: digest(disk) for name, disk in disks.items()}
    small = yard.machine("small", disks["small"])
    readonly = yard.machine("readonly", disks["readonly"], read_only=True)
    diskless = yard.machine("diskless")  # it waits for its disk, so the others come meanwhile
    diskless.start()
    small.start()
    refused(yard, small, rf"the disk /dev/vda is too small: it has {LAYOUT_BYTES} bytes, the ")
    readonly.start()
    refused(yard, readonly, r"the disk /dev/vda cannot be written to")
    refused(yard, diskless, r"there is no block device /dev/vda; there are: ")
    assert {name: digest(disk) for name, disk in disks.items()} == before


def refused(yard: Yard, machine: Machine, why: str) -> None:
    """Failed in phase check, with the reason on the console and on the server; then a shell."""
    name = machine.spec.name
    said = machine.console.expect(r"error: ([^\r\n]+)[\r\n]", BOOT_S)[1]
    assert re.match(why, said), said
    machine.console.expect(r"THE INSTALL FAILED in phase check", BOOT_S)
    machine.console.expect(r"BOEL# ", BOOT_S)
    machine.kill()
    state = yard.site.states()[name]
    assert (state["state"], state["attempts"]) == ("failed", 1)
    assert "phase check" in state["detail"]
    assert "phase partition" not in state["detail"] + machine.console.text()
    log = yard.site.run("monitor", "--log", name).text
    assert "THE INSTALL FAILED in phase check" in log
