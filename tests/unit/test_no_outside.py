"""The ban on processes and sockets bites."""

from __future__ import annotations

import socket

import pytest

from si.system.run import run


def test_a_process_is_refused() -> None:
    with pytest.raises(AssertionError, match="must not start a process"):
        run(["true"])


def test_a_socket_is_refused() -> None:
    with socket.socket() as sock, pytest.raises(AssertionError, match="open a socket"):
        sock.bind(("127.0.0.1", 0))
