"""cluster.xml to `Cluster`.

Stage: none. Pure: text in, values out. The structure is checked here by a table rather than by
the schema alone, because a schema validator stops at the first surprise among an element's
children, and a person wants all faults at once; `schemas/cluster.xsd` has the last word.
SystemImager's document of the same name is known by its root element `<xml>`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lxml import etree

from si.cluster.ancestor import ANCESTOR_SHAPES, read_ancestor
from si.cluster.assemble import assemble
from si.cluster.draft import Choices, ClientDraft, Draft, GroupDraft
from si.cluster.model import Cluster, Loader, Network
from si.cluster.shape import Shape, check_shape, elements, line_of, text_of
from si.data import data_path
from si.errors import DocumentInvalid, Problem

MAX_BYTES = 4 * 1024 * 1024
"""A document of ten thousand clients has less than 1 MiB."""

_NO_DOCTYPE = "a document type and entities are not allowed"
_DOCTYPE = re.compile(r"<!(DOCTYPE|ENTITY)")
_CHOICES = frozenset({"image", "layout", "flavor", "loader"})
SHAPES: Mapping[str, Shape] = {
    "cluster": Shape({"name"}, {"defaults", "override", "group", "client"}),
    "defaults": Shape(_CHOICES),
    "override": Shape(text=True),
    "group": Shape({"name", "priority"} | _CHOICES, {"override", "clients"}, required={"name"}),
    "clients": Shape(text=True),
    "client": Shape({"name", "mac", "ip", "group"} | _CHOICES, {"network"}, required={"name"}),
    "network": Shape({"address", "gateway", "dns", "domain", "managed"}),
}


def parse_cluster(text: str | bytes, file: str) -> Cluster:
    """Read either dialect. Raises DocumentInvalid with all problems, in order of their lines."""
    root = parse_tree(text, file)
    draft = Draft(file)
    if root.tag == "xml":
        check_shape(root, draft, ANCESTOR_SHAPES)
        read_ancestor(root, draft)
    elif root.tag == "cluster":
        check_shape(root, draft, SHAPES)
        _read_cluster(root, draft)
    else:
        draft.problem(line_of(root), f"<{root.tag}> begins no cluster document: write <cluster>")
    cluster = assemble(draft)
    if not draft.problems and root.tag == "cluster":
        _check_schema(root, draft)
    if draft.problems:
        problems = sorted(dict.fromkeys(draft.problems), key=lambda problem: problem.line)
        raise DocumentInvalid(problems, hint="man si-cluster describes the document")
    return cluster


def parse_tree(text: str | bytes, file: str) -> etree._Element:
    """XML text to its root element: no entities, no network, bounded size.

    Raises DocumentInvalid for text that is not well-formed or too large.
    """
    data = text.encode() if isinstance(text, str) else text
    if len(data) > MAX_BYTES:
        raise DocumentInvalid([Problem(file, 1, f"larger than {MAX_BYTES // 1024**2} MiB")])
    for encoding in ("latin-1", "utf-16"):
        # Before the parser sees them: it expands entities in attributes whatever it is told.
        if _DOCTYPE.search(data.decode(encoding, "replace")):
            raise DocumentInvalid([Problem(file, 1, _NO_DOCTYPE)])
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        encoding="utf-8" if isinstance(text, str) else None,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        entries = list(_log(error.error_log))
        found = entries or [(error.lineno or 1, error.msg or "not well-formed")]
        problems = [Problem(file, line, f"not well-formed: {what}") for line, what in found]
        raise DocumentInvalid(dict.fromkeys(problems)) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise DocumentInvalid([Problem(file, 1, _NO_DOCTYPE)])
    return root


def _read_cluster(root: etree._Element, draft: Draft) -> None:
    draft.all_name = draft.name("group", root.get("name"), line_of(root)) or draft.all_name
    for place, element in enumerate(elements(root, "defaults")):
        if place:
            draft.problem(line_of(element), "a second <defaults>: write one")
        draft.defaults = _choices(element, draft)
    draft.overrides = list(_overrides(root, draft))
    for element in elements(root, "group"):
        _read_group(element, draft)
    for element in elements(root, "client"):
        _read_client(element, draft)


def _read_group(element: etree._Element, draft: Draft) -> None:
    line = line_of(element)
    group = GroupDraft(
        name=draft.name("group", element.get("name"), line) or "",
        line=line,
        priority=draft.number("priority", element.get("priority"), line),
        choices=_choices(element, draft),
        overrides=list(_overrides(element, draft)),
    )
    for clients in elements(element, "clients"):
        group.clients.extend(draft.range(text_of(clients), line_of(clients)))
    draft.groups.append(group)


def _read_client(element: etree._Element, draft: Draft) -> None:
    line = line_of(element)
    networks = list(elements(element, "network"))
    for extra in networks[1:]:
        draft.problem(line_of(extra), "a second <network> of one client: write one")
    names = (element.get("group") or "").replace(",", " ").split()
    draft.clients.append(
        ClientDraft(
            name=draft.name("client", element.get("name"), line) or "",
            line=line,
            mac=draft.mac(element.get("mac"), line),
            ip=draft.address("IPv4 address", element.get("ip"), line),
            groups=[name for name in names if draft.name("group", name, line)],
            choices=_choices(element, draft),
            network=_read_network(networks[0], draft) if networks else Network(),
        )
    )


def _read_network(element: etree._Element, draft: Draft) -> Network:
    line = line_of(element)
    servers = (element.get("dns") or "").replace(",", " ").split()
    asked = [draft.address("address of a DNS server", text, line) for text in servers]
    return Network(
        address=draft.interface(element.get("address"), line),
        gateway=draft.address("address of a gateway", element.get("gateway"), line),
        dns=tuple(server for server in asked if server is not None),
        domain=draft.name("domain", element.get("domain"), line),
        managed=_yes(element.get("managed", "yes"), draft, line),
    )


def _yes(text: str, draft: Draft, line: int) -> bool:
    if text not in ("yes", "no"):
        draft.problem(line, f"managed {text!r} is not known: write yes or no")
    return text != "no"


def _choices(element: etree._Element, draft: Draft) -> Choices:
    line = line_of(element)
    loader = element.get("loader")
    if loader is not None and loader not in tuple(Loader):
        draft.problem(line, f"loader {loader!r} is not known: write {' or '.join(Loader)}")
        loader = None
    return Choices(
        image=draft.name("image", element.get("image"), line),
        layout=draft.name("layout", element.get("layout"), line),
        flavor=draft.name("flavor", element.get("flavor"), line),
        loader=Loader(loader) if loader else None,
    )


def _overrides(element: etree._Element, draft: Draft) -> Iterator[str]:
    for override in elements(element, "override"):
        name = draft.name("override", text_of(override), line_of(override))
        if name:
            yield name


def _check_schema(root: etree._Element, draft: Draft) -> None:
    schema = _schema()
    if not schema.validate(root):
        for line, message in _log(schema.error_log):
            draft.problem(line, message)


def _log(entries: Any) -> Iterator[tuple[int, str]]:
    for entry in entries:
        yield int(entry.line), str(entry.message).strip()


@functools.cache
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(data_path("schemas") / "cluster.xsd")))
