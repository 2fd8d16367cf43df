"""Where a tree comes from: a golden client over rsync or ssh, or a directory of this machine.

Stage 2. In: what the administrator named; out: the words that make rsync read from there. Nothing
here touches the network.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from si.errors import NameInvalid

DEFAULT_PORT = 873
_SILENCE_S = 180
_CONNECT_S = 20
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?\.?")


class CaptureTransport(enum.StrEnum):
    """How the golden client's tree travels."""

    RSYNC = "rsync"
    SSH = "ssh"


@dataclass(frozen=True, slots=True)
class GoldenClient:
    """A prepared machine, by name or address; `port` of its rsync daemon."""

    address: str
    transport: CaptureTransport = CaptureTransport.RSYNC
    port: int = DEFAULT_PORT

    @property
    def name(self) -> str:
        """What the record of the image says."""
        return self.address

    @property
    def options(self) -> tuple[str, ...]:
        """Options of rsync that the way there needs."""
        silence = f"--timeout={_SILENCE_S}"
        if self.transport is CaptureTransport.SSH:
            ssh = f"ssh -o BatchMode=yes -o ConnectTimeout={_CONNECT_S}"
            return (silence, f"--rsh={ssh}")
        # Without TCP_NODELAY each request waits some 0.1 s for delayed acknowledgements.
        return (silence, f"--contimeout={_CONNECT_S}", "--sockopts=TCP_NODELAY")

    def locate(self, path: str = "") -> str:
        """`path` (relative to /) as rsync's source argument."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        if self.transport is CaptureTransport.SSH:
            return f"root@{host}:/{path}"
        return f"rsync://{host}:{self.port}/root/{path}"

    @property
    def completion(self) -> str | None:
        """What to request when all has arrived, so that the golden client stops its offer."""
        if self.transport is CaptureTransport.SSH:
            return None
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"rsync://{host}:{self.port}/done/"


@dataclass(frozen=True, slots=True)
class Directory:
    """A tree on this machine."""

    path: Path

    @property
    def name(self) -> str:
        """What the record of the image says."""
        return str(self.path)

    @property
    def options(self) -> tuple[str, ...]:
        """Local copies need none."""
        return ()

    def locate(self, path: str = "") -> str:
        """`path` (relative to the tree) as rsync's source argument."""
        return f"{self.path}/{path}"


Source = GoldenClient | Directory


def check_address(text: str) -> str:
    """Give `text` back when it is a host name or an IP address. Raises NameInvalid."""
    try:
        ipaddress.ip_address(text)
        return text
    except ValueError:
        pass
    if _HOST_NAME.fullmatch(text) is None or ".." in text:
        raise NameInvalid(
            f"{text!r} is neither a host name nor an IP address",
            hint="give the golden client's name or address",
        )
    return text
