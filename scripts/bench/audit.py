"""`si-audit` against `rsync -n` and `sha256sum` of the same tree; its memory at a million files."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.bench.capture import ensure_tree, offered_tree, wait_for
from scripts.bench.row import Row, ratio_row, seconds_of
from si.boot.clientapp import write_client_app
from si.config import Settings, load_settings
from si.image.metadata import Record as ImageRecord
from si.image.metadata import write_record
from si.system.run import run, start
from si.version.manifest import FileSum, Frame, Head, render_manifest
from si.version.record import Record, dump_line, sort_key
from si.version.signature import ensure_site_key, public_key_path, sign
from si.version.store import MANIFEST, SIGNATURE

RUNS = 5
AUDIT_BOUND = 0.5
FULL_BOUND = 1.2
MEMORY_BOUND_MB = 400
MILLION = 1_000_000
_FOLDERS = 5_000
_TIME_NS = 10**18 + 5
_PEAK = """\
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
_CLUSTER = '<cluster><client name="bench" image="bench"/></cluster>\n'


def audit_rows(folder: Path) -> list[Row]:
    """Rows audit and audit-full, medians of interleaved pairs, and memory-1m."""
    root, client = folder / "root", folder / "client"
    settings = _make_site(root)
    image = ensure_tree(settings.images / "bench")
    write_record(image, ImageRecord("bench", "", "bench", os.uname().machine, 1, 1))
    run([Path(sys.executable).with_name("si-publish"), "--root", root, "bench"])
    run(["cp", "-a", image, client])
    with _server(settings):
        rows = _speed_rows(settings, folder, client)
        shutil.rmtree(client)
        return [*rows, _memory_row(settings, folder)]


def _speed_rows(settings: Settings, folder: Path, client: Path) -> list[Row]:
    command = _audit(settings, folder, client)
    threads = len(os.sched_getaffinity(0))
    sums = f"find '{client}' -type f -print0 | xargs -0 -n 256 -P {threads} sha256sum >/dev/null"
    quick: list[float] = []
    full: list[float] = []
    rsync: list[float] = []
    sha256sum: list[float] = []
    with offered_tree(settings.images / "bench", folder) as port:
        peer = ["rsync", "-naHAXS", "--numeric-ids", "--delete",
                f"rsync://127.0.0.1:{port}/root/", f"{client}/"]  # fmt: skip
        for _ in range(RUNS):
            rsync.append(seconds_of(lambda: run(peer)))
            quick.append(seconds_of(lambda: run(command)))
            sha256sum.append(seconds_of(lambda: run(["sh", "-c", sums])))
            full.append(seconds_of(lambda: run([*command, "--full"])))
    return [
        ratio_row("audit", quick, rsync, AUDIT_BOUND, "rsync -naHAXS --delete"),
        ratio_row("audit-full", full, sha256sum, FULL_BOUND, f"xargs -P {threads} sha256sum"),
    ]


def _memory_row(settings: Settings, folder: Path) -> Row:
    """Peak memory of an audit of a million files."""
    client = folder / "million"
    _make_million(settings, client)
    command = [*_audit(settings, folder, client), "--image", "bench@2"]
    # Asked of a process between: a program takes over the peak of the one that starts it.
    told = run([sys.executable, "-c", _PEAK, *command]).text
    peak = round(int(told.split()[-1]) * 1024 / 1e6, 1)
    return Row("memory-1m", peak, "MB", MEMORY_BOUND_MB, f"{MILLION} files", (peak,))


def _make_site(root: Path) -> Settings:
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


@contextmanager
def _server(settings: Settings) -> Iterator[None]:
    command = Path(sys.executable).with_name("si-server")
    process = start([command, "--root", settings.root, "--only", "http"])
    try:
        wait_for(settings.server.http_port)
        yield
    finally:
        process.terminate()
        process.wait()


def _audit(settings: Settings, folder: Path, client: Path) -> list[str]:
    """The command line, as a client would call it; leaves what it needs in the client's tree."""
    program = folder / "si-client.pyz"
    write_client_app(program)
    key = client / "etc/systemimager/site-key.pub"
    before = {path: path.stat() for path in (key.parent,) if path.is_dir()}
    key.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(public_key_path(settings), key)
    for path, status in before.items():
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return [sys.executable, "-IB", str(program), "audit", "--root", str(client), "--client",
            "bench", "--server", f"127.0.0.1:{settings.server.http_port}"]  # fmt: skip


def _make_million(settings: Settings, client: Path) -> None:
    """A tree of a million empty files, and its version bench@2 without a pack: an audit reads
    none."""
    records = [Record(b"/", "d", 0o755, 0, 0, _TIME_NS)]
    empty = hashlib.sha256().hexdigest()
    folders = ["etc", "etc/systemimager", *(f"d{number}" for number in range(_FOLDERS))]
    for name in folders:
        (client / name).mkdir(parents=True)
        records.append(Record(b"/" + name.encode(), "d", 0o755, 0, 0, _TIME_NS))
        for number in range(MILLION // _FOLDERS if name.startswith("d") else 0):
            path = f"{name}/file-with-a-name-of-usual-length-{number}"
            descriptor = os.open(client / path, os.O_CREAT | os.O_WRONLY, 0o644)
            os.utime(descriptor, ns=(_TIME_NS, _TIME_NS))
            os.close(descriptor)
            records.append(Record(b"/" + path.encode(), "f", 0o644, 0, 0, _TIME_NS, 0, empty))
    for name in (*folders, "."):
        (client / name).chmod(0o755)
        os.utime(client / name, ns=(_TIME_NS, _TIME_NS))
    records.sort(key=lambda record: sort_key(record.path))
    head = Head("bench", 2, "2026-11-21T12:00:00Z", "", FileSum(0, empty), None, 1, 1,
                len(records), 0)  # fmt: skip
    data = render_manifest(head, [Frame(1, 1, empty)], map(dump_line, records))
    ensure_site_key(settings)
    version = settings.versions / "bench/2"
    version.mkdir()
    (version / MANIFEST).write_bytes(data)
    (version / SIGNATURE).write_bytes(sign(settings, data))
