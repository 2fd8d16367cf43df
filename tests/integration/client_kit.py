"""What tests of the client commands share: the one-file program, and a small image server.

The server is a real rsync daemon on loopback and an HTTP server that answers update.json and takes
events; both are what a client meets in the field, with none of this product's server code.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlparse

from si.boot.clientapp import write_client_app
from tests.integration.http_kit import QuietHandler, served_by

DEADLINE_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(what: str, holds: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    end = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < end, f"not within {deadline_s:g} s: {what}"
        time.sleep(0.02)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def rsync(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["rsync", *words], capture_output=True, timeout=60)


@dataclass(frozen=True)
class Program:
    """The one-file program, run the way a client runs it."""

    file: Path

    def __call__(self, *words: str | Path, stdin: int = subprocess.DEVNULL) -> Ended:
        argv: list[str | Path] = [sys.executable, "-IB", self.file, *words]
        done = subprocess.run(
            [os.fspath(word) for word in argv], stdin=stdin, capture_output=True, timeout=120
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *words: str | Path) -> subprocess.Popen[bytes]:
        argv: list[str | Path] = [sys.executable, "-IB", self.file, *words]
        return subprocess.Popen(
            [os.fspath(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


def build_program(folder: Path) -> Program:
    file = folder / "si-client.pyz"
    write_client_app(file)
    return Program(file)


@dataclass
class Event:
    path: str
    query: dict[str, list[str]]
    body: bytes


@dataclass
class ImageServer:
    """images and overrides by name, and what update.json says."""

    folder: Path
    http_port: int
    rsync_port: int
    update: dict[str, object] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    """Status codes for the next events, before any is taken."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.http_port}"

    def tree(self, name: str) -> Path:
        return self.folder / name


@contextlib.contextmanager
def image_server(folder: Path, modules: Mapping[str, Path]) -> Iterator[ImageServer]:
    server = ImageServer(folder, http_port=0, rsync_port=free_port())
    server.update = {
        "format": 1,
        "client": "web1",
        "image": "web",
        "arch": os.uname().machine,
        "captured": "2026-11-21T12:00:00Z",
        "size_bytes": 1,
        "rsync": f"rsync://127.0.0.1:{server.rsync_port}",
        "overrides": [],
    }
    with served_by(_handler(server)) as server.http_port, _rsyncd(server, modules):
        yield server


@contextlib.contextmanager
def _rsyncd(server: ImageServer, modules: Mapping[str, Path]) -> Iterator[None]:
    config = server.folder / "rsyncd.conf"
    text = f"port = {server.rsync_port}\naddress = 127.0.0.1\nuse chroot = yes\n"
    text += "reverse lookup = no\nuid = 0\ngid = 0\nnumeric ids = yes\nread only = yes\nlist = no\n"
    text += f"munge symlinks = no\nlog file = {server.folder}/rsyncd.log\n"
    for name, path in modules.items():
        path.mkdir(parents=True, exist_ok=True)
        text += f"[{name}]\npath = {path}\n"
    config.write_text(text)
    daemon = subprocess.Popen(["rsync", "--daemon", "--no-detach", f"--config={config}"])
    try:
        wait_until("rsyncd listens", lambda: answers(server.rsync_port))
        yield
    finally:
        daemon.terminate()
        daemon.wait()


def _handler(server: ImageServer) -> type[BaseHTTPRequestHandler]:
    class Handler(QuietHandler):
        def do_GET(self) -> None:
            url = urlparse(self.path)
            if url.path != "/clients/web1/update.json":
                self._answer(404, b"no client of that name\n")
                return
            asked = parse_qs(url.query).get("image", [str(server.update.get("image"))])[0]
            if asked == "missing":
                self._answer(404, b"no image missing\n")
                return
            self._answer(200, json.dumps({**server.update, "image": asked}).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if server.refusals:
                self._answer(server.refusals.pop(0), b"not now\n")
                return
            url = urlparse(self.path)
            server.events.append(Event(url.path, parse_qs(url.query), body))
            self._answer(204, b"")

        def _answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
