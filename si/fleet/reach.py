"""Which words bring a command or files to a client: OpenSSH's, and rsync's over it.

Stage 8, running clients. A client in, words out. Who may log in, with which key, and which host
keys are believed is ssh's matter and stands in its own configuration; here is only what must hold
for a run without a person: no question is asked, no forwarding, a silent peer is given up.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from si.cluster import Client
from si.names_check import check_name
from si.system.rsync import EXACT_TIMES, FIDELITY

ALIVE_S = 15
ALIVE_COUNT = 4
"""A connection that is silent for a minute, though asked every 15 s, is given up."""


@dataclass(frozen=True, slots=True)
class Way:
    """How clients are reached. config: a file of ssh_config(5) that is read instead of the user's;
    user: None for the one that the configuration says."""

    config: Path | None = None
    user: str | None = None
    connect_timeout_s: int = 15


def command_words(way: Way, client: Client, command: str) -> tuple[str, ...]:
    """Words that run `command`, a text for the login shell there, on the client."""
    return (*_ssh_words(way, client), "-n", "--", check_name("client", client.name), command)


def copy_words(
    way: Way, client: Client, sources: Sequence[str], destination: str
) -> tuple[str, ...]:
    """Words that copy local `sources` into `destination` on the client, with full fidelity.

    A source may be called anything: none is taken for an option or for another machine's.
    """
    name = check_name("client", client.name)
    return (
        "rsync",
        *FIDELITY,
        *EXACT_TIMES,
        "--protect-args",
        f"--rsh={shlex.join(_ssh_words(way, client))}",
        "--",
        *(source if source.startswith("/") else f"./{source}" for source in sources),
        f"{name}:{destination}",
    )


def _ssh_words(way: Way, client: Client) -> tuple[str, ...]:
    options = [
        "BatchMode=yes",
        f"ConnectTimeout={way.connect_timeout_s}",
        f"ServerAliveInterval={ALIVE_S}",
        f"ServerAliveCountMax={ALIVE_COUNT}",
        "ForwardAgent=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "LogLevel=ERROR",
    ]
    if client.ip is not None:
        # The name stays what host keys are filed under, so a client may get another address.
        options += [f"HostName={client.ip}", f"HostKeyAlias={client.name}"]
    words = ["ssh", "-T", "-x"]
    if way.config is not None:
        words += ["-F", str(way.config)]
    for option in options:
        words += ["-o", option]
    if way.user is not None:
        words += ["-o", f"User={way.user}"]
    return tuple(words)
