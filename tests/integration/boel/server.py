"""Answers BOEL as si-server would, and remembers what it was told."""

from __future__ import annotations

import dataclasses
import http.server
import io
import tarfile
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from si.config import Settings
from si.version.signature import INSTALL, sign

TOKEN = "t0ken-of_this.arming"


def make_bundle(
    site: Settings, master: str, *, client: str = "web1", files: Mapping[str, str | bytes] = {}
) -> bytes:
    """A bundle as si-server makes it, signed by the site."""
    header = f"SI_CLIENT={client}\nSI_TOKEN={TOKEN}\nSI_IMAGE=web\nSI_VERSION=\n"
    header += "SI_CAPTURED=2026-11-21T12:00:00Z\n"
    contents: dict[str, str | bytes] = {"header.sh": header, "master.sh": master, **files}
    install = _make_tar(
        {n: text.encode() if isinstance(text, str) else text for n, text in contents.items()}
    )
    signature = sign(site, install, INSTALL)
    return _make_tar({"install.tar": install, "install.tar.sig": signature})


def _make_tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@dataclasses.dataclass
class Server:
    """Answers BOEL as si-server would, and remembers what it was told."""

    bundle: bytes
    armed: bool = True
    lost_events: int = 0
    forgets_log: bool = False
    events: list[tuple[str, float, str]] = dataclasses.field(default_factory=list)
    log: bytearray = dataclasses.field(default_factory=bytearray)
    asked: list[str] = dataclasses.field(default_factory=list)
    port: int = 0

    @property
    def phases(self) -> list[str]:
        return [phase for phase, _uptime, _detail in self.events]

    def answer(self, method: str, address: str, body: bytes) -> tuple[int, bytes]:
        self.asked.append(f"{method} {address}")
        parts = urllib.parse.urlsplit(address)
        query = dict(urllib.parse.parse_qsl(parts.query))
        if not self.armed or not parts.path.startswith(f"/install/web1/{TOKEN}/"):
            return 403, b"not armed\n"
        match method, parts.path.rpartition("/")[2]:
            case "GET", "bundle.tar":
                return 200, self.bundle
            case "POST", "events":
                if query["phase"] == "written" and self.lost_events:
                    self.lost_events -= 1
                    return 500, b"out of order\n"
                event = (query["phase"], float(query["uptime"]), body.decode("utf-8", "replace"))
                self.events.append(event)
                return 204, b""
            case "POST", "log":
                if self.forgets_log:
                    self.log.clear()
                offset = int(query["offset"])
                if offset > len(self.log):
                    return 409, f"{len(self.log)}\n".encode()
                self.log[offset : offset + len(body)] = body
                return 204, b""
        return 404, b"no such thing\n"


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Let `server` answer on a port of loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            status, text = server.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server.port = listener.server_port
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield server
        listener.shutdown()
