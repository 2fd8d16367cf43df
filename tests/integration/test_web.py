"""HTTP of a running si-server: what clients get, and what nobody gets."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from si.monitor.events import client_state, read_events
from si.monitor.state import Event, State
from si.version.signature import public_key_path
from si.version.signed import allowed_signers
from tests.integration.server_kit import MASTER, Server, arm, make_store, run_si, running_server


@dataclass(frozen=True)
class Refusing:
    server: Server
    install: str
    events: tuple[Event, ...]


MAC1 = "52%3A54%3a00:00:00:01"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(make_store(tmp_path), "--only", "http") as running:
        yield running


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refusing]:
    """One server with web1 armed, for requests that are refused and leave nothing behind."""
    settings = make_store(tmp_path_factory.mktemp("server"))
    with running_server(settings, "--only", "http") as running:
        yield Refusing(running, f"/install/web1/{arm(settings)}", read_events(settings, "web1"))


def state(server: Server) -> State:
    return client_state(server.settings, "web1").state


def test_the_way_of_an_install(server: Server) -> None:
    settings = server.settings
    assert b"not armed" in server.ask(f"/boot/ipxe/{MAC1}")[1]
    token = arm(settings, "--append", "quiet nosmt")
    base = f"http://127.0.0.1:{settings.server.http_port}"
    status, script = server.ask(f"/boot/ipxe/{MAC1}")
    assert status == 200
    assert f"kernel {base}/flavors/x86_64/virtio/kernel".encode() in script
    assert f"si.server={base} si.client=web1 si.token={token}".encode() in script
    assert b"quiet nosmt" in script
    install = f"/install/web1/{token}"
    assert server.ask(f"{install}/events?phase=started&uptime=8.25", b"")[0] == 204
    assert server.ask(f"{install}/log?offset=0", b"boel: hello\n")[0] == 204
    assert server.ask(f"{install}/bundle.tar")[0] == 200
    for number, phase in enumerate(("check", "pre-install", "partition", "image", "unmount")):
        assert server.ask(f"{install}/events?phase={phase}&uptime={9 + number}.5", b"")[0] == 204
    assert state(server) is State.INSTALLING
    assert b"kernel" in server.ask(f"/boot/ipxe/{MAC1}")[1]
    assert server.ask(f"{install}/events?phase=written&uptime=60", b"")[0] == 204
    script = server.ask(f"/boot/ipxe/{MAC1}")[1]
    assert b"web1 is written, booting its own disk" in script
    assert b"kernel" not in script
    assert server.ask(f"{install}/bundle.tar")[0] == 403, "its disk is written, nothing to do"
    report = json.dumps({"image": "web", "captured": "2026-11-20T00:00:00Z"}).encode()
    assert server.ask(f"{install}/events?phase=installed&uptime=30", report)[0] == 204
    assert state(server) is State.INSTALLED
    assert run_si(settings, "monitor", "--log", "web1").stdout == "boel: hello\n"
    shown = json.loads(run_si(settings, "monitor", "--json").stdout)
    row = next(row for row in shown["clients"] if row["client"] == "web1")
    assert (row["state"], row["image"], row["attempts"]) == ("installed", "web", 1)
    assert row["captured"] == "2026-11-20T00:00:00Z"
    assert token not in server.words()


def unwrap(bundle: bytes) -> tuple[bytes, bytes]:
    with tarfile.open(fileobj=io.BytesIO(bundle)) as tar:
        assert tar.getnames() == ["install.tar", "install.tar.sig"]
        signed, signature = (tar.extractfile(name) for name in tar.getnames())
        assert signed is not None
        assert signature is not None
        return signed.read(), signature.read()


def test_the_bundle(server: Server) -> None:
    token = arm(server.settings)
    data = server.ask(f"/install/web1/{token}/bundle.tar")[1]
    install, signature = unwrap(data)
    signers = server.settings.root / "signers"
    signers.write_text(
        allowed_signers(public_key_path(server.settings).read_text(), ("si-install",))
    )
    (server.settings.root / "signature").write_bytes(signature)
    subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-n", "si-install", "-I", "si", "-f", signers,
         "-s", server.settings.root / "signature"], input=install, check=True,
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(install)) as tar:
        members = {member.name: member for member in tar}
        texts = {
            name: file.read().decode()
            for name, member in members.items()
            if (file := tar.extractfile(member)) is not None
        }
    assert texts["master.sh"] == MASTER
    order = "10all.a\n20farm.b\n99web1.c\n"
    assert texts["pre-install.order"] == texts["post-install.order"] == order
    assert texts["post-install/20farm.b"] == "#!/bin/sh\necho post-install 20farm.b\n"
    assert "pre-install/10other.x" not in members
    assert members["pre-install/10all.a"].mode == 0o755
    header = dict(line.split("=", 1) for line in texts["header.sh"].splitlines())
    assert header["SI_CLIENT"] == "web1"
    assert header["SI_OVERRIDES"] == "'everyone web1'", "farm has no tree, so it is left out"
    assert header["SI_TOKEN"].strip("'") == token
    assert header["SI_RSYNC"] == f"rsync://127.0.0.1:{server.settings.server.rsync_port}"
    assert header["DISK_ID_vda"].startswith("0x")
    assert texts["identity/etc/hostname"] == "web1\n"
    assert "golden" not in texts["identity/etc/hosts"]
    assert members["identity/etc/systemimager/client.json"].mode == 0o600
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}
    assert members["identity/etc"].isdir()
    assert server.ask(f"/install/web1/{token}/bundle.tar")[1] == data, "same inputs, same bytes"


def test_flavors_come_whole_and_in_ranges(server: Server) -> None:
    path = server.settings.flavors / "x86_64/virtio/initrd.img"
    status, body = server.ask("/flavors/x86_64/virtio/initrd.img")
    assert (status, body) == (200, path.read_bytes())
    status, body = server.ask("/flavors/x86_64/virtio/initrd.img", headers=("Range: bytes=5-9",))
    assert (status, body) == (206, path.read_bytes()[5:10])
    status, body = server.ask("/flavors/x86_64/virtio/kernel", method="HEAD")
    assert (status, body) == (200, b"")


def test_the_client_commands(server: Server, tmp_path: Path) -> None:
    program = tmp_path / "c.pyz"
    program.write_bytes(server.ask("/client/si-client.pyz")[1])
    done = subprocess.run(
        [sys.executable, program, "--help"], capture_output=True, timeout=30, check=True
    )
    assert b"prepareclient" in done.stdout


def test_what_to_update_to(server: Server) -> None:
    status, body = server.ask("/clients/web1/update.json")
    assert status == 200
    told = json.loads(body)
    assert (told["client"], told["image"], told["version"]) == ("web1", "web", None)
    assert told["overrides"] == ["everyone", "web1"]
    # The image has no facts. Arming takes the server's own architecture then, and so must updates.
    assert told["arch"] == platform.machine()
    assert told["rsync"] == f"rsync://127.0.0.1:{server.settings.server.rsync_port}"
    assert json.loads(server.ask("/clients/web1/update.json?image=web")[1])["image"] == "web"
    status, body = server.ask("/clients/web1/update.json?image=gone")
    assert (status, b"image" in body) == (404, True)
    status, body = server.ask("/clients/nobody/update.json")
    assert (status, b"image" in body) == (404, False)


@pytest.mark.parametrize(
    "target",
    [
        "/flavors/x86_64/..%2f..%2f..%2fetc/kernel",
        "/flavors/%2e%2e/%2e%2e/kernel",
        "/flavors/x86_64/virtio/%2e%2e%2fvirtio%2fkernel",
        "/flavors/x86_64/virtio/../../../images/web/etc/shadow",
        "/flavors/x86_64/virtio/%2e%2e/%2e%2e/%2e%2e/images/web/etc/shadow",
        "/flavors/x86_64/virtio/..%5c..%5cshadow",
        "/flavors/x86_64//etc/passwd",
        "/flavors/x86_64/virtio/kernel%00",
        "/clients/../../etc/update.json",
        "/clients/%2e%2e/update.json",
        "/clients/web1%2f..%2fweb1/update.json",
        "/clients/web1/update.json?image=..",
        "/clients/web1/update.json?image=../overrides/everyone",
        "/clients/web1/update.json?image=web%0a",
        "/install/..%2fweb1/x/bundle.tar",
        "/install/%2e%2e/x/bundle.tar",
        "/install/-x/x/bundle.tar",
        "/install/web1%0aevil/x/bundle.tar",
        "/boot/ipxe/..%2f..%2fetc%2fpasswd",
        "/boot/ipxe/52:54:00:00:00:0g",
        "//etc/passwd",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/etc/passwd",
    ],
)
def test_no_path_leads_out(refusing: Refusing, target: str) -> None:
    status, body = refusing.server.ask(target)
    assert status in (400, 403, 404), body
    assert b"secret" not in body
    assert b"root:" not in body
    assert body.count(b"\n") <= 1, "refusals are one line"


def test_an_address_outside_the_networks_gets_403(tmp_path: Path) -> None:
    settings = make_store(tmp_path, networks=("127.0.0.1/32",))
    with running_server(settings, "--only", "http") as server:
        assert server.ask("/boot.ipxe")[0] == 200
        for target in ("/boot.ipxe", "/flavors/x86_64/virtio/kernel", "/nothing"):
            status, body = server.ask(target, source="127.0.0.2")
            assert (status, body.count(b"\n")) == (403, 1)


def test_a_wrong_token_is_refused_and_changes_nothing(server: Server) -> None:
    token = arm(server.settings)
    before = read_events(server.settings, "web1")
    for client, wrong in (
        ("web1", "x"), ("web1", token[:-1]), ("web1", token + "a"), ("web1", "%ff%00"),
        ("web2", token), ("nobody", token), ("web1", token.swapcase()),
    ):  # fmt: skip
        install = f"/install/{client}/{wrong}"
        assert server.ask(f"{install}/bundle.tar")[0] == 403
        assert server.ask(f"{install}/events?phase=written", b"")[0] == 403
        assert server.ask(f"{install}/log?offset=0", b"x")[0] == 403
    assert read_events(server.settings, "web1") == before
    assert not (server.settings.clients / "nobody").exists()
    assert not (server.settings.clients / "web1/console.log").exists()


def test_a_client_that_is_disarmed_is_stopped_before_it_writes(server: Server) -> None:
    token = arm(server.settings)
    event = f"/install/web1/{token}/events?phase="
    assert server.ask(f"{event}started&uptime=8", b"")[0] == 204
    done = run_si(server.settings, "mkclientnetboot", "--localboot", "--clients", "web1")
    assert done.returncode == 0
    assert server.ask(f"{event}partition&uptime=9", b"")[0] == 403
    assert server.ask(f"{event}failed&uptime=9", b"refused")[0] == 204
    assert server.ask(f"{event}started&uptime=1", b"")[0] == 403
    assert server.ask(f"/install/web1/{token}/bundle.tar")[0] == 403
    assert b"kernel" not in server.ask(f"/boot/ipxe/{MAC1}")[1]


def test_the_token_of_an_earlier_arming_is_worth_nothing(server: Server) -> None:
    old = arm(server.settings)
    new = arm(server.settings)
    assert old != new
    assert server.ask(f"/install/web1/{old}/events?phase=written", b"")[0] == 403
    assert state(server) is State.ARMED


@pytest.mark.parametrize(
    "query",
    [
        "", "phase=", "phase=no", "phase=armed", "phase=disarmed", "phase=Started",
        "phase=started&uptime=", "phase=started&uptime=nan", "phase=started&uptime=-1",
        "phase=started&uptime=inf", "phase=started&uptime=1e99", "phase=started&uptime=x",
        "phase=started%0a", "phase=../started",
    ],
)  # fmt: skip
def test_malformed_events_are_refused(refusing: Refusing, query: str) -> None:
    assert refusing.server.ask(f"{refusing.install}/events?{query}", b"")[0] == 400
    assert read_events(refusing.server.settings, "web1") == refusing.events


def test_events_take_any_bytes_but_not_too_many(server: Server) -> None:
    events = f"/install/web1/{arm(server.settings)}/events?phase=image&uptime=1"
    assert server.ask(events, bytes(range(256)) * 256)[0] == 204
    assert server.ask(events, b"x" * (64 * 1024 + 1))[0] == 413
    parts = b"10000\r\n" + b"y" * 65536 + b"\r\n1\r\nz\r\n0\r\n\r\n"
    assert server.ask(events, parts, chunked=True)[0] == 413, "also without a stated length"
    details = [event.detail for event in read_events(server.settings, "web1")]
    assert len(details[-1]) <= 65536
    assert state(server) is State.INSTALLING


@pytest.mark.parametrize("offset", ["", "-1", "x", "1.5", "99999999999999999999", "0x10", "%0a"])
def test_malformed_offsets_are_refused(refusing: Refusing, offset: str) -> None:
    assert refusing.server.ask(f"{refusing.install}/log?offset={offset}", b"x")[0] == 400
    assert not (refusing.server.settings.clients / "web1/console.log").exists()


def test_the_console_log_says_where_to_go_on(server: Server) -> None:
    log = f"/install/web1/{arm(server.settings)}/log"
    assert server.ask(f"{log}?offset=0", b"hello")[0] == 204
    assert server.ask(f"{log}?offset=9", b"!") == (409, b"5\n")
    assert server.ask(f"{log}?offset=3", b"lo world")[0] == 204
    assert server.ask(f"{log}?offset=0", b"x" * (1024 * 1024 + 1))[0] == 413
    assert (server.settings.clients / "web1/console.log").read_bytes() == b"hello world"


def test_hostile_words_do_not_reach_the_log(server: Server) -> None:
    token = arm(server.settings)
    failed = f"/install/web1/{token}/events?phase=failed&uptime=9"
    server.ask(failed, b"\x1b[2Jpartition\nweb9: installed\n")
    server.ask("/boot/ipxe/52:54:00:00:00:99%0aweb9:%20installed")
    server.ask(f"/install/web1%0aweb9/{token}/bundle.tar")
    words = server.words()
    assert "\\x1b[2Jpartition" in words
    assert "\x1b" not in words
    assert not [line for line in words.splitlines() if line.startswith("web9")]
    assert token not in words


def test_unknown_machines_are_noted(server: Server) -> None:
    assert b"own disk" in server.ask("/boot/ipxe/52-54-00-00-00-77")[1]
    shown = json.loads(run_si(server.settings, "monitor", "--json").stdout)
    assert [entry["mac"] for entry in shown["unknown"]] == ["52:54:00:00:00:77"]
    assert "52:54:00:00:00:77" in run_si(server.settings, "monitor").stdout


def test_a_faulty_cluster_file_changes_nothing_for_armed_clients(server: Server) -> None:
    arm(server.settings)
    assert b"kernel" in server.ask(f"/boot/ipxe/{MAC1}")[1]
    server.settings.cluster_xml.write_text("<cluster><broken")
    assert b"kernel" in server.ask(f"/boot/ipxe/{MAC1}")[1]
    assert "stays in force" in server.words()


def test_a_client_whose_mac_changed_is_not_installed(server: Server) -> None:
    arm(server.settings)
    text = server.settings.cluster_xml.read_text()
    server.settings.cluster_xml.write_text(text.replace("00:00:01", "00:00:0a"))
    assert b"kernel" not in server.ask(f"/boot/ipxe/{MAC1}")[1]
    assert b"kernel" not in server.ask("/boot/ipxe/52:54:00:00:00:0a")[1]


def test_power_cuts_use_up_the_attempts(server: Server) -> None:
    token = arm(server.settings)
    for number in range(3):
        assert b"kernel" in server.ask(f"/boot/ipxe/{MAC1}")[1]
        # A machine that says it is 0 s old was switched on after whatever it said before.
        started = f"/install/web1/{token}/events?phase=started&uptime={number}e-9"
        assert server.ask(started, b"")[0] == 204
    assert server.ask(f"/install/web1/{token}/bundle.tar")[0] == 200, "the third may go on"
    assert b"kernel" not in server.ask(f"/boot/ipxe/{MAC1}")[1]


def test_large_files_are_whole(server: Server) -> None:
    path = server.settings.flavors / "x86_64/virtio/initrd.img"
    path.write_bytes(b"0123456789abcdef" * 2_000_000)
    body = server.ask("/flavors/x86_64/virtio/initrd.img")[1]
    assert hashlib.sha256(body).digest() == hashlib.sha256(path.read_bytes()).digest()
