"""A draft checked as a whole and made into a `Cluster`.

Stage: none. Pure. Checks what needs more than one element: names, MACs and addresses that stand
twice, groups that nobody describes, networks that cannot work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from si.cluster.draft import Choices, ClientDraft, Draft, GroupDraft
from si.cluster.model import DEFAULT_FLAVOR, Client, Cluster, Group, Loader

Value = TypeVar("Value")


def assemble(draft: Draft) -> Cluster:
    """Note the faults of `draft` as a whole, and give the cluster it describes.

    The result makes sense only when `draft.problems` is empty.
    """
    groups = sorted(draft.groups, key=_importance)
    _check_groups(draft)
    _check_clients(draft)
    members = _members(draft, groups)
    known = {client.name: client for client in draft.clients}
    names = dict.fromkeys([*known, *(name for group in groups for name in group.clients)])
    return Cluster(
        clients=tuple(
            _client(known.get(name) or ClientDraft(name, 0), groups, members, draft)
            for name in names
        ),
        groups=tuple(_group(group, names, members) for group in groups),
        overrides=tuple(draft.overrides),
        all_name=draft.all_name,
        file=draft.file,
    )


def _importance(group: GroupDraft) -> tuple[float, str]:
    """SystemImager's order: priority, none or 0 being the last; then the name without case."""
    return (group.priority or float("inf"), group.name.lower())


def _members(draft: Draft, groups: Sequence[GroupDraft]) -> dict[str, set[str]]:
    members = {group.name: set(group.clients) for group in groups}
    for client in draft.clients:
        for name in client.groups:
            if name in members:
                members[name].add(client.name)
    return members


def _group(group: GroupDraft, names: Iterable[str], members: dict[str, set[str]]) -> Group:
    choices = group.choices
    return Group(
        name=group.name,
        priority=group.priority or None,
        image=choices.image,
        layout=choices.layout,
        flavor=choices.flavor,
        loader=choices.loader,
        overrides=tuple(group.overrides),
        clients=tuple(name for name in names if name in members[group.name]),
    )


def _client(
    client: ClientDraft, groups: Sequence[GroupDraft], members: dict[str, set[str]], draft: Draft
) -> Client:
    own = [group for group in groups if client.name in members[group.name]]
    sources: list[Choices] = [client.choices, *(group.choices for group in own), draft.defaults]
    least_first = [name for group in reversed(own) for name in reversed(group.overrides)]
    address = client.network.address
    return Client(
        name=client.name,
        mac=client.mac,
        ip=client.ip or (address.ip if address else None),
        groups=tuple(group.name for group in own),
        image=_first(source.image for source in sources),
        layout=_first(source.layout for source in sources),
        flavor=_first(source.flavor for source in sources) or DEFAULT_FLAVOR,
        loader=_first(source.loader for source in sources) or Loader.IPXE,
        network=client.network,
        shared_overrides=(*reversed(draft.overrides), *least_first),
    )


def _first(values: Iterable[Value | None]) -> Value | None:
    return next((value for value in values if value is not None), None)


def _check_groups(draft: Draft) -> None:
    _check_twice(draft, "group", ((group.name, group.line) for group in draft.groups))
    for group in draft.groups:
        if group.name == draft.all_name:
            draft.problem(
                group.line, f"the group {group.name!r} stands for all clients: choose another name"
            )


def _check_clients(draft: Draft) -> None:
    clients = draft.clients
    _check_twice(draft, "client", ((client.name.lower(), client.line) for client in clients))
    _check_twice(draft, "MAC", ((client.mac, client.line) for client in clients))
    _check_twice(draft, "address", ((_ip(client), client.line) for client in clients))
    described = {group.name for group in draft.groups}
    spelled = {client.name.lower(): client.name for client in clients}
    for client in clients:
        for name in client.groups:
            if name not in described:
                draft.problem(
                    client.line,
                    f"client {client.name!r} is in the group {name!r}, which no <group> describes",
                )
        _check_network(client, draft)
    for group in draft.groups:
        for name in group.clients:
            other = spelled.setdefault(name.lower(), name)
            if other != name:
                draft.problem(group.line, f"client {name!r} is written {other!r} elsewhere")


def _check_twice(draft: Draft, what: str, found: Iterable[tuple[str | None, int]]) -> None:
    first: dict[str, int] = {}
    for value, line in found:
        if value and first.setdefault(value, line) != line:
            draft.problem(line, f"{what} {value!r} stands already in line {first[value]}")


def _check_network(client: ClientDraft, draft: Draft) -> None:
    network, line = client.network, client.line
    if network.address is None:
        if network.gateway is not None:
            draft.problem(line, f"client {client.name!r} has a gateway but no address of its own")
        return
    ip, subnet = network.address.ip, network.address.network
    if client.ip not in (None, ip):
        draft.problem(line, f"client {client.name!r} has two addresses: {client.ip} and {ip}")
    if subnet.prefixlen < 31 and ip in (subnet.network_address, subnet.broadcast_address):
        draft.problem(line, f"{ip} is the network or broadcast address of {subnet}")
    gateway = network.gateway
    if gateway is not None and (gateway not in subnet or gateway == ip):
        draft.problem(line, f"the gateway {gateway} cannot be reached from {network.address}")


def _ip(client: ClientDraft) -> str | None:
    address = client.ip or (client.network.address.ip if client.network.address else None)
    return str(address) if address else None
