"""What goes wrong while machines are installed, and what must come of it.

Each test owns its clients (their names stand in fault_yard) and runs two machines at most.
"""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from scripts.lab.machine import Machine
from si.system.run import run
from tests.e2e.fault_yard import (
    SCRIPT_WORDS,
    Yard,
    address,
)

pytestmark = pytest.mark.usefixtures("_switched_off_afterwards")
BOOT_S = 600
INSTALL_S = 1200
PART_BYTES = 4 << 20
OWN_DISK = "booting its own disk"


def start_to_image(yard: Yard, machine: Machine, part_bytes: int = PART_BYTES) -> None:
    """Switch on, and come back when a part of the image has arrived."""
    machine.start()
    machine.console.expect(r"phase image", BOOT_S)
    deadline = time.monotonic() + BOOT_S
    while bytes_sent(yard, machine.spec.name) < part_bytes:
        assert machine.running and time.monotonic() < deadline
        time.sleep(0.05)


def wait_installed(machine: Machine) -> None:
    """Until the install has ended well and the machine has switched itself off."""
    end = machine.console.expect(r"THE INSTALL FAILED|done: reboot", INSTALL_S)[0]
    assert end == "done: reboot", machine.console.tail()
    machine.wait_exit(BOOT_S)


def bytes_sent(yard: Yard, client: str) -> int:
    """What went to the client through an rsync connection that is open now."""
    sockets = ["ss", "--no-header", "--tcp", "--numeric", "--info", "sport", "=", ":873",
               "dst", address(client)]  # fmt: skip
    return max(map(int, re.findall(r"bytes_sent:(\d+)", yard.network.run(sockets).text)), default=0)


def test_power_cuts(yard: Yard) -> None:
    """One cut: the next network boot installs. Three: the disk is booted, and that is said."""
    yard.arm("cut", "thrice")
    cut = yard.machine("cut", yard.disk("cut"))
    thrice = yard.machine("thrice", yard.disk("thrice"))
    thrice.start()
    start_to_image(yard, cut)
    cut.power_cut()
    state = yard.site.states()["cut"]
    assert (state["state"], state["phase"], state["attempts"]) == ("installing", "image", 1)
    assert not yard.boots_disk("cut")
    cut.start()

    thrice.console.expect(r"phase image", BOOT_S)
    thrice.power_cut()
    for _ in range(2):
        assert not yard.boots_disk("thrice")
        thrice.start()
        thrice.console.expect(r"phase image", BOOT_S)
        thrice.power_cut()
    thrice.start()
    thrice.console.expect(OWN_DISK, BOOT_S)
    assert "phase" not in thrice.console.text()
    thrice.kill()
    state = yard.site.states()["thrice"]
    assert (state["attempts"], state["next_boot"]) == (3, "disk")
    table = yard.site.run("monitor").text
    assert re.search(r"^thrice .*no attempts left, it boots its own disk", table, re.M), table

    wait_installed(cut)
    state = yard.site.states()["cut"]
    assert (state["state"], state["attempts"]) == ("written", 2)
    assert yard.boots_disk("cut")


@pytest.mark.full
@pytest.mark.parametrize("percent", [10, 50, 90])
def test_power_is_cut_when_so_much_has_come(yard: Yard, percent: int) -> None:
    """The next network boot installs."""
    yard.arm("cut")
    files = [path.lstat() for path in yard.site.image.rglob("*") if path.is_file()]
    whole = sum(min(file.st_size, file.st_blocks * 512) for file in files)
    cut = yard.machine("cut", yard.disk("cut"))
    start_to_image(yard, cut, whole * percent // 100)
    cut.power_cut()
    cut.start()
    wait_installed(cut)
    state = yard.site.states()["cut"]
    assert (state["state"], state["attempts"]) == ("written", 2)
    assert yard.boots_disk("cut")


def test_failing_script_and_armed_again(yard: Yard) -> None:
    """A post-install script that fails leaves a shell; a token that is replaced ends an install."""
    yard.arm("broken", "rearmed")
    broken = yard.machine("broken", yard.disk("broken"))
    rearmed = yard.machine("rearmed", yard.disk("rearmed"))
    broken.start()
    rearmed.start()
    rearmed.console.expect(r"phase image", BOOT_S)
    yard.arm("rearmed")
    check_armed_again(yard, rearmed)
    broken.console.expect(r"THE INSTALL FAILED in phase post-install", INSTALL_S)
    check_shell(yard, broken)
    assert not yard.boots_disk("broken")
    yard.site.run("mkclientnetboot", "--localboot", "--clients", "broken")
    assert yard.boots_disk("broken")
    broken.kill()


def check_shell(yard: Yard, machine: Machine) -> None:
    """A root shell on the console, an unbroken log on the server, no reboot."""
    state = yard.site.wait_state("broken", "failed", BOOT_S)
    assert state["detail"].startswith("phase post-install, exit code 1")
    assert "checking the tyres" in state["detail"] and SCRIPT_WORDS in state["detail"]
    assert "30broken.fails ended with exit code 3" in state["detail"]
    console = machine.console
    console.expect(r"BOEL# ", BOOT_S)
    console.send("echo uid is $(id -u), $((6 * 7)); sha256sum /run/boel/console.log\n")
    console.expect(r"uid is 0, 42", BOOT_S)
    inside = console.expect(r"([0-9a-f]{64})  /run/boel/console.log", BOOT_S)[1]
    log = yard.site.run("monitor", "--log", "broken")
    (yard.folder / "broken.log").write_bytes(log.stdout)
    kept = run(["sha256sum"], stdin=log.stdout).text.split()[0]
    assert kept == inside, log.text[-2000:]
    for words in ("BOEL on Linux", "phase image", SCRIPT_WORDS, "kernel: ", "waits here"):
        assert words in log.text
    assert machine.running and console.text().count("BOEL on Linux") == 1


def check_armed_again(yard: Yard, machine: Machine) -> None:
    """The install that began with the old token is told so, in plain words, and leaves no trace."""
    machine.console.expect(r"This machine is not armed: the server refuses it", INSTALL_S)
    machine.console.expect(r"si-mkclientnetboot --netboot --clients rearmed", BOOT_S)
    machine.console.expect(r"The server was not told", BOOT_S)
    machine.console.expect(r"BOEL# ", BOOT_S)
    machine.kill()
    state = yard.site.states()["rearmed"]
    assert (state["state"], state["attempts"], state["phase"]) == ("armed", 0, "armed")
    assert not yard.boots_disk("rearmed")


def test_server_killed(yard: Yard) -> None:
    """si-server dies while the image travels; a new one finishes the job. The client that is
    written then never reports."""
    yard.arm("survivor")
    machine = yard.machine("survivor", yard.disk("survivor"))
    start_to_image(yard, machine)
    before = rsync_processes(yard)
    assert len(before) > 1, "the daemon and a transfer"
    yard.site.kill_server()
    end_transfers(yard)
    time.sleep(3)  # how long the server is away
    yard.site.start_server()
    wait_installed(machine)
    state = yard.site.states()["survivor"]
    assert (state["state"], state["attempts"]) == ("written", 1)
    assert not before & rsync_processes(yard)
    log = yard.site.run("monitor", "--log", "survivor").text
    assert "rsync ended with exit code" in log and "phase written" in log

    yard.site.stop_server()
    yard.site.set_report_timeout(1)
    yard.site.start_server()
    assert yard.site.wait_state("survivor", "unknown", 60)["phase"] == "written"
    assert yard.boots_disk("survivor")
    second = yard.again(machine)
    second.start()
    second.console.expect(OWN_DISK, BOOT_S)
    second.console.expect(r"GRUB", BOOT_S)
    assert "BOEL" not in second.console.text()
    second.kill()


def rsync_processes(yard: Yard) -> set[int]:
    """The server's rsync daemon and its transfers."""
    found = set()
    for number in run(["ip", "netns", "pids", yard.network.name]).text.split():
        try:
            words = Path("/proc", number, "cmdline").read_bytes().split(b"\0")
        except FileNotFoundError:
            continue
        if Path(os.fsdecode(words[0])).name == "rsync":
            found.add(int(number))
    return found


def end_transfers(yard: Yard) -> None:
    """The daemon has to go with its server. What it was sending may go on, so the client would
    notice nothing: the transfers are killed too, as they are when the whole machine goes down."""
    deadline = time.monotonic() + 60
    while words := listeners(yard):
        assert time.monotonic() < deadline, f"the daemon of the killed server stays: {words}"
        time.sleep(0.1)
    for number in rsync_processes(yard):
        os.kill(number, signal.SIGKILL)


def listeners(yard: Yard) -> str:
    """Who listens on a port of the killed server."""
    text = yard.network.run(["ss", "--no-header", "--tcp", "--listening", "--numeric"]).text
    return "\n".join(line for line in text.splitlines() if re.search(r":(873|8080)\s", line))
