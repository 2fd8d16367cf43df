"""Blank machines that install at once by torrent, from the server and from each other."""

from __future__ import annotations

import re

import pytest

from scripts.lab.machine import Machine
from scripts.lab.network import sent_bytes
from scripts.lab.site import IMAGE
from si.boot.flavor import FLAVOR_FILES
from tests.e2e.fault_yard import PEERS, Yard

pytestmark = pytest.mark.usefixtures("_switched_off_afterwards")
INSTALL_S = 1800
OTHER_BYTES = 2 << 20
"""Boot programs, scripts, manifest and answers for one machine; more than they are."""


def test_machines_install_from_each_other(yard: Yard) -> None:
    """All arrive, what arrived is the version (BOEL compares it with the signed manifest), and the
    server sends less than two packs, however many they are."""
    names = PEERS
    count = len(names)
    yard.arm(*names, transport="torrent")
    before = sent_bytes(yard.network)
    machines = [yard.machine(name, yard.disk(name)) for name in names]
    for machine in machines:
        machine.start()
    for machine in machines:
        wait_installed(machine)
    states = yard.site.states()
    # A machine that was written is soon "unknown" where an earlier test made the server impatient.
    assert {states[name]["phase"] for name in names} == {"written"}
    flavor = yard.site.var / "flavors/x86_64/virtio"
    booted = sum((flavor / file).stat().st_size for file in FLAVOR_FILES)
    pack = (yard.site.var / f"versions/{IMAGE}/1/image.tar.zst").stat().st_size
    sent = sent_bytes(yard.network) - before - count * (booted + OTHER_BYTES)
    print(f"{count} machines: the server sent {sent / pack:.2f} packs of {pack} bytes")
    assert sent < 2 * pack
    told = "".join(machine.console.text() for machine in machines)
    assert re.search(r"torrent: .* [1-9][0-9]* kB/s to others", told)


def wait_installed(machine: Machine) -> None:
    """Until the install has ended well and the machine has switched itself off."""
    end = machine.console.expect(r"THE INSTALL FAILED|done: reboot", INSTALL_S)[0]
    assert end == "done: reboot", machine.console.tail()
    machine.wait_exit(INSTALL_S)
