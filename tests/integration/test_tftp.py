"""The TFTP server against the stock clients of tftp-hpa and curl, and against raw packets."""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from si.config import Settings, default_settings
from si.serve.access import Access
from si.serve.boot_files import BootFiles, copy_boot_programs
from si.serve.entries import Entries
from si.serve.tftp import BootTftpServer
from si.serve.tftp_session import Session
from tests.integration.server_kit import wait_until

OCTET = b"\0octet\0"
WAIT_S = 10.0


class Running:
    """A server on a free port of loopback, below a folder of its own."""

    def __init__(self, settings: Settings, address: str = "127.0.0.1") -> None:
        settings.tftpboot.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.root = settings.tftpboot
        source = BootFiles(settings, Entries(settings)).open
        allows = Access(settings).allows
        self.server = BootTftpServer(str(self.root), source=source, allows=allows)
        self.server.open_port(address, 0)
        self.port: int = self.server.listenport
        self.thread = threading.Thread(target=self.server.listen)
        self.thread.start()

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()

    def answer(self, packet: bytes) -> bytes:
        """What the server says to one packet from a fresh port; empty: nothing in 0.3 s."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("127.0.0.1", 0))
            client.settimeout(0.3)
            client.sendto(packet, ("127.0.0.1", self.port))
            try:
                reply, sender = client.recvfrom(70000)
            except TimeoutError:
                return b""
            if reply[:2] != b"\0\5":
                client.sendto(b"\0\5\0\0enough\0", sender)
            return reply

    def curl(self, path: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        argv = ["curl", "-sS", "--path-as-is", "--max-time", "120", *options]
        return subprocess.run(
            [*argv, f"tftp://127.0.0.1:{self.port}/{path}"], capture_output=True, timeout=130
        )


def make_settings(root: Path, networks: tuple[str, ...] = ("127.0.0.0/8",)) -> Settings:
    settings = default_settings(root)
    return replace(settings, server=msgspec.structs.replace(settings.server, networks=networks))


@pytest.fixture
def tftp(tmp_path: Path) -> Iterator[Running]:
    running = Running(make_settings(tmp_path))
    (running.root / "boot.bin").write_bytes(random.Random(1).randbytes(100_000))
    (running.root / "folder").mkdir()
    yield running
    running.stop()


BAD_PACKETS = {
    "empty": b"",
    "one byte": b"\0",
    "no operation": b"\0\0",
    "unknown operation": b"\0\x63abc",
    "data out of nowhere": b"\0\3\0\1data",
    "ack out of nowhere": b"\0\4\0\1",
    "short ack": b"\0\4\0",
    "error out of nowhere": b"\0\5\0\1no\0",
    "oack out of nowhere": b"\0\6blksize\x00512\0",
    "request without anything": b"\0\1",
    "request without mode": b"\0\1boot.bin\0",
    "request without an end": b"\0\1boot.bin\0octet",
    "empty file name": b"\0\1" + OCTET,
    "unknown mode": b"\0\1boot.bin\0mail\0",
    "file name that is not ASCII": b"\0\1b\xc3\xb6ot" + OCTET,
    "file name that is not UTF-8": b"\0\1b\xff\xfe" + OCTET,
    "control characters": b"\0\1b\x1b[2J\n" + OCTET,
    "a folder": b"\0\1folder" + OCTET,
    "the root": b"\0\1/" + OCTET,
    "a dot": b"\0\1." + OCTET,
    "climbing": b"\0\1../../etc/passwd" + OCTET,
    "climbing inside": b"\0\1folder/../../secret" + OCTET,
    "absolute": b"\0\1/etc/passwd" + OCTET,
    "through a file": b"\0\1boot.bin/x" + OCTET,
    "endless name": b"\0\1" + b"a" * 480 + OCTET,
    "oversized packet": b"\0\1" + b"a/" * 5000 + OCTET,
    "write": b"\0\2new.bin" + OCTET,
    "write with options": b"\0\2boot.bin" + OCTET + b"tsize\x0010\0",
    "pxelinux name that is none": b"\0\1pxelinux.cfg/01-zz" + OCTET,
    "flavor that climbs": b"\0\1flavors/../x/kernel" + OCTET,
    "flavor that is none": b"\0\1flavors/x86_64/no/kernel" + OCTET,
}
ODD_OPTIONS = {
    "letters": b"blksize\0abc\0",
    "nothing": b"blksize\0\0",
    "zero": b"blksize\x000\0",
    "below the least": b"blksize\x007\0",
    "negative": b"blksize\0-512\0",
    "beyond 64 bits": b"blksize\x00" + b"9" * 30 + b"\0",
    "not ASCII": b"blksize\0\xff\0",
    "name not ASCII": b"bl\xffksize\x00512\0",
    "name without value": b"blksize\0",
    "no end": b"blksize\x00512",
    "unknown": b"windowsize\x0016\0",
    "timeout of 0": b"timeout\x000\0",
    "timeout too long": b"timeout\x00256\0",
}


@pytest.mark.parametrize("packet", BAD_PACKETS.values(), ids=BAD_PACKETS.keys())
def test_a_bad_packet_gets_an_error_and_hurts_nobody(tftp: Running, packet: bytes) -> None:
    reply = tftp.answer(packet)
    assert reply[:2] == b"\0\5"
    assert reply.endswith(b"\0")
    assert reply.count(b"\0", 4) == 1
    assert tftp.curl("boot.bin").stdout == (tftp.root / "boot.bin").read_bytes()


@pytest.mark.parametrize("options", ODD_OPTIONS.values(), ids=ODD_OPTIONS.keys())
def test_an_option_that_makes_no_sense_is_as_if_not_asked(tftp: Running, options: bytes) -> None:
    reply = tftp.answer(b"\0\1boot.bin" + OCTET + options)
    assert reply[:4] == b"\0\3\0\1"
    assert reply[4:] == (tftp.root / "boot.bin").read_bytes()[:512]


@pytest.mark.parametrize(
    ("options", "oack"),
    [
        (b"tsize\x000\0", b"tsize\x00100000\0"),
        (b"blksize\x001024\0", b"blksize\x001024\0"),
        (b"BLKSIZE\x001024\0", b"BLKSIZE\x001024\0"),
        (b"blksize\x008\0", b"blksize\x008\0"),
        (b"blksize\x0065464\0", b"blksize\x0065464\0"),
        (b"blksize\x0065465\0", b"blksize\x0065464\0"),
        (b"blksize\x0099999999\0", b"blksize\x0065464\0"),
        (b"timeout\x003\0", b"timeout\x003\0"),
        (b"windowsize\x0016\0tsize\x000\0x\0y\0", b"tsize\x00100000\0"),
        (b"tsize\x000\0blksize\x00600\0", b"tsize\x00100000\0blksize\x00600\0"),
        (b"blksize\x00600\0blksize\x00700\0", b"blksize\x00600\0"),
    ],
)
def test_options_are_answered_as_asked(tftp: Running, options: bytes, oack: bytes) -> None:
    assert tftp.answer(b"\0\1boot.bin" + OCTET + options) == b"\0\6" + oack


def test_a_request_from_port_0_is_survived(tftp: Running) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        payload = b"\0\1boot.bin" + OCTET
        header = struct.pack("!HHHH", 0, tftp.port, 8 + len(payload), 0)
        raw.sendto(header + payload, ("127.0.0.1", 0))
    assert tftp.curl("boot.bin").returncode == 0


@pytest.mark.parametrize("block", ["8", "512", "1428", "8192", "65464"])
def test_curl_at_block_sizes(tftp: Running, block: str) -> None:
    done = tftp.curl("boot.bin", "--tftp-blksize", block)
    assert done.stdout == (tftp.root / "boot.bin").read_bytes()


def test_curl_without_options(tftp: Running) -> None:
    done = tftp.curl("boot.bin", "--tftp-no-options")
    assert done.stdout == (tftp.root / "boot.bin").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024])
def test_sizes_around_a_block(tftp: Running, size: int) -> None:
    (tftp.root / "edge").write_bytes(b"x" * size)
    # curl takes no answer "tsize 0", so it must not ask for the size of an empty file.
    done = tftp.curl("edge", *(["--tftp-no-options"] if size == 0 else []))
    assert (done.returncode, done.stdout) == (0, b"x" * size)


def test_tftp_hpa_in_both_modes(tftp: Running, tmp_path: Path) -> None:
    text = b"one\ntwo\r\nthree\rfour\n" * 500
    (tftp.root / "text").write_bytes(text)
    for mode in ("octet", "netascii"):
        got = tmp_path / mode
        argv = ["tftp", "-m", mode, "127.0.0.1", str(tftp.port), "-c", "get", "text", str(got)]
        subprocess.run(argv, check=True, timeout=30)
        assert got.read_bytes() == text, mode


def test_tftp_hpa_twice_from_one_port(tftp: Running, tmp_path: Path) -> None:
    words = f"mode octet\nget boot.bin {tmp_path}/a\nget boot.bin {tmp_path}/b\nquit\n"
    argv = ["tftp", "127.0.0.1", str(tftp.port)]
    subprocess.run(argv, input=words.encode(), check=True, timeout=30, stdout=subprocess.DEVNULL)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "b").stat().st_size == 100_000


def test_100_mb_roll_the_block_number_over(tftp: Running) -> None:
    big = random.Random(2).randbytes(100_000_000)
    (tftp.root / "big").write_bytes(big)
    done = tftp.curl("big", "--tftp-blksize", "1428")
    assert done.stdout == big


def test_512_byte_blocks_roll_over(tftp: Running) -> None:
    big = random.Random(3).randbytes(512 * 65536 + 700)
    (tftp.root / "big").write_bytes(big)
    assert tftp.curl("big", "--tftp-blksize", "512").stdout == big


def test_nothing_outside_the_root_is_reached(tftp: Running, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (tftp.root / "link").symlink_to(secret)
    (tftp.root / "up").symlink_to(tmp_path)
    (tftp.root / "inside").symlink_to("boot.bin")
    os.mkfifo(tftp.root / "pipe")
    for path in ("link", "up/secret", "../secret", "%2e%2e/secret", str(secret), "pipe"):
        done = tftp.curl(path)
        assert done.returncode in (68, 69), path
        assert b"secret" not in done.stdout
    assert len(tftp.curl("inside").stdout) == 100_000


def test_an_address_outside_the_networks_gets_nothing(tmp_path: Path) -> None:
    running = Running(make_settings(tmp_path, ("127.0.0.1/32",)))
    (running.root / "boot.bin").write_bytes(b"boot")
    try:
        assert running.curl("boot.bin").stdout == b"boot"
        assert running.curl("boot.bin", "--interface", "127.0.0.2").returncode == 69
    finally:
        running.stop()


def test_answers_come_from_the_address_that_was_asked(tmp_path: Path) -> None:
    running = Running(make_settings(tmp_path), address="0.0.0.0")
    (running.root / "boot.bin").write_bytes(b"boot")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(WAIT_S)
            client.sendto(b"\0\1boot.bin" + OCTET, ("127.0.0.7", running.port))
            assert client.recvfrom(600)[1][0] == "127.0.0.7"
    finally:
        running.stop()


def start_transfer(tftp: Running) -> tuple[socket.socket, tuple[str, int]]:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(WAIT_S)
    client.sendto(b"\0\1boot.bin" + OCTET, ("127.0.0.1", tftp.port))
    data, sender = client.recvfrom(600)
    assert data[:4] == b"\0\3\0\1"
    return client, sender


def test_a_stranger_cannot_end_or_steer_a_transfer(tftp: Running) -> None:
    client, session = start_transfer(tftp)
    with client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.settimeout(WAIT_S)
        stranger.sendto(b"\0\5\0\0stop\0", session)
        stranger.sendto(b"\0\4\0\1", session)
        assert stranger.recvfrom(600)[0][:4] == b"\0\5\0\5"
        client.sendto(b"\0\4\0\1", session)
        assert client.recvfrom(600)[0][:4] == b"\0\3\0\2"


def test_rubbish_inside_a_transfer_ends_only_that_one(tftp: Running) -> None:
    client, session = start_transfer(tftp)
    other, other_session = start_transfer(tftp)
    with client, other:
        for packet in (b"", b"\0", b"\xff\xff\xff", b"\0\4\0", b"\0\6a"):
            client.sendto(packet, session)
        other.sendto(b"\0\4\0\1", other_session)
        assert other.recvfrom(600)[0][:4] == b"\0\3\0\2"


def test_a_lost_block_is_sent_again_and_a_doubled_ack_is_not_answered_twice(
    tftp: Running,
) -> None:
    client, session = start_transfer(tftp)
    with client:
        client.sendto(b"\0\4\0\1", session)
        assert client.recvfrom(600)[0][:4] == b"\0\3\0\2"
        client.sendto(b"\0\4\0\1", session)  # doubled: no second copy at once (RFC 1123)
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recvfrom(600)
        client.settimeout(WAIT_S)
        assert client.recvfrom(600)[0][:4] == b"\0\3\0\2", "but after the time-out"


def test_a_repeated_request_opens_no_second_session(tftp: Running) -> None:
    client, session = start_transfer(tftp)
    with client:
        client.sendto(b"\0\1boot.bin" + OCTET, ("127.0.0.1", tftp.port))
        client.sendto(b"\0\4\0\1", session)
        data, sender = client.recvfrom(600)
        assert (data[:4], sender) == (b"\0\3\0\2", session)


def test_a_broken_source_is_told_and_survived(
    tftp: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str, client: str, server: str) -> object:
        raise RuntimeError("broken on purpose")

    with monkeypatch.context() as patched:
        patched.setattr(tftp.server, "source", fail)
        assert tftp.answer(b"\0\1boot.bin" + OCTET)[:4] == b"\0\5\0\0"
        patched.undo()
        patched.setattr(Session, "begin", lambda self: fail("", "", ""))
        assert tftp.answer(b"\0\1boot.bin" + OCTET) == b""
    assert tftp.curl("boot.bin").returncode == 0
    wait_until(lambda: tftp.server.sessions == {}, "the last session was closed")


def test_eight_at_once(tftp: Running) -> None:
    data = (tftp.root / "boot.bin").read_bytes() * 20
    (tftp.root / "eight").write_bytes(data)
    argv = ["curl", "-sS", "--tftp-blksize", "1428", f"tftp://127.0.0.1:{tftp.port}/eight"]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(8)]
    assert [process.communicate(timeout=60)[0] == data for process in running] == [True] * 8


def test_boot_programs_come_from_the_packages(tmp_path: Path) -> None:
    running = Running(make_settings(tmp_path))
    try:
        assert copy_boot_programs(running.settings) == ()
        own = running.root / "undionly.kpxe"
        os.utime(own)
        own.write_bytes(b"our own build")
        assert copy_boot_programs(running.settings) == ()
        assert running.curl("undionly.kpxe").stdout == b"our own build"
        for name in ("snponly.efi", "pxelinux.0", "ldlinux.c32"):
            assert len(running.curl(name).stdout) > 10_000
    finally:
        running.stop()


def test_an_unknown_machine_gets_its_own_disk(tftp: Running) -> None:
    for name in ("default", "01-52-54-00-aa-bb-cc", "7F000001"):
        text = tftp.curl(f"pxelinux.cfg/{name}").stdout.decode()
        assert "LOCALBOOT" in text, name
        assert "KERNEL" not in text
    assert tftp.curl("pxelinux.cfg/7F000002").returncode == 68, "of another address"
