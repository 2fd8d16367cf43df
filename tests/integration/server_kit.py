"""What tests of si-server share: a small store, a running server, raw HTTP, the commands."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from si.config import Settings, load_settings
from si.errors import ServerNotRunning
from si.serve.status import read_status

DEADLINE_S = 30.0
CLUSTER = """\
<?xml version="1.0" encoding="UTF-8"?>
<cluster>
  <override>everyone</override>
  <group name="farm" image="web"><override>farm</override></group>
  <client name="web1" mac="52:54:00:00:00:01" ip="127.0.0.1" group="farm"/>
  <client name="web2" mac="52:54:00:00:00:02" group="farm"/>
  <client name="nomac" group="farm"/>
</cluster>
"""
MASTER = "#!/bin/sh\nset -eu\necho installing\n"


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_store(root: Path, *, networks: tuple[str, ...] = ("127.0.0.0/8",)) -> Settings:
    """An image, its layout and master script, a flavor, overrides, scripts, two clients."""
    etc = root / "etc/systemimager"
    etc.mkdir(parents=True)
    (root / "hosts").write_text("127.0.0.9 web2\n")
    (etc / "si.toml").write_text(
        f"[server]\nlisten = '127.0.0.1'\naddress = '127.0.0.1'\nnetworks = {list(networks)}\n"
        f"http_port = {free_port()}\ntftp_port = {free_port(socket.SOCK_DGRAM)}\n"
        f"rsync_port = {free_port()}\ntorrent_port = {free_port()}\n"
        f"[dns]\nservers = ['127.0.0.1']\nport = {free_port(socket.SOCK_DGRAM)}\n"
        f"hosts_file = '{root}/hosts'\n"
    )
    (etc / "cluster.xml").write_text(CLUSTER)
    settings = load_settings(root=root, config=None)
    (settings.images / "web/etc").mkdir(parents=True)
    (settings.images / "web/etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 golden\n")
    (settings.images / "web/etc/shadow").write_text("root:secret:1:\n")
    settings.layouts.mkdir()
    example = Path(__file__).parents[2] / "schemas/examples/virtio-boot.xml"
    (settings.layouts / "web.xml").write_bytes(example.read_bytes())
    settings.scripts.mkdir()
    (settings.scripts / "web.master").write_text(MASTER)
    for stage in ("pre-install", "post-install"):
        (settings.scripts / stage).mkdir()
        for name in ("20farm.b", "10all.a", "10all.a~", "99web1.c", "10other.x"):
            (settings.scripts / stage / name).write_text(f"#!/bin/sh\necho {stage} {name}\n")
    flavor = settings.flavors / "x86_64/virtio"
    flavor.mkdir(parents=True)
    (flavor / "kernel").write_bytes(b"kernel" * 1000)
    (flavor / "initrd.img").write_bytes(bytes(range(256)) * 4096)
    (flavor / "torrent.img").write_bytes(b"torrent" * 1000)
    for name in ("everyone", "web1"):
        (settings.overrides / name / "etc").mkdir(parents=True)
    return settings


def run_si(settings: Settings, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run a command of the product, e.g. `run_si(settings, "monitor", "--json")`."""
    argv = [str(Path(sys.executable).with_name(f"si-{words[0]}")), *words[1:]]
    environment = {**os.environ, "SI_ROOT": str(settings.root)}
    done = subprocess.run(
        argv, env=environment, input=stdin, capture_output=True, timeout=60, check=False
    )
    return subprocess.CompletedProcess(
        argv, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def arm(settings: Settings, *words: str) -> str:
    """Arm web1 with si-mkclientnetboot; gives its token."""
    done = run_si(settings, "mkclientnetboot", "--netboot", "--clients", "web1", "--image", "web",
                  "--flavor", "virtio", "--arch", "x86_64", "--yes", *words)  # fmt: skip
    assert done.returncode == 0, done.stderr
    token: str = json.loads((settings.clients / "web1/arming.json").read_text())["token"]
    return token


@dataclass
class Server:
    """A running si-server."""

    settings: Settings
    process: subprocess.Popen[bytes]
    log: Path

    def ask(
        self, target: str, body: bytes | None = None, *, source: str = "127.0.0.1",
        headers: tuple[str, ...] = (), method: str | None = None, chunked: bool = False,
    ) -> tuple[int, bytes]:  # fmt: skip
        """One HTTP request whose target goes out as it stands; gives status and body.

        `chunked`: the body is in chunks already.
        """
        method = method or ("GET" if body is None else "POST")
        length = () if body is None else (f"Content-Length: {len(body)}",)
        length = ("Transfer-Encoding: chunked",) if chunked else length
        lines = (f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", *length, *headers)
        with socket.create_connection(
            ("127.0.0.1", self.settings.server.http_port), 20, (source, 0)
        ) as link:
            with contextlib.suppress(ConnectionError):
                link.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))
            answer = b""
            with contextlib.suppress(ConnectionError):
                while part := link.recv(65536):
                    answer += part
        head, _, rest = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), rest

    def words(self) -> str:
        """What it said on standard output and error."""
        return self.log.read_text()


@contextlib.contextmanager
def running_server(settings: Settings, *options: str) -> Iterator[Server]:
    """si-server, ready to answer; ended with SIGTERM when it still runs."""
    log = settings.root / "server.log"
    argv = [str(Path(sys.executable).with_name("si-server")), *options]
    environment = {**os.environ, "SI_ROOT": str(settings.root)}
    with log.open("wb") as out:
        process = subprocess.Popen(argv, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until(
            lambda: process.poll() is not None or _is_ready(settings),
            "si-server is ready",
        )
        assert process.poll() is None, log.read_text()
        yield Server(settings, process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)


def _is_ready(settings: Settings) -> bool:
    try:
        read_status(settings)
    except ServerNotRunning:
        return False
    return True


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Poll until `holds`; fails after DEADLINE_S."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.05)
