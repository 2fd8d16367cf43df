r"""Client ranges: SystemImager's own `web001-web100`, then ClusterShell's `web[001-100]`.

Stage: none. Pure: text in, names out.

SystemImager's rules (its HostRange module): a token is split at its first unescaped `-` (`\-` is a
literal hyphen); two dotted quads are a range of addresses; else both halves must be root, digits
and an optional domain with equal root and domain, and start <= end. Whatever fits neither is one
name, verbatim. Numbers are padded to the width of the start; the result is sorted as strings.

A token with brackets is ClusterShell's, `@group` is a group of cluster.xml (never of the machine's
groups.conf), and `!`, `&`, `^` between tokens mean what they mean there, read from left to right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import AddressValueError, IPv4Address
from math import prod

from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException

from si.errors import RangeInvalid
from si.names_check import check_name

MAX_NAMES = 65536
"""More names than that in one range is a mistake, and would fill the memory."""

_NUMBERED = re.compile(r"(.*?)([0-9]+)(\..*)?", re.ASCII | re.DOTALL)
_FIRST_DASH = re.compile(r"(?<!\\)-")
_TOKEN = re.compile(r"([,!&^\s]*)((?:\[[^\]]*\]|[^,!&^\s\[])+|\[)")
_BRACKETS = re.compile(r"\[([^\]]*)\]")
_SPAN = re.compile(r"([0-9]+)-([0-9]+)(?:/([0-9]+))?")

GroupLookup = Callable[[str], tuple[str, ...] | None]


def expand_hostrange(text: str) -> tuple[str, ...]:
    """Expand SystemImager's ranges only; comma, space and newline separate.

    Empty tokens are dropped. Raises RangeInvalid for more than MAX_NAMES names.
    """
    names: set[str] = set()
    for token in re.split("[, \n]", text):
        if token:
            names.update(_expand_token(token))
            _check_size(text, len(names))
    return tuple(sorted(names))


def expand_range(
    text: str,
    *,
    group: GroupLookup = lambda _name: None,
    is_client: Callable[[str], bool] = lambda _name: False,
) -> tuple[str, ...]:
    """Expand a RANGE to client names, sorted as strings.

    `group` gives the clients of a group, None for no group. A bare token that is the name of a
    group, and not of a client, stands for the group, as it did in SystemImager.
    Raises RangeInvalid for what cannot be read or names nothing, NameInvalid for unfit names.
    """
    names: set[str] = set()
    for operator, token in _tokens(text):
        operand = set(_operand(token, group, is_client))
        if "!" in operator:
            names -= operand
        elif "&" in operator:
            names &= operand
        elif "^" in operator:
            names ^= operand
        else:
            names |= operand
        _check_size(text, len(names))
    if not names:
        raise RangeInvalid(f"the range {text!r} names no client", hint="si-client list shows them")
    return tuple(sorted(check_name("client", name) for name in names))


def fold_names(names: Iterable[str]) -> str:
    """A short RANGE that `expand_range` makes the same names of: `web[01-03],db`."""
    folded = NodeSet.fromlist(names, resolver=RESOLVER_NOGROUP)
    # Commas within brackets part no tokens; a name like a1-a3 would be read as a range.
    tokens = (str(found[2]) for found in _TOKEN.finditer(str(folded)))
    return ",".join(token if "[" in token else _keep_literal(token) for token in tokens)


def expand_addresses(text: str) -> tuple[IPv4Address, ...]:
    """Addresses of an `ip-range`, in numeric order. Raises RangeInvalid for anything else."""
    try:
        return tuple(sorted(IPv4Address(name) for name in expand_hostrange(text)))
    except AddressValueError as error:
        raise RangeInvalid(f"not a range of IPv4 addresses: {text!r} ({error})") from error


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            break
        operator = re.sub(r"[,\s]", "", match[1])
        if len(operator) > 1:
            raise _unreadable(text, f"{operator!r} is no operator")
        if match[2] == "[":
            raise _unreadable(text, "'[' is not closed")
        yield operator, match[2]
        place = match.end()
    rest = text[place:].strip(", \t\r\n")
    if rest:
        raise _unreadable(text, f"nothing follows {rest!r}")


def _operand(
    token: str, group: GroupLookup, is_client: Callable[[str], bool]
) -> tuple[str, ...] | set[str]:
    if token.startswith("@"):
        clients = group(token[1:])
        if clients is None:
            raise RangeInvalid(
                f"no group {token[1:]!r} in cluster.xml", hint="groups of other files do not count"
            )
        return clients
    if "[" in token or "]" in token:
        return _expand_brackets(token)
    names = _expand_token(token)
    found: set[str] = set()
    for name in names:
        clients = None if is_client(name) else group(name)
        found.update((name,) if clients is None else clients)
    return found


def _expand_brackets(token: str) -> set[str]:
    size = prod(_count(inner[1]) for inner in _BRACKETS.finditer(token))
    _check_size(token, size)
    try:
        return {str(name) for name in NodeSet(token, resolver=RESOLVER_NOGROUP)}
    except (NodeSetException, ValueError) as error:
        raise _unreadable(token, str(error)) from error


def _count(inner: str) -> int:
    """How many numbers stand in one pair of brackets, before ClusterShell unfolds them."""
    total = 0
    for part in inner.split(","):
        span = _SPAN.fullmatch(part.strip())
        total += 1 if span is None else max(1, _number(span[2]) - _number(span[1]) + 1)
    return total


def _expand_token(token: str) -> tuple[str, ...]:
    halves = _FIRST_DASH.split(token, maxsplit=1)
    literal = (token.replace("\\-", "-"),)
    if len(halves) == 1:
        return literal
    start, end = (half.replace("\\-", "-") for half in halves)
    return _expand_ips(start, end) or _expand_numbers(start, end) or literal


def _keep_literal(name: str) -> str:
    return name if _expand_token(name) == (name,) else name.replace("-", "\\-")


def _expand_ips(start: str, end: str) -> tuple[str, ...]:
    try:
        first, last = int(IPv4Address(start)), int(IPv4Address(end))
    except AddressValueError:
        return ()
    if first == 0 or last == 0 or first > last:
        return ()
    _check_size(f"{start}-{end}", last - first + 1)
    return tuple(str(IPv4Address(number)) for number in range(first, last + 1))


def _expand_numbers(start: str, end: str) -> tuple[str, ...]:
    first, last = _NUMBERED.fullmatch(start), _NUMBERED.fullmatch(end)
    if first is None or last is None or (first[1], first[3]) != (last[1], last[3]):
        return ()
    low, high, width = _number(first[2]), _number(last[2]), len(first[2])
    if low > high:
        return ()
    _check_size(f"{start}-{end}", high - low + 1)
    return tuple(f"{first[1]}{n:0{width}d}{first[3] or ''}" for n in range(low, high + 1))


def _number(digits: str) -> int:
    if len(digits) > 18:
        raise _unreadable(f"{digits[:18]}...", "the number is too long")
    return int(digits)


def _unreadable(text: str, why: str) -> RangeInvalid:
    return RangeInvalid(
        f"cannot read the range {text[:80]!r}: {why}",
        hint="write web1-web9, web[1-9,12] or @GROUP; si(7) has the other forms",
    )


def _check_size(token: str, count: int) -> None:
    if count > MAX_NAMES:
        raise RangeInvalid(
            f"the range {token[:80]!r} has {count} names, more than {MAX_NAMES}",
            hint="take one part of it after the other",
        )
