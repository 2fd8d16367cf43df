"""si-server as a process: its ports, its end, one for a root."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path

from si.config import Settings
from tests.integration.server_kit import (
    DEADLINE_S,
    make_store,
    run_si,
    running_server,
    wait_until,
)


def daemons(settings: Settings) -> list[int]:
    """Process numbers of the rsync daemons that run with this root's configuration.

    A daemon's child that answers one connection looks the same, but is not one.
    """
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
            parent = int((entry.parent / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if f"--config={settings.run}/rsyncd.conf".encode() in words:
            found[int(entry.parent.name)] = parent
    return [number for number, parent in found.items() if parent not in found]


def fetch(settings: Settings, path: str) -> subprocess.CompletedProcess[bytes]:
    address = f"rsync://127.0.0.1:{settings.server.rsync_port}/{path}"
    return subprocess.run(["rsync", "--timeout=10", address], capture_output=True, timeout=30)


def test_everything_from_one_process(tmp_path: Path) -> None:
    settings = make_store(tmp_path)
    server = settings.server
    assert run_si(settings, "server", "--status").returncode == 41
    with running_server(settings) as running:
        for name, port in (
            ("tftp", server.tftp_port), ("http", server.http_port), ("rsync", server.rsync_port),
            ("torrent", server.torrent_port),
        ):  # fmt: skip
            assert f"serving {name} on 127.0.0.1:{port}\n" in running.words()
        told = run_si(settings, "server", "--status")
        assert told.returncode == 0
        assert f"serving rsync on 127.0.0.1:{server.rsync_port}" in told.stdout
        assert running.ask("/boot.ipxe")[0] == 200
        assert b"hosts" in fetch(settings, "web/etc/").stdout
        argv = ["curl", "-sS", f"tftp://127.0.0.1:{server.tftp_port}/flavors/x86_64/virtio/kernel"]
        kernel = subprocess.run(argv, capture_output=True, timeout=30, check=True).stdout
        assert kernel == (settings.flavors / "x86_64/virtio/kernel").read_bytes()
        assert (settings.tftpboot / "pxelinux.0").is_file()
        second = run_si(settings, "server")
        assert second.returncode == 45
        assert str(running.process.pid) in second.stderr
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(DEADLINE_S) == 0
    assert daemons(settings) == []
    assert run_si(settings, "server", "--status").returncode == 41
    with running_server(settings, "--only", "rsync,tftp") as running:
        assert "http" not in running.words()


def test_interrupt_ends_it_as_well(tmp_path: Path) -> None:
    with running_server(make_store(tmp_path), "--only", "http") as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(DEADLINE_S) == 0
        assert "Traceback" not in running.words()


def test_a_taken_port_is_named_with_who_has_it(tmp_path: Path) -> None:
    settings = make_store(tmp_path)
    for service, port, kind in (
        ("http", settings.server.http_port, socket.SOCK_STREAM),
        ("tftp", settings.server.tftp_port, socket.SOCK_DGRAM),
        ("rsync", settings.server.rsync_port, socket.SOCK_STREAM),
        ("torrent", settings.server.torrent_port, socket.SOCK_STREAM),
    ):
        with socket.socket(socket.AF_INET, kind) as taken:
            taken.bind(("127.0.0.1", port))
            if kind is socket.SOCK_STREAM:
                taken.listen()
            done = run_si(settings, "server")
        assert done.returncode == 31
        error, hint = done.stderr.splitlines()[-2:]
        assert str(port) in error
        assert f"process {os.getpid()}" in error, "this test has it"
        assert f"server.{service}_port" in hint
        assert daemons(settings) == []


def test_an_address_that_is_not_here(tmp_path: Path) -> None:
    done = run_si(make_store(tmp_path), "server", "--listen", "192.0.2.77")
    assert done.returncode == 10
    assert "192.0.2.77" in done.stderr


def test_usage(tmp_path: Path) -> None:
    settings = make_store(tmp_path)
    done = run_si(settings, "server", "--only", "http,ftp")
    assert done.returncode == 2
    assert "'ftp'" in done.stderr


def test_a_network_that_cannot_be_read(tmp_path: Path) -> None:
    settings = make_store(tmp_path, networks=("10.0.0.1/24",))
    done = run_si(settings, "server")
    assert done.returncode == 10
    assert "server.networks" in done.stderr


def test_without_networks_the_own_subnets_are_answered(tmp_path: Path) -> None:
    settings = make_store(tmp_path)
    toml = settings.etc / "si.toml"
    lines = [line for line in toml.read_text().splitlines() if not line.startswith("networks")]
    toml.write_text("\n".join(lines))
    own = json.loads(subprocess.check_output(["ip", "-json", "addr"]))
    expected = {
        str(IPv4Network(f"{each['local']}/{each['prefixlen']}", strict=False))
        for interface in own
        for each in interface.get("addr_info", ())
        if each["family"] == "inet"
    }
    with running_server(settings, "--only", "http,rsync") as running:
        assert running.ask("/boot.ipxe", source="127.0.0.2")[0] == 200
        conf = (settings.run / "rsyncd.conf").read_text()
        (allowed,) = (line for line in conf.splitlines() if line.startswith("hosts allow"))
        assert set(allowed.split()[3:]) == expected


def test_nothing_is_left_when_it_is_killed(tmp_path: Path) -> None:
    settings = make_store(tmp_path)
    with running_server(settings) as running:
        assert len(daemons(settings)) == 1
        running.process.kill()
        running.process.wait()
        wait_until(lambda: daemons(settings) == [], "the rsync daemon ended with its server")
        assert run_si(settings, "server", "--status").returncode == 41
    with running_server(settings) as again:
        assert again.ask("/boot.ipxe")[0] == 200


def test_half_a_request_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    settings = make_store(tmp_path)
    with (
        running_server(settings) as running,
        socket.create_connection(("127.0.0.1", settings.server.http_port)) as idle,
        socket.create_connection(("127.0.0.1", settings.server.rsync_port)),
    ):
        idle.sendall(b"GET /boot.ipxe HTTP/1.1\r\nHost:")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(DEADLINE_S) == 0


def test_the_installed_command_is_the_module(tmp_path: Path) -> None:
    settings = make_store(tmp_path)
    argv = [str(Path(sys.executable).with_name("si")), "server", "--status"]
    environment = {**os.environ, "SI_ROOT": str(settings.root)}
    done = subprocess.run(argv, env=environment, capture_output=True, timeout=30)
    assert done.returncode == 41


def test_status_is_readable_by_programs(tmp_path: Path) -> None:
    settings = make_store(tmp_path)
    with running_server(settings, "--only", "http") as running:
        told = json.loads((settings.run / "si-server.json").read_text())
        assert told["pid"] == running.process.pid
        assert told["services"] == [
            {"name": "http", "address": "127.0.0.1", "port": settings.server.http_port}
        ]
