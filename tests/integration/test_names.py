"""Names against a real DNS server whose query log shows what was asked."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from si.config import DnsSettings, Settings, default_settings
from si.errors import NameNotResolved
from si.system.names import LIFETIME_S, resolve

DEADLINE_S = 10.0


@dataclass
class Dns:
    settings: Settings
    log: Path
    port: int


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def with_dns(root: Path, port: int) -> Settings:
    return replace(default_settings(root), dns=DnsSettings(servers=("127.0.0.1",), port=port))


@pytest.fixture
def dns(tmp_path: Path) -> Iterator[Dns]:
    port, log = free_port(), tmp_path / "dns.log"
    hosts = tmp_path / "etc/hosts"
    hosts.parent.mkdir()
    hosts.write_text(
        "127.0.0.1 localhost\n10.77.0.9 only-file.example Only-File # comment\n::1 six\n"
    )
    arguments = [
        *("dnsmasq", "--conf-file=/dev/null", "--keep-in-foreground", "--no-resolv", "--no-hosts"),
        *(f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--user=root"),
        *("--host-record=web7,10.77.0.7", "--host-record=two,10.77.0.2", "--log-queries"),
        *("--host-record=two,10.77.0.3", "--host-record=six,fd77::6", "--log-facility=-"),
        *("--local=/#/", f"--pid-file={tmp_path / 'dns.pid'}"),
    ]
    with log.open("wb") as sink:
        process = subprocess.Popen(arguments, stderr=sink, stdout=sink)
    end = time.monotonic() + DEADLINE_S
    while b"started" not in log.read_bytes():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, "dnsmasq did not start"
        time.sleep(0.02)
    yield Dns(with_dns(tmp_path, port), log, port)
    process.terminate()
    process.wait(DEADLINE_S)


def test_the_server_of_the_settings_is_asked(dns: Dns) -> None:
    assert resolve(dns.settings, "web7") == ("10.77.0.7",)
    assert "query[A] web7 from 127.0.0.1" in dns.log.read_text()
    assert sorted(resolve(dns.settings, "two")) == ["10.77.0.2", "10.77.0.3"]


def test_an_address_is_its_own_and_asks_nobody(dns: Dns) -> None:
    assert resolve(dns.settings, "10.1.2.3") == ("10.1.2.3",)
    assert "10.1.2.3" not in dns.log.read_text()


def test_the_hosts_file_is_asked_second(dns: Dns) -> None:
    assert resolve(dns.settings, "only-file") == ("10.77.0.9",)
    assert "query[A] only-file from" in dns.log.read_text()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nobody", "does not know it"),
        ("six", "knows the name but no IPv4 address"),
        ("a" * 64, "failed"),
        ("a..b", "failed"),
    ],
)
def test_the_error_says_who_was_asked(dns: Dns, name: str, words: str) -> None:
    with pytest.raises(NameNotResolved) as caught:
        resolve(dns.settings, name)
    message = caught.value.message
    assert f"DNS 127.0.0.1 port {dns.port} {words}" in message
    assert str(dns.settings.hosts_file) in message
    assert "\n" not in message


def test_a_dead_server_costs_a_bounded_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        settings = with_dns(tmp_path, silent.getsockname()[1])
        begun = time.monotonic()
        with pytest.raises(NameNotResolved, match="did not answer") as caught:
            resolve(settings, "web7")
    assert time.monotonic() - begun < LIFETIME_S + 2
    assert "etc/hosts cannot be read" in caught.value.message
