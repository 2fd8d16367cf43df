"""Stretches of one file of the server: HTTP ranges over one connection.

Stage 7's other end, effects; runs on clients (Python 3.9). A server that gives other bytes than
were asked for, fewer, or too slowly, is an error.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
import urllib.parse
from collections.abc import Iterator

from si.client.download import GRACE_S, SLOWEST
from si.client.server import TIMEOUT_S, unreachable
from si.errors import ServerUnreachable, VersionNotFound

_BLOCK = 1 << 18


class Body:
    """The bytes of one stretch, as they come."""

    def __init__(self, owner: Ranges, answer: http.client.HTTPResponse) -> None:
        self._owner = owner
        self._answer = answer

    def read(self, count: int) -> bytes:
        """The next `count` bytes. Raises ServerUnreachable."""
        parts = []
        while count:
            data = self._owner.receive(self._answer, min(count, _BLOCK))
            parts.append(data)
            count -= len(data)
        return b"".join(parts)


class Ranges:
    """A file of the server, of which parts are wanted. fetched: bytes that came so far."""

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urllib.parse.urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
        self._socket: socket.socket | None = None
        self.fetched = 0
        self._waited = 0.0

    def close(self) -> None:
        """Close the connection; who waits for its bytes is told that they will not come."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    @contextlib.contextmanager
    def open(self, begin: int, end: int) -> Iterator[Body]:
        """The bytes from `begin` up to `end`. Raises ServerUnreachable, VersionNotFound."""
        with self._told():
            answer = self._ask(begin, end)
        if answer.status == 404:
            raise VersionNotFound(
                f"{self._url} is gone", hint="was the version removed? si-lsimage --versions shows"
            )
        if answer.status != 206 or answer.length != end - begin:
            said = f"{answer.status}, {answer.length} bytes"
            raise ServerUnreachable(
                f"{self._url}: asked for the bytes {begin} to {end - 1}, the server gave {said}",
                hint="what serves versions has to know HTTP ranges",
            )
        yield Body(self, answer)
        answer.close()  # read to its end, or the connection would not be asked again

    def receive(self, answer: http.client.HTTPResponse, most: int) -> bytes:
        """Some of the bytes that come. Raises ServerUnreachable."""
        asked = time.monotonic()
        with self._told():
            data = answer.read1(most)
        self._waited += time.monotonic() - asked
        if not data:
            raise ServerUnreachable(
                f"{self._url}: the server broke off", hint="run the same command again"
            )
        self.fetched += len(data)
        if self._waited > GRACE_S and self.fetched < self._waited * SLOWEST:
            raise ServerUnreachable(
                f"{self._url}: only {self.fetched} bytes came in {self._waited:.0f} s"
            )
        return data

    def _ask(self, begin: int, end: int) -> http.client.HTTPResponse:
        try:
            return self._exchange(begin, end)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # A server may close a connection between two requests.
            self._connection.close()
            return self._exchange(begin, end)

    def _exchange(self, begin: int, end: int) -> http.client.HTTPResponse:
        self._connection.request("GET", self._path, headers={"Range": f"bytes={begin}-{end - 1}"})
        self._socket = self._connection.sock
        return self._connection.getresponse()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unreachable(self._url, error) from error
        except http.client.HTTPException as error:
            raise ServerUnreachable(
                f"{self._url}: no HTTP answer: {type(error).__name__}"
            ) from error
