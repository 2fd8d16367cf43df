"""A machine's serial console: read by a thread into one growing text, searched from a position.

Positions only grow, and are numbers a caller can keep: two things that may come in either order
are both looked for from the same one.
"""

from __future__ import annotations

import codecs
import re
import socket
import threading
import time
from pathlib import Path

from scripts.lab.errors import LabError, LabTimeout


class Console:
    """The text a machine has written so far, and a way to answer it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.position = 0
        """Where the next `expect` begins; the end of the last match."""
        self._text = ""
        self._closed = False
        self._changed = threading.Condition()
        self._socket: socket.socket | None = None

    def connect(self, path: Path, *, timeout_s: float = 10) -> None:
        """Connect to QEMU's socket, which QEMU makes a moment after it starts."""
        self._socket = connect_when_there(path, timeout_s=timeout_s)
        threading.Thread(target=self._read, name=f"console {self.name}", daemon=True).start()

    def expect(self, pattern: str, timeout_s: float, *, since: int | None = None) -> re.Match[str]:
        """Wait until `pattern` (a regular expression) stands in the text after `since`.

        `since` is by default the end of the last match. Raises LabTimeout, or LabError at once
        when the machine has gone, both with the last lines of the console.
        """
        deadline = time.monotonic() + timeout_s
        begin = self.position if since is None else since
        compiled = re.compile(pattern)
        with self._changed:
            while (match := compiled.search(self._text, begin)) is None:
                left = deadline - time.monotonic()
                if self._closed:
                    raise self._error(f"has gone, and never wrote {pattern!r}")
                if left <= 0:
                    raise self._error(f"did not write {pattern!r} in {timeout_s:g} s", late=True)
                self._changed.wait(left)
            self.position = max(self.position, match.end())
            return match

    def send(self, text: str) -> None:
        """Type `text`; end a line with \\n."""
        if self._socket is None:
            raise LabError(f"{self.name} is not running")
        self._socket.sendall(text.encode())

    def text(self, since: int = 0) -> str:
        """All that was written after `since`."""
        with self._changed:
            return self._text[since:]

    def end(self) -> int:
        """The present end of the text, as a position."""
        with self._changed:
            return len(self._text)

    def tail(self, lines: int = 30) -> str:
        """The last lines, without control sequences."""
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1bc|\r", "", self.text()[-20_000:])
        return "\n".join([line for line in plain.split("\n") if line.strip()][-lines:])

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()

    def _error(self, what: str, *, late: bool = False) -> LabError:
        kind = LabTimeout if late else LabError
        return kind(f"{self.name} {what}; its console ends with:\n{self.tail()}")

    def _read(self) -> None:
        assert self._socket is not None
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                data = b""
            with self._changed:
                self._text += decoder.decode(data, not data)
                self._closed = not data
                self._changed.notify_all()
            if not data:
                return


def connect_when_there(path: Path, *, timeout_s: float) -> socket.socket:
    """Connect to a Unix socket that another process is about to make. Raises LabTimeout."""
    deadline = time.monotonic() + timeout_s
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
            return connection
        except OSError as error:
            connection.close()
            if time.monotonic() > deadline:
                raise LabTimeout(f"nobody listens on {path}: {error.strerror}") from error
            time.sleep(0.02)
