"""Fetch a file of the server into a file here: bounded, and never slower than it must be.

Stage 7's other end, effects; runs on clients (Python 3.9). A server that answers with less than it
announced, with more than was asked for, or so slowly that nobody would wait for it, is an error.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from typing import IO

from si.client.server import OPENER, TIMEOUT_S, read_refusal, unreachable
from si.errors import NoSpace, ServerUnreachable, VersionNotFound

SLOWEST = 2000
"""Bytes a second; a transfer may be slower for `GRACE_S` only."""
GRACE_S = 60.0
_CHUNK = 1 << 18
_TELLING = 1 << 18
"""Bytes from which on a transfer says how fast the link is, and not only how far away."""


class Link:
    """How fast bytes came, from the request on, as far as that was seen."""

    def __init__(self) -> None:
        self._count = 0
        self._took_s = 0.0

    def note(self, count: int, took_s: float) -> None:
        """`count` bytes came within `took_s`."""
        self._count += count
        self._took_s += took_s

    @property
    def rate(self) -> float | None:
        """Bytes a second, None where too few came to say."""
        return self._count / max(self._took_s, 1e-6) if self._count >= _TELLING else None


def download(url: str, out: IO[bytes], *, most: int, link: Link | None = None) -> int:
    """Append what `url` answers to `out`, at most `most` bytes; gives how many there were, and
    notes in `link` how fast they came.

    Raises ServerUnreachable, VersionNotFound (404), NoSpace.
    """
    request = urllib.request.Request(url)  # noqa: S310 - is_base_url lets only http pass
    begun = time.monotonic()
    try:
        with OPENER.open(request, timeout=TIMEOUT_S) as answer:
            count = _copy(url, answer, out, most)
    except urllib.error.HTTPError as error:
        said = read_refusal(error)
        if error.code == 404:
            raise VersionNotFound(
                f"the server says: {said}", hint="si-lsimage --versions, there, lists what it has"
            ) from error
        raise ServerUnreachable(f"{url}: {error.code}: {said}") from error
    except OSError as error:
        raise unreachable(url, error) from error
    except http.client.HTTPException as error:
        raise ServerUnreachable(f"{url}: no HTTP answer: {type(error).__name__}") from error
    if link is not None:
        link.note(count, time.monotonic() - begun)
    return count


def _copy(url: str, answer: http.client.HTTPResponse, out: IO[bytes], most: int) -> int:
    announced = answer.length
    if announced is not None and announced > most:
        raise ServerUnreachable(f"{url}: {announced} bytes, where at most {most} can be right")
    begun = time.monotonic()
    count = 0
    while True:
        data = answer.read1(_CHUNK)
        if not data:
            break
        count += len(data)
        if count > most:
            raise ServerUnreachable(f"{url}: more than the {most} bytes that can be right")
        _write(out, data)
        took = time.monotonic() - begun
        if took > GRACE_S and count < took * SLOWEST:
            raise ServerUnreachable(f"{url}: only {count} bytes came in {took:.0f} s")
    if announced is not None and count != announced:
        raise ServerUnreachable(
            f"{url}: {count} bytes came of {announced}", hint="run the same command again"
        )
    return count


def _write(out: IO[bytes], data: bytes) -> None:
    try:
        out.write(data)
    except OSError as error:
        raise NoSpace(f"cannot write down what the server sends: {error.strerror}") from error
