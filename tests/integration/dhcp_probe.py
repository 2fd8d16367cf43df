"""Asks a DHCP server what firmware of some kind would ask, and prints the offer as JSON.

A program, not a test: test_dhcp.py runs it inside a network namespace.
Arguments: interface, MAC, seconds to wait, then CODE=HEX for each further DHCP option, and
`4011=OWN,SERVER` for the second question of PXE firmware, which a proxy answers on that port.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time

DISCOVER, REQUEST, COOKIE = b"\x35\x01\x01", b"\x35\x01\x03", b"\x63\x82\x53\x63"


def main() -> None:
    interface, mac, wait_s, *extra = sys.argv[1:]
    transaction = os.urandom(4)
    options, kind, own, to = b"", DISCOVER, "0.0.0.0", ("255.255.255.255", 67)
    for word in extra:
        code, _, value = word.partition("=")
        if code == "4011":
            own, server = value.split(",")
            kind, to = REQUEST, (server, 4011)
        else:
            data = bytes.fromhex(value)
            options += bytes([int(code), len(data)]) + data
    wanted = b"\x37\x07\x01\x03\x06\x0c\x2b\x42\x43"
    hardware = bytes.fromhex(mac.replace(":", ""))
    packet = struct.pack("!BBBB4sHH", 1, 1, 6, 0, transaction, 0, 0x8000)
    packet += socket.inet_aton(own) + bytes(12)
    packet += hardware.ljust(16, b"\0") + bytes(64 + 128) + COOKIE
    packet += kind + wanted + options + b"\xff"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        link.bind(("0.0.0.0", 68))
        link.sendto(packet.ljust(300, b"\0"), to)
        print(json.dumps(receive(link, transaction, float(wait_s))))


def receive(link: socket.socket, transaction: bytes, wait_s: float) -> dict[str, object] | None:
    end = time.monotonic() + wait_s
    while (left := end - time.monotonic()) > 0:
        link.settimeout(left)
        try:
            answer = link.recv(4096)
        except TimeoutError:
            return None
        if answer[4:8] == transaction and answer[:1] == b"\x02":
            return parse(answer)
    return None


def parse(answer: bytes) -> dict[str, object]:
    options, place = {}, 240
    while place < len(answer) and answer[place] != 255:
        if answer[place] == 0:
            place += 1
            continue
        code, size = answer[place], answer[place + 1]
        options[str(code)] = answer[place + 2 : place + 2 + size].hex()
        place += 2 + size
    return {
        "ip": socket.inet_ntoa(answer[16:20]),
        "next": socket.inet_ntoa(answer[20:24]),
        "file": answer[108:236].split(b"\0")[0].decode(),
        "options": options,
    }


if __name__ == "__main__":
    main()
