"""`si-updateclient` where one large file changed in part: what comes over the wire."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from scripts.bench.row import Row
from scripts.bench.site import client_command, make_site, publish, running_server
from scripts.bench.update import counted
from si.image.metadata import Record as ImageRecord
from si.image.metadata import write_record
from si.system.run import run

SIZE = 100_000_000
CHANGED = 1_000_000
AT = 37_123_456
INSERTED = 1000
SEED = 4711
BOUND_MB = 5.0


def delta_rows(folder: Path) -> list[Row]:
    """Row update-delta-bytes: the larger of two updates from the same version, of a file that
    nothing compresses: a stretch of it changed in place, and bytes inserted at its beginning."""
    folder = folder / "delta"
    shutil.rmtree(folder, ignore_errors=True)
    settings = make_site(folder / "root")
    image = settings.images / "bench"
    image.mkdir()
    write_record(image, ImageRecord("bench", "", "bench", os.uname().machine, 1, 1))
    chance = random.Random(SEED)
    data = chance.randbytes(SIZE)
    changed = data[:AT] + chance.randbytes(CHANGED) + data[AT + CHANGED :]
    for number, text in enumerate((data, changed, chance.randbytes(INSERTED) + data), 1):
        (image / "large").write_bytes(text)
        publish(settings)
        if number == 1:
            run(["cp", "-a", image, folder / "client"])
    command = client_command(settings, folder, "updateclient", folder / "client")
    command += ["--yes", "--no-bootloader", "--image"]
    samples = []
    with running_server(settings):
        for number in (2, 3):
            run([*command, "bench@1"])
            with counted(settings.server.http_port) as (port, count):
                words = [word.replace(str(settings.server.http_port), str(port))
                         for word in command]  # fmt: skip
                run([*words, f"bench@{number}"])
            samples.append(round(count[0] / 1e6, 3))
    return [
        Row("update-delta-bytes", max(samples), "MB", BOUND_MB, "none: on the wire", tuple(samples))
    ]
