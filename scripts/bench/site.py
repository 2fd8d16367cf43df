"""A server with versions of one image, and a client of it, as rows about clients need them."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.bench.capture import wait_for
from si.boot.clientapp import build_client_app
from si.config import Settings, load_settings
from si.system.run import find_tool, run, start
from si.version.signature import public_key_path

_CLUSTER = '<cluster><client name="bench" image="bench"/></cluster>\n'
_COMPILE = """\
import sys
from pathlib import Path
program = Path(sys.argv[1])
sys.path.insert(0, str(program))
from si.client.archive import with_bytecode
program.write_bytes(with_bytecode(program.read_bytes()))
"""


def make_site(root: Path) -> Settings:
    """An empty store that a server can run on."""
    etc = root / "etc/systemimager"
    etc.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (etc / "si.toml").write_text(
        f"[server]\nlisten = '127.0.0.1'\naddress = '127.0.0.1'\nnetworks = ['127.0.0.0/8']\n"
        f"http_port = {port}\n"
    )
    (etc / "cluster.xml").write_text(_CLUSTER)
    settings = load_settings(root=root, config=None)
    settings.images.mkdir(parents=True)
    return settings


def publish(settings: Settings) -> None:
    """The image's next version."""
    run([Path(sys.executable).with_name("si-publish"), "--root", settings.root, "bench"])


@contextmanager
def running_server(settings: Settings) -> Iterator[int]:
    """The server, with HTTP alone; its process id."""
    command = Path(sys.executable).with_name("si-server")
    process = start([command, "--root", settings.root, "--only", "http"])
    try:
        wait_for(settings.server.http_port)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def client_command(settings: Settings, folder: Path, name: str, client: Path) -> list[str]:
    """The command line `name`, as a client would call it: by the machine's own Python, of the
    program as si-prepareclient leaves it there. Leaves what it needs in the client's tree."""
    program = folder / "si-client.pyz"
    python = find_tool("python3")
    program.write_bytes(build_client_app())
    run([python, "-IB", "-c", _COMPILE, program])
    key = client / "etc/systemimager/site-key.pub"
    before = {path: path.stat() for path in (key.parent,) if path.is_dir()}
    key.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(public_key_path(settings), key)
    for path, status in before.items():
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return [python, "-IB", str(program), name, "--root", str(client), "--client",
            "bench", "--server", f"127.0.0.1:{settings.server.http_port}"]  # fmt: skip
