"""Which fault is told when fetching stops: the first one, not what stopping breaks."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from si.client.pack import Source, open_pack
from si.errors import ServerUnreachable, VersionSpoiled
from si.version.manifest import Frame
from tests.integration.http_kit import QuietHandler, served_by

DATA = bytes(1000)


@contextmanager
def half_a_pack(frame: bytes, *, breaks_off: bool) -> Iterator[tuple[str, threading.Event]]:
    """A server that sends one frame of two, then breaks off or waits until the end; its URL, and
    what is set when the frame was sent."""
    sent, ended = threading.Event(), threading.Event()

    class Half(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(206)
            self.send_header("Content-Length", str(len(frame) * 2))
            self.end_headers()
            self.wfile.write(frame)
            self.wfile.flush()
            sent.set()
            if not breaks_off:
                ended.wait(30)
            self.close_connection = True

    with served_by(Half) as port:
        try:
            yield f"http://127.0.0.1:{port}/pack", sent
        finally:
            ended.set()


def two_frames(url: str, packed: bytes) -> Source:
    frame = Frame(len(DATA), len(packed), hashlib.sha256(packed).hexdigest())
    return Source("the pack", url, (frame, frame), (0, 1))


@pytest.fixture(scope="module")
def packed() -> bytes:
    return subprocess.run(["zstd", "-qc"], input=DATA, capture_output=True, check=True).stdout


def test_a_spoiled_file_is_told_while_more_is_awaited(packed: bytes) -> None:
    with (
        half_a_pack(packed, breaks_off=False) as (url, sent),
        pytest.raises(VersionSpoiled, match="not the manifest's"),
        open_pack(two_frames(url, packed)),
    ):
        assert sent.wait(30)
        raise VersionSpoiled("not the manifest's")


def test_a_server_that_breaks_off_is_told(packed: bytes) -> None:
    with (
        half_a_pack(packed, breaks_off=True) as (url, _),
        pytest.raises(ServerUnreachable, match="broke off"),
        open_pack(two_frames(url, packed)) as pack,
    ):
        pack.seek(1, 1)
