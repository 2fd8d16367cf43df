"""The lab itself: a golden client that runs, and nothing left behind however a lab ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.lab.accel import Accelerator
from scripts.lab.disk import filled, mounted_tree
from scripts.lab.errors import LabError, LabTimeout
from scripts.lab.golden import POINTS, Golden
from scripts.lab.golden_tree import DEFAULT_MIRROR, find_mirror
from scripts.lab.machine import Machine, Spec
from scripts.lab.network import ADDRESS, Network, sweep
from scripts.lab.scratch import mounts_below, scratch_folder
from scripts.lab.specimens import FOLDER as SPECIMENS
from scripts.lab.ssh import Login
from si.system.run import PIPE, read_lines, run, start

CRASH = """
import os
from scripts.lab.network import Network
network = Network().__enter__()
sleeper = network.start(["sleep", "1000"])
print(network.name, network.folder, sleeper.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_golden_client_runs_and_switches_off(
    network: Network, golden: Golden, accelerator: Accelerator, tmp_path: Path
) -> None:
    log = tmp_path / "console"
    spec = Spec(name="golden", mac=golden.mac, disks=(golden.disk,),
                accelerator=accelerator, keep_disks=False)  # fmt: skip
    before = golden.disk.stat().st_mtime_ns
    with Machine(network, spec, log) as machine:
        login = Login(network, golden.address, golden.key)
        login.wait(180)
        assert login.wait_running(120) == "running"
        login.run("touch /root/written")
        machine.console.expect("golden login:", 60, since=0)
        with pytest.raises(LabTimeout, match=r"golden login:"):
            machine.console.expect("no such line", 0.1)
        assert machine.power_down(60) == 0
        with pytest.raises(LabError, match="has gone"):
            machine.console.expect("no such line", 60)
    assert b"login:" in log.read_bytes()
    assert golden.disk.stat().st_mtime_ns == before


def test_network_is_taken_down_by_several_threads_at_once() -> None:
    for _ in range(5):
        network = Network().__enter__()
        network.start(["sleep", "1000"])
        with ThreadPoolExecutor(4) as pool:
            for closed in [pool.submit(network.close) for _ in range(4)]:
                closed.result()
        assert not Path("/run/netns", network.name).exists()


def test_disk_is_read_without_being_written_and_all_is_undone(
    golden: Golden, tmp_path: Path
) -> None:
    before = golden.disk.stat().st_mtime_ns
    point = tmp_path / "tree"
    with pytest.raises(ZeroDivisionError), mounted_tree(golden.disk, POINTS, point) as tree:
        assert (tree / "boot/grub/grub.cfg").exists()
        assert (tree / SPECIMENS / "sparse").stat().st_blocks * 512 < 1 << 20
        assert "security.capability" in os.listxattr(tree / SPECIMENS / "capable")
        _ = 1 / 0
    assert mounts_below(tmp_path) == []
    assert run(["losetup", "--associated", golden.disk]).text == ""
    assert golden.disk.stat().st_mtime_ns == before


def test_a_disk_is_whole_though_another_namespace_has_it_mounted(tmp_path: Path) -> None:
    disk, point = tmp_path / "disk.raw", tmp_path / "point"
    point.mkdir()
    with disk.open("wb") as file:
        file.truncate(32 << 20)
    run(["mkfs.ext4", "-q", disk])
    device = Path(run(["losetup", "--find", "--show", disk]).text.strip())
    with ExitStack() as stack:
        stack.callback(run, ["losetup", "--detach", device])
        with filled(device, point):
            other = start(["unshare", "--mount", "sh", "-c", "echo; exec sleep 600"], stdout=PIPE)
            stack.callback(other.wait)
            stack.callback(other.kill)
            assert other.stdout is not None
            assert other.stdout.readline() == b"\n"
            (point / "word").write_text("kept\n")
        # debugfs reads as GRUB does, and the lab's proof: what only the journal has is not there.
        assert run(["debugfs", "-R", "cat /word", disk]).text == "kept\n"


@pytest.mark.parametrize(
    ("name", "text", "mirror"),
    [
        ("sources.list", "deb [a=b] http://one/debian bookworm main\n", "http://one/debian"),
        ("sources.list", "# deb http://no/debian bookworm main\n", DEFAULT_MIRROR),
        ("sources.list", "deb http://no/debian-security bookworm-security main\n", DEFAULT_MIRROR),
        ("sources.list.d/a.list", "deb https://two/d bookworm contrib main\n", "https://two/d"),
        (
            "sources.list.d/debian.sources",
            "Types: deb\nURIs: http://no\nSuites: bookworm-security\nComponents: main\n\n"
            "# three\nTypes: deb\nURIs: http://three/d\nSuites: bookworm x\nComponents: main\n",
            "http://three/d",
        ),
    ],
)
def test_packages_come_from_the_mirror_of_this_machine(
    tmp_path: Path, name: str, text: str, mirror: str
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert find_mirror(tmp_path) == mirror


def test_name_server_answers_and_logs_the_question(network: Network, tmp_path: Path) -> None:
    log = tmp_path / "dns.log"
    network.start_dns({"web2.lab": "10.77.0.102"}, log)
    ask = (
        "import dns.resolver; r = dns.resolver.Resolver(configure=False);"
        f"r.nameservers = ['{ADDRESS}']; print(r.resolve('web2.lab', 'A')[0])"
    )
    assert network.run([sys.executable, "-c", ask]).text == "10.77.0.102\n"
    assert "query[A] web2.lab from" in log.read_text()


def test_a_machine_that_cannot_start_says_why(
    network: Network, accelerator: Accelerator, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.raw"
    spec = Spec(name="bad", mac="52:54:00:77:00:99", disks=(missing,), accelerator=accelerator)
    with pytest.raises(LabError, match=r"bad did not start: .*missing\.raw.*No such file"):
        Machine(network, spec, tmp_path / "console").start()
    links = network.run(["ip", "-brief", "link"]).text
    assert "tap" not in links


def test_a_network_leaves_nothing() -> None:
    with Network() as network:
        sleeper = network.start(["sleep", "1000"])
        assert network.name in run(["ip", "netns", "list"]).text
        network.add_tap()
    assert sleeper.poll() == -signal.SIGTERM
    assert network.name not in run(["ip", "netns", "list"]).text
    assert not network.folder.exists()


def test_what_a_killed_lab_left_is_swept() -> None:
    killed = start([sys.executable, "-c", CRASH], stdout=PIPE)
    name, folder, number = next(read_lines(killed)).decode().split()
    assert killed.wait() == -signal.SIGKILL
    assert name in run(["ip", "netns", "list"]).text
    assert name in sweep()
    assert name not in run(["ip", "netns", "list"]).text
    assert not Path(folder).exists()
    status = Path(f"/proc/{number}/stat")
    assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_killed_build_is_swept(tmp_path: Path) -> None:
    dead = start(["true"])
    dead.wait()
    left = tmp_path / f".new-disk-{dead.pid}"
    (left / "root").mkdir(parents=True)
    run(["mount", "-t", "tmpfs", "tmpfs", left / "root"])
    with (left / "golden.raw").open("wb") as disk:
        disk.truncate(1 << 20)
    device = run(["losetup", "--find", "--show", left / "golden.raw"]).text.strip()
    with scratch_folder(tmp_path, "disk") as folder:
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []
    assert run(["losetup", "--list", "--noheadings", "--output", "BACK-FILE", device],
               check=False).text.strip() == ""  # fmt: skip


def test_nobody_waits_in_a_network_that_is_closed(network: Network, tmp_path: Path) -> None:
    login = Login(network, "10.77.0.99", tmp_path / "no key")
    closing = threading.Timer(1, network.close)
    closing.start()
    with pytest.raises(LabError, match="has been taken down"):
        login.wait(120)
    closing.join()
    network.remove_tap("tap0")
