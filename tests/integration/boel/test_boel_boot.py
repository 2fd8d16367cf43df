"""BOEL in QEMU: an install on a blank disk, one that fails, one that the server refuses."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from si.boot.flavor import Flavor, build_flavor
from si.config import Settings, default_settings
from tests.integration.boel.machine import DISK_BYTES, Machine
from tests.integration.boel.server import TOKEN, Server, make_bundle, serving


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return default_settings(tmp_path_factory.mktemp("flavor"))


@pytest.fixture(scope="module")
def flavor(site: Settings) -> Flavor:
    return build_flavor(site, flavor="virtio")


@pytest.fixture
def boot(tmp_path: Path, flavor: Flavor) -> Iterator[Callable[[str], Machine]]:
    machines: list[Machine] = []

    def start(arguments: str) -> Machine:
        machines.append(Machine(tmp_path, flavor, arguments))
        return machines[-1]

    yield start
    for machine in machines:
        machine.stop()


@pytest.fixture
def serve() -> Iterator[Callable[[Server], Server]]:
    with ExitStack() as running:
        yield lambda server: running.enter_context(serving(server))


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
    site: Settings,
    serve: Callable[[Server], Server],
    boot: Callable[[str], Machine],
    tmp_path: Path,
) -> None:
    scripts = {
        "pre-install.order": "10all.first\n20web1.second\n",
        "pre-install/10all.first": "#!/bin/sh\necho one=1 >>/tmp/pre-install_variables.txt\n",
        "pre-install/20web1.second": '#!/bin/sh\necho "second for $HOSTNAME with $IMAGENAME"\n',
    }
    master = INSTALL.replace("phase partition\n", 'phase partition\necho "one is $one"\n')
    server = serve(Server(make_bundle(site, master, files=scripts), lost_events=1))
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
    serve: Callable[[Server], Server], boot: Callable[[str], Machine], site: Settings
) -> None:
    odd = "printf 'odd \\000\\377 bytes\\n'\n"
    master = START + odd + "phase check\ncheck_disk /dev/vda 2000000000\nphase partition\n"
    server = serve(Server(make_bundle(site, master)))
    machine = boot(arguments(server))
    machine.wait_for(lambda: "failed" in server.phases, "failed event")

    phase, _uptime, detail = server.events[-1]
    assert phase == "failed"
    assert detail.startswith("phase check, exit code 1\n")
    assert f"too small: it has {DISK_BYTES} bytes, the layout needs 2000000000" in detail
    assert len(detail.splitlines()) <= 41
    assert "partition" not in server.phases
    machine.wait_for(lambda: "BOEL# " in machine.text, "prompt")
    assert "This machine waits here" in machine.text
    log = server.log.decode("utf-8", "replace")
    assert "odd  \ufffd bytes" in log
    assert "too small" in log
    assert "kernel: " in log
    assert "This machine waits here" in log
    machine.type("id -u; echo sh''ell")
    machine.wait_for(lambda: "\n0\nshell\n" in machine.text, "answer of a root shell")
    assert machine.process.poll() is None
    assert machine.disk.stat().st_blocks == 0, "something was written to the disk"


def test_machine_that_is_not_armed_is_left_alone(
    serve: Callable[[Server], Server], boot: Callable[[str], Machine], site: Settings
) -> None:
    server = serve(Server(make_bundle(site, INSTALL), armed=False))
    machine = boot(arguments(server))
    machine.wait_for(lambda: "BOEL# " in machine.text, "prompt")

    assert "This machine is not armed" in machine.text
    assert not any("bundle.tar" in line for line in server.asked)
    assert machine.disk.stat().st_blocks == 0
    assert machine.process.poll() is None


def test_what_the_site_did_not_sign_for_this_client_is_not_run(
    serve: Callable[[Server], Server], boot: Callable[[str], Machine], site: Settings
) -> None:
    flipped = make_bundle(site, INSTALL).replace(b"mkfs.xfs", b"mkfs.xfz")
    strange = make_bundle(site, INSTALL, client="web2")
    cases = (
        (flipped, "the bundle with the master script is not what the site signed"),
        (strange, "the bundle is not for this arming of this client"),
    )
    for bad, told in cases:
        server = serve(Server(bad))
        machine = boot(arguments(server))
        machine.wait_for(lambda: "failed" in server.phases, "failed event")  # noqa: B023
        machine.stop()
        assert told in server.events[-1][2]
        assert "check" not in server.phases
        assert machine.disk.stat().st_blocks == 0
