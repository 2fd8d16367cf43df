"""A switch, a server and clients, each in a network namespace, every link shaped alike."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from si.system.run import run

SERVER_ADDRESS = "10.98.0.1"
NETWORK = "10.98.0.0/24"
PAYLOAD = 1448 / 1514
"""The part of an Ethernet frame that carries data of a TCP stream."""
_BUCKET = ("burst", "32kb", "latency", "50ms")
_NAME = f"sib{os.getpid()}"


def payload_bytes_s(rate_mbit: float) -> float:
    """What a link of this rate carries of a TCP stream, in bytes a second."""
    return rate_mbit * 1e6 / 8 * PAYLOAD


def within(machine: int) -> list[str]:
    """What a command line begins with that is to run on a machine; 0 is the server."""
    return ["ip", "netns", "exec", f"{_NAME}-{machine}"]


def sent_bytes(machine: int) -> int:
    """What a machine has sent so far, headers and all."""
    counter = run([*within(machine), "cat", "/sys/class/net/eth0/statistics/tx_bytes"])
    return int(counter.text)


@contextlib.contextmanager
def links(clients: int, *, rate_mbit: float) -> Iterator[None]:
    """A server and clients 1 to `clients`; what each sends and gets passes a token bucket."""
    spaces = [f"{_NAME}-hub", *(f"{_NAME}-{machine}" for machine in range(clients + 1))]
    hub = ["ip", "netns", "exec", spaces[0]]
    try:
        for space in spaces:
            run(["ip", "netns", "add", space])
        run([*hub, "ip", "link", "add", "switch", "type", "bridge"])
        run([*hub, "ip", "link", "set", "switch", "up"])
        for machine, space in enumerate(spaces[1:]):
            port = f"port{machine}"
            run(["ip", "link", "add", "eth0", "netns", space, "type", "veth",
                 "peer", "name", port, "netns", spaces[0]])  # fmt: skip
            run([*hub, "ip", "link", "set", port, "master", "switch", "up"])
            inside = within(machine)
            run([*inside, "ip", "address", "add", f"10.98.0.{machine + 1}/24", "dev", "eth0"])
            for device in ("lo", "eth0"):
                run([*inside, "ip", "link", "set", device, "up"])
            _shape(machine, "add", rate_mbit)
        yield
    finally:
        for space in spaces:
            if Path("/run/netns", space).exists():
                run(["ip", "netns", "delete", space])


def slow_down(machine: int, *, rate_mbit: float) -> None:
    """Give a machine's link another rate."""
    _shape(machine, "change", rate_mbit)


def _shape(machine: int, verb: str, rate_mbit: float) -> None:
    hub = ["ip", "netns", "exec", f"{_NAME}-hub"]
    for side, device in ((hub, f"port{machine}"), (within(machine), "eth0")):
        run([*side, "tc", "qdisc", verb, "dev", device, "root", "tbf",
             "rate", f"{rate_mbit:g}mbit", *_BUCKET])  # fmt: skip
