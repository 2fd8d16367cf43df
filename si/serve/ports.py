"""Opening ports, and saying who has one that is taken.

Stage 7, one server process. A server either serves everything it was asked to or ends and says in
one line what is in the way.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from si.errors import ConfigInvalid, PortTaken, PrivilegeMissing, SIError
from si.system.run import run

_HOLDER = re.compile(r'\("([^"]*)",pid=([0-9]+)')


@contextmanager
def explained(service: str, kind: str, address: str, port: int) -> Iterator[None]:
    """Turn an OSError of a bind into PortTaken, PrivilegeMissing or ConfigInvalid.

    `service` is http, tftp or rsync; `kind` tcp or udp.
    """
    setting = f"server.{service}_port"
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"port {port}/{kind} for {service} is taken{_holder(kind, port)}",
                hint=f"stop that, or set {setting} in si.toml",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise PrivilegeMissing(
                f"port {port}/{kind} for {service} may not be opened",
                hint=f"run si-server as root, or set {setting} in si.toml above 1023",
            ) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigInvalid(
                f"no interface of this machine has the address {address}",
                hint="set server.listen in si.toml, or --listen, to one that it has",
            ) from error
        raise SIError(f"cannot listen on {address}:{port}: {error.strerror}") from error


def open_tcp(address: str, port: int) -> socket.socket:
    """A listening TCP socket (OSError)."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        opened.listen(512)
    except OSError:
        opened.close()
        raise
    return opened


def parse_holders(text: str) -> tuple[tuple[str, int], ...]:
    """Programs and process numbers in the output of `ss -p`, without doubles."""
    found = ((name, int(pid)) for name, pid in _HOLDER.findall(text))
    return tuple(dict.fromkeys(found))


def _holder(kind: str, port: int) -> str:
    flags = "-Hltnp" if kind == "tcp" else "-Hlunp"
    try:
        text = run(["ss", flags, f"sport = :{port}"], timeout_s=5).text
    except SIError:
        return ""
    names = [f"{name} (process {pid})" for name, pid in parse_holders(text)]
    return f" by {', '.join(names)}" if names else ""
