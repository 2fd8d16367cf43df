"""A network link between BOEL and a server that breaks where a test wants it to."""

from __future__ import annotations

import contextlib
import socket
import threading

SOURCE = "127.0.0.2"
"""A server that answers this address alone cannot be reached but over the link."""


class BreakingLink:
    """Forwards connections to `port` of loopback from a port of its own, as SOURCE.

    `cuts`: after how many bytes from the server each of the first connections is reset; all others
    hold.
    """

    def __init__(self, port: int) -> None:
        self.server = port
        self.cuts: list[int] = []
        self.broken = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Nobody answers on this link any more."""
        with contextlib.suppress(OSError):  # it was closed before
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = self._listener.accept()
                far = socket.create_connection(
                    ("127.0.0.1", self.server), source_address=(SOURCE, 0)
                )
                cut = self.cuts.pop(0) if self.cuts else None
                for source, drain, limit in ((near, far, None), (far, near, cut)):
                    threading.Thread(
                        target=self._forward, args=(source, drain, limit), daemon=True
                    ).start()

    def _forward(self, source: socket.socket, drain: socket.socket, limit: int | None) -> None:
        left = limit
        with contextlib.suppress(OSError):
            while left is None or left > 0:
                data = source.recv(min(65536, left or 65536))
                if not data:
                    break
                drain.sendall(data)
                left = left - len(data) if left is not None else None
            if left == 0:
                self.broken += 1
            for end in (source, drain):
                end.shutdown(socket.SHUT_RDWR if left == 0 else socket.SHUT_WR)
