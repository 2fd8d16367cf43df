"""Addresses of names: DNS by dnspython, then the hosts file.

Stage: none. In: a name; out: IPv4 addresses as text. The C library's resolver is not used, so that
the servers and the port come from si.toml, the time is bounded, and an error can say who was asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

import dns.exception
import dns.rdatatype
import dns.resolver

from si.config import Settings
from si.errors import NameNotResolved

LIFETIME_S = 5.0
"""For one name, whatever the number of servers and search domains."""
MAX_HOSTS_BYTES = 16 * 1024 * 1024


def resolve(settings: Settings, name: str) -> tuple[str, ...]:
    """IPv4 addresses of `name`, in the order the answer has them; an address is its own.

    Raises NameNotResolved, which says which DNS servers and which hosts file were asked.
    """
    try:
        return (str(IPv4Address(name)),)
    except AddressValueError:
        pass
    addresses, dns_said = _ask_dns(settings, name)
    if not addresses:
        addresses, file_said = _ask_hosts_file(settings.hosts_file, name)
        if not addresses:
            raise NameNotResolved(
                f"no IPv4 address for {name!r}: {dns_said}; {file_said}",
                hint="put it into DNS or the hosts file, or give the client an ip in cluster.xml",
            )
    return addresses


def _ask_dns(settings: Settings, name: str) -> tuple[tuple[str, ...], str]:
    """Addresses, and in words what happened."""
    try:
        resolver = dns.resolver.Resolver(configure=not settings.dns.servers)
    except dns.resolver.NoResolverConfiguration:
        return (), "no DNS server is configured"
    if settings.dns.servers:
        resolver.nameservers = list(settings.dns.servers)
        resolver.port = settings.dns.port
    who = _servers(resolver)
    try:
        answer = resolver.resolve(name, "A", lifetime=LIFETIME_S, search=True)
    except dns.resolver.NXDOMAIN:
        return (), f"{who} does not know it"
    except dns.resolver.NoAnswer:
        return (), f"{who} knows the name but no IPv4 address of it"
    except dns.resolver.LifetimeTimeout:
        return (), f"{who} did not answer within {LIFETIME_S:g} s"
    except dns.exception.DNSException as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return (), f"{who} failed ({reason})"
    return tuple(record.to_text() for record in answer), who


def _servers(resolver: dns.resolver.Resolver) -> str:
    port = "" if resolver.port == 53 else f" port {resolver.port}"
    return f"DNS {', '.join(map(str, resolver.nameservers))}{port}"


def _ask_hosts_file(path: Path, name: str) -> tuple[tuple[str, ...], str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_HOSTS_BYTES)
    except OSError as error:
        return (), f"{path} cannot be read ({error.strerror})"
    return tuple(dict.fromkeys(_find(text, name.lower()))), f"{path} does not name it"


def _find(text: str, name: str) -> Iterator[str]:
    for line in text.splitlines():
        words = line.partition("#")[0].lower().split()
        if name in words[1:]:
            try:
                yield str(IPv4Address(words[0]))
            except AddressValueError:
                continue
