"""si-mkdhcpserver's configuration in a real dnsmasq, asked by real clients.

Server and client are network namespaces with two cables between them; only one is to be served.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROBE = Path(__file__).with_name("dhcp_probe.py")
MKDHCPSERVER = (sys.executable, "-c", "from si.cli.mkdhcpserver import main; main()")
PXE = "60=505845436c69656e743a417263683a3030303030"
BIOS, EFI, IPXE = (PXE, "93=0000"), (PXE, "93=0007"), (PXE, "93=0000", "175=b10100")
SCRIPT = "http://10.99.0.1:8080/boot.ipxe"
WEB1, OLD1, BARE = "52:54:00:99:00:01", "52:54:00:99:00:02", "52:54:00:99:00:03"
STRANGER = "52:54:00:99:00:77"
CLUSTER = f"""<cluster>
  <client name="web1" mac="{WEB1}" ip="10.99.0.21"/>
  <client name="old1" mac="{OLD1}" ip="10.99.0.22" loader="pxelinux"/>
  <client name="bare" mac="{BARE}"/>
  <client name="filed" mac="52:54:00:99:00:04"/>
</cluster>
"""
SI_TOML = '[server]\naddress = "10.99.0.1"\n[dns]\nservers = ["127.0.0.1"]\nport = 9\n'
DEADLINE_S = 15.0


def run(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=check)


@dataclass
class Lab:
    root: Path
    server: str
    client: str
    processes: list[subprocess.Popen[bytes]]

    def mkdhcpserver(self, *words: str) -> subprocess.CompletedProcess[str]:
        inside = ("ip", "netns", "exec", self.server)
        return run(*inside, *MKDHCPSERVER, "--root", str(self.root), *words, check=False)

    def start(self, conf: Path) -> Path:
        log = self.root / "dnsmasq.log"
        arguments = ["-k", f"--conf-file={conf}", "--user=root", "--pid-file", "--log-facility=-"]
        leases = f"--dhcp-leasefile={self.root}/leases"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.server, "dnsmasq", *arguments, leases], stderr=sink
            )
        self.processes.append(process)
        end = time.monotonic() + DEADLINE_S
        while "bound exclusively" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)
        return log

    def ask(self, mac: str, *options: str, card: str = "vc", wait_s: float = 5) -> Any:
        inside = ("ip", "netns", "exec", self.client, sys.executable)
        return json.loads(run(*inside, str(PROBE), card, mac, str(wait_s), *options).stdout)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    etc = tmp_path / "etc/systemimager"
    etc.mkdir(parents=True)
    (etc / "cluster.xml").write_text(CLUSTER)
    (etc / "si.toml").write_text(SI_TOML)
    (tmp_path / "etc/hosts").write_text("10.99.0.24 filed\n")
    made = Lab(tmp_path, f"sidhs{os.getpid()}", f"sidhc{os.getpid()}", [])
    try:
        for name in (made.server, made.client):
            run("ip", "netns", "add", name)
        for here, there in (("va", "vc"), ("vb", "vd")):
            words = ("type", "veth", "peer", "name", there, "netns", made.client)
            run("ip", "-n", made.server, "link", "add", here, *words)
            run("ip", "-n", made.server, "link", "set", here, "up")
            run("ip", "-n", made.client, "link", "set", there, "up")
        run("ip", "-n", made.server, "addr", "add", "10.99.0.1/24", "dev", "va")
        run("ip", "-n", made.server, "addr", "add", "10.98.0.1/24", "dev", "vb")
        run("ip", "-n", made.server, "addr", "add", "fd99::1/64", "dev", "va", "nodad")
        yield made
    finally:
        for process in made.processes:
            process.terminate()
            process.wait(DEADLINE_S)
        for name in (made.server, made.client):
            run("ip", "netns", "del", name, check=False)


def test_each_machine_gets_its_address_and_its_boot_program(lab: Lab) -> None:
    done = lab.mkdhcpserver("--software", "dnsmasq", "--range", "10.99.0.100-10.99.0.199")
    assert done.returncode == 0, done.stderr
    assert "3 of 4 clients" in done.stdout
    conf = lab.root / "etc/dnsmasq.d/systemimager.conf"
    log = lab.start(conf)
    assert lab.ask(WEB1, *BIOS)["file"] == "undionly.kpxe"
    assert lab.ask(WEB1, *EFI)["file"] == "snponly.efi"
    offer = lab.ask(WEB1, *IPXE)
    assert (offer["file"], offer["ip"], offer["next"]) == (SCRIPT, "10.99.0.21", "10.99.0.1")
    assert bytes.fromhex(offer["options"]["12"]) == b"web1"
    assert "3" not in offer["options"], "this server is no router"
    for options in (BIOS, IPXE):
        offer = lab.ask(OLD1, *options)
        assert (offer["file"], offer["ip"]) == ("pxelinux.0", "10.99.0.22")
    assert lab.ask("52:54:00:99:00:04")["ip"] == "10.99.0.24", "from the hosts file"
    for mac in (BARE, STRANGER):
        assert 100 <= int(lab.ask(mac)["ip"].split(".")[3]) <= 199
    assert lab.ask(WEB1, *IPXE, card="vd", wait_s=1.5) is None, "the other cable gets no answer"
    assert "RTR-ADVERT(va)" in log.read_text()


def test_a_stock_client_gets_a_lease_and_no_ipv6_router(lab: Lab) -> None:
    conf = lab.root / "dnsmasq.conf"
    words = ("--software", "dnsmasq", "--interface", "va", "--output", str(conf))
    assert lab.mkdhcpserver(*words, "--range", "10.99.0.100-10.99.0.199").returncode == 0
    lab.start(conf)
    run("ip", "-n", lab.client, "link", "set", "vc", "address", WEB1)
    inside = ("ip", "netns", "exec", lab.client)
    udhcpc = ("busybox", "udhcpc", "-i", "vc", "-n", "-q", "-f", "-s", "/bin/true")
    assert "lease of 10.99.0.21 obtained" in run(*inside, *udhcpc).stderr
    assert "default" not in run("ip", "-n", lab.client, "-6", "route").stdout


def test_without_a_range_a_stranger_gets_nothing(lab: Lab) -> None:
    done = lab.mkdhcpserver("--software", "dnsmasq", "--subnet", "10.99.0.0/24")
    assert done.returncode == 0, done.stderr
    assert "bare gets no address" in done.stderr
    lab.start(lab.root / "etc/dnsmasq.d/systemimager.conf")
    assert lab.ask(WEB1)["ip"] == "10.99.0.21"
    assert lab.ask(STRANGER, wait_s=1.5) is None


def test_a_proxy_says_what_to_boot_and_nothing_else(lab: Lab) -> None:
    assert lab.mkdhcpserver("--software", "dnsmasq", "--proxy").returncode == 0
    lab.start(lab.root / "etc/dnsmasq.d/systemimager.conf")
    offer = lab.ask(WEB1, *IPXE)
    assert (offer["ip"], offer["file"]) == ("0.0.0.0", SCRIPT)
    assert lab.ask(WEB1, wait_s=1.5) is None, "no PXE firmware, no answer"
    run("ip", "-n", lab.client, "addr", "add", "10.99.0.77/24", "dev", "vc")
    second = ("97=0000112233445566778899aabbccddeeff", "4011=10.99.0.77,10.99.0.1")
    assert lab.ask(WEB1, *EFI, *second)["file"] == "snponly.efi"
    assert lab.ask(WEB1, *BIOS, "43=470480020000ff", *second)["file"] == "undionly.kpxe"
    assert lab.ask(OLD1, *BIOS, "43=470480030000ff", *second)["file"] == "pxelinux.0"


def test_a_different_file_is_not_overwritten_unasked(lab: Lab) -> None:
    conf = lab.root / "dnsmasq.conf"
    conf.write_text("# by hand\n")
    words = ("--software", "dnsmasq", "--output", str(conf))
    refused = lab.mkdhcpserver(*words)
    assert refused.returncode == 36
    assert conf.read_text() == "# by hand\n"
    assert lab.mkdhcpserver(*words, "--yes").returncode == 0
    assert lab.mkdhcpserver(*words).returncode == 0, "the same text needs no answer"
    shown = lab.mkdhcpserver("--software", "dnsmasq", "--output", "-")
    assert shown.stdout == conf.read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--interface", "eth9"), 40, "no interface 'eth9'"),
        (("--subnet", "10.1.0.0/24"), 40, "10.1.0.0/24 is outside va"),
        (("--subnet", "10.99.0.1/24"), 2, "host bits"),
        (("--subnet", "x"), 2, "no network"),
        (("--range", "10.99.1.1-10.99.1.9"), 40, "outside the subnet 10.99.0.0/24"),
        (("--range", "10.99.0.9-10.99.0.1"), 40, "ends before it begins"),
        (("--range", "nonsense"), 40, "no range of addresses"),
        (("--router", "10.1.1.1"), 40, "router address 10.1.1.1 is outside"),
        (("--proxy", "--range", "10.99.0.1-10.99.0.9"), 2, "leave out --range"),
        (("--software", "kea"), 2, "kea"),
    ],
)
def test_bad_input_gets_one_clear_line(
    lab: Lab, words: tuple[str, ...], code: int, said: str
) -> None:
    done = lab.mkdhcpserver("--software", "dnsmasq", *words)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (lab.root / "etc/dnsmasq.d").exists()


def test_dnsmasq_has_the_last_word(lab: Lab, tmp_path: Path) -> None:
    code = (
        "import sys; from unittest.mock import patch; import si.cli.mkdhcpserver as m; "
        "patch.object(m, 'render_dnsmasq', lambda plan: 'dhcp-nonsense=1\\n').start(); m.main()"
    )
    words = ("--root", str(tmp_path), "--software", "dnsmasq")
    inside = ("ip", "netns", "exec", lab.server)
    done = run(*inside, sys.executable, "-c", code, *words, check=False)
    assert done.returncode == 40
    assert "dnsmasq refuses: dnsmasq: bad option at line 1 of the configuration" in done.stderr
    assert not (tmp_path / "etc/dnsmasq.d").exists()
