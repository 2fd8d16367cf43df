"""`si-audit` against `rsync -n` and `sha256sum` of the same tree; memory at a million files."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from scripts.bench.capture import ensure_tree, offered_tree
from scripts.bench.row import Row, ratio_row, seconds_of
from scripts.bench.site import client_command, make_site, publish, running_server
from si.config import Settings
from si.image.metadata import Record as ImageRecord
from si.image.metadata import write_record
from si.system.run import run
from si.version.manifest import FileSum, Frame, Head, render_manifest
from si.version.record import Record, dump_line, sort_key
from si.version.signature import ensure_site_key, sign
from si.version.store import MANIFEST, SIGNATURE

RUNS = 5
AUDIT_BOUND = 0.5
FULL_BOUND = 1.2
MEMORY_BOUND_MB = 400
MILLION = 1_000_000
CHANGED = 100
"""One file in so many has another mode than its version when memory of an update is measured."""
_FOLDERS = 5_000
_TIME_NS = 10**18 + 5
_PEAK = """\
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def audit_rows(folder: Path) -> list[Row]:
    """Rows audit and audit-full, medians of interleaved pairs, memory-1m and memory-1m-update."""
    root, client = folder / "root", folder / "client"
    settings = make_site(root)
    image = ensure_tree(settings.images / "bench")
    write_record(image, ImageRecord("bench", "", "bench", os.uname().machine, 1, 1))
    publish(settings)
    run(["cp", "-a", image, client])
    with running_server(settings):
        rows = _speed_rows(settings, folder, client)
        shutil.rmtree(client)
        return [*rows, *_memory_rows(settings, folder)]


def _speed_rows(settings: Settings, folder: Path, client: Path) -> list[Row]:
    command = client_command(settings, folder, "audit", client)
    threads = len(os.sched_getaffinity(0))
    sums = f"find '{client}' -type f -print0 | xargs -0 -n 256 -P {threads} sha256sum >/dev/null"
    quick: list[float] = []
    full: list[float] = []
    rsync: list[float] = []
    sha256sum: list[float] = []
    with offered_tree(settings.images / "bench", folder) as daemon:
        peer = ["rsync", "-naHAXS", "--numeric-ids", "--delete",
                f"rsync://127.0.0.1:{daemon.port}/root/", f"{client}/"]  # fmt: skip
        for _ in range(RUNS):
            rsync.append(seconds_of(lambda: run(peer)))
            quick.append(seconds_of(lambda: run(command)))
            sha256sum.append(seconds_of(lambda: run(["sh", "-c", sums])))
            full.append(seconds_of(lambda: run([*command, "--full"])))
    return [
        ratio_row("audit", quick, rsync, AUDIT_BOUND, "rsync -naHAXS --delete"),
        ratio_row("audit-full", full, sha256sum, FULL_BOUND, f"xargs -P {threads} sha256sum"),
    ]


def _memory_rows(settings: Settings, folder: Path) -> list[Row]:
    """Peak memory of an audit of a million files, and of an update that changes some of them."""
    client = folder / "million"
    _make_million(settings, client)
    wanted = ("--image", "bench@2")
    audit = [*client_command(settings, folder, "audit", client), *wanted]
    update = [*client_command(settings, folder, "updateclient", client), *wanted]
    audited = _peak_row("memory-1m", audit, f"{MILLION} files")
    for number in range(0, MILLION, CHANGED):
        (client / _path_of(number)).chmod(0o600)
    told = f"{MILLION} files, {MILLION // CHANGED} of another mode"
    updated = _peak_row("memory-1m-update", [*update, "--yes", "--no-bootloader"], told)
    assert (client / _path_of(0)).stat().st_mode & 0o777 == 0o644
    return [audited, updated]


def _peak_row(name: str, command: list[str], peer: str) -> Row:
    # Asked of a process between: a program takes over the peak of the one that starts it.
    told = run([sys.executable, "-c", _PEAK, *command]).text
    peak = round(int(told.split()[-1]) * 1024 / 1e6, 1)
    return Row(name, peak, "MB", MEMORY_BOUND_MB, peer, (peak,))


def _path_of(number: int) -> str:
    return f"d{number % _FOLDERS}/file-with-a-name-of-usual-length-{number // _FOLDERS}"


def _make_million(settings: Settings, client: Path) -> None:
    """A tree of a million empty files, and its version bench@2 without a pack: an audit reads
    none."""
    records = [Record(b"/", "d", 0o755, 0, 0, _TIME_NS)]
    empty = hashlib.sha256().hexdigest()
    folders = ["etc", "etc/systemimager", *(f"d{number}" for number in range(_FOLDERS))]
    for name in folders:
        (client / name).mkdir(parents=True)
        records.append(Record(b"/" + name.encode(), "d", 0o755, 0, 0, _TIME_NS))
        for number in range(int(name[1:]), MILLION, _FOLDERS) if name.startswith("d") else ():
            path = _path_of(number)
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
