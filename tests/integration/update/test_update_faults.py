"""Updates that are killed, or whose server fails: the machine runs, and the next one finishes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from itertools import cycle
from pathlib import Path

import pytest

from si.version.signature import sign
from tests.integration import version_kit
from tests.integration.client_kit import Program
from tests.integration.installed_kit import (
    is_clean,
    snapshot,
    update,
)
from tests.integration.server_kit import Server

KILLED_AT = Path(__file__).with_name("killed_at.py")
POINTS = 16


def run_until(number: int, program: Program, client: Path, version: str) -> int:
    """An update that is killed right before change `number`; how many there were when it is not."""
    count = client.parent / "count"
    words = ["updateclient", "--root", str(client), "--no-bootloader", "--yes", "--image", version]
    done = subprocess.run(
        [sys.executable, "-IB", KILLED_AT, str(number), count, program.file, *words],
        capture_output=True,
        timeout=120,
    )
    if number:
        assert done.returncode == -signal.SIGKILL, done.stderr
        return number
    assert done.returncode == 0, done.stderr
    return int(count.read_text())


def test_killed_anywhere_the_next_update_finishes(program: Program, client: Path) -> None:
    """From one version to the other and back, each time killed somewhat later."""
    changes = min(run_until(0, program, client, "web@2"), run_until(0, program, client, "web@1"))
    assert changes > POINTS * 4, "there is nothing to break off"
    points = sorted({1 + number * (changes - 1) // (POINTS - 1) for number in range(POINTS)})
    for number, version in zip(points, cycle(("web@2", "web@1"))):
        run_until(number, program, client, version)
        is_whole(client)
        done = update(program, client, "--yes", "--image", version)
        assert done.code == 0, f"after {number}: {done.stderr}"
        audit = program("audit", "--root", client, "--image", version)
        assert (audit.code, audit.stdout) == (0, ""), f"after {number}: {audit.stdout}"
        assert left_over(client) == []
    is_clean(program, client, "--image", version)


def is_whole(client: Path) -> None:
    """What both versions have is there at any moment, and whole."""
    for name in ("etc/passwd", "usr/large1", "usr/d0/f012"):
        assert (client / name).stat().st_size > 20
    one = (client / "usr/d0/f000").read_bytes()
    assert one == b"other contents" or len(one) > 20, "a file with half of its contents"


def left_over(client: Path) -> list[Path]:
    return list(client.rglob(".si-update.*"))


def test_a_server_that_ends_in_the_middle(program: Program, server: Server, client: Path) -> None:
    """A pack that is cut off behind the first frames: the server gives no more than it has."""
    pack = version_kit.version(server.settings, 2).path / "image.tar.zst"
    whole = pack.read_bytes()
    before = snapshot(client)
    pack.chmod(0o644)
    try:
        for spoiled, code in ((whole[: len(whole) // 2], 33), (bytes(len(whole)), 61)):
            pack.write_bytes(spoiled)
            refused = update(program, client, "--yes")
            assert refused.code == code, refused.stderr
            assert snapshot(client) == before
        pack.unlink()
        gone = update(program, client, "--yes")
        assert (gone.code, "is gone" in gone.stderr) == (60, True), gone.stderr
        assert snapshot(client) == before
    finally:
        pack.write_bytes(whole)
    assert update(program, client, "--yes").code == 0


def test_a_machine_without_zstd(program: Program, server: Server, client: Path) -> None:
    """It is named, and nothing was changed."""
    before = snapshot(client)
    words = ["updateclient", "--root", str(client), "--no-bootloader", "--yes"]
    cover = 'mount --bind /dev/null /usr/bin/zstd; exec "$@"'
    covered = ["unshare", "--mount", "sh", "-c", cover, "-"]
    done = subprocess.run(
        [*covered, sys.executable, "-IB", program.file, *words], capture_output=True, timeout=60
    )
    assert done.returncode == 19, done.stderr
    assert b"zstd is not installed" in done.stderr
    assert snapshot(client) == before


@pytest.mark.parametrize(
    ("record", "change", "code", "said"),
    [
        (rb"(f .*) [0-9a-f]{64} (.*/usr/d0/f000 )", rb"\1 " + b"0" * 64 + rb" \2", 61, "not what"),
        (rb"(f .*/usr/large0 )\d+:\d+", rb"\g<1>0:600", 61, "not what"),
        (rb"(f .*/usr/d0/f000 )\d+:\d+", rb"\g<1>1:99999999", 63, "outside of the pack"),
        (rb"(f \d+ \d+ \d+ \d+) \d+ (.*/usr/large0 )", rb"\1 5000000000000 \2", 27, "needs 5.0 TB"),
        (rb"(f .*/usr/d0/f)000 ", rb"\1%2F000 ", 63, "not how a name is written"),
        (rb"(f .*) /usr/d0/f000 ", rb"\1 /usr/d0/../../x ", 63, ""),
    ],
)
def test_a_signed_manifest_that_lies(
    program: Program,
    server: Server,
    client: Path,
    record: bytes,
    change: bytes,
    code: int,
    said: str,
) -> None:
    """The site's own word is doubted as well: nothing is changed by a manifest that is wrong."""
    version = version_kit.version(server.settings, 2).path
    true, signature = ((version / name).read_bytes() for name in ("manifest", "manifest.sig"))
    lie, count = re.subn(rb"(?m)^" + record, change, true)
    assert count == 1, "no such line"
    before = snapshot(client)
    try:
        (version / "manifest").write_bytes(lie)
        (version / "manifest.sig").write_bytes(sign(server.settings, lie))
        refused = update(program, client, "--yes")
        assert (refused.code, said in refused.stderr) == (code, True), refused.stderr
        assert snapshot(client) == before
    finally:
        (version / "manifest").write_bytes(true)
        (version / "manifest.sig").write_bytes(signature)
