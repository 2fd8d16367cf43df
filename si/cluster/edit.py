"""cluster.xml with a client more or less, every other byte as it was.

Stage: none. Pure: text in, text out. People edit the file too, with comments and columns of their
own, and a tree written back by an XML library would lose their line breaks and quotes. So the
place of each element is asked of the parser, and the text is cut there; what comes out is read
again before anybody gets it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from si.cluster.document import parse_cluster
from si.cluster.model import normal_mac
from si.errors import ClientExists, ClientUnknown, DocumentInvalid, Problem

EMPTY = b'<?xml version="1.0" encoding="UTF-8"?>\n<cluster>\n</cluster>\n'
_INDENT = b"  "


@dataclass(slots=True)
class _Element:
    tag: str
    attributes: dict[str, str]
    line: int
    start: int
    close: int = -1
    """Where its end tag begins; the end of the element when it has none."""
    end: int = -1


@dataclass(slots=True)
class _Finder:
    """Places of the root element and of its children in the bytes of a document."""

    found: list[_Element] = field(default_factory=list)
    _open: list[_Element] = field(default_factory=list)
    _ended: list[_Element] = field(default_factory=list)

    def find(self, data: bytes) -> list[_Element]:
        parser = expat.ParserCreate()

        def at() -> int:
            place = parser.CurrentByteIndex
            for element in self._ended:
                element.end = place
            self._ended.clear()
            return place

        def start(tag: str, attributes: dict[str, str]) -> None:
            self._open.append(_Element(tag, attributes, parser.CurrentLineNumber, at()))

        def end(_tag: str) -> None:
            element = self._open.pop()
            element.close = at()
            self._ended.append(element)
            if len(self._open) < 2:
                self.found.append(element)

        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.DefaultHandler = lambda _text: at() and None
        parser.Parse(data, True)
        for element in self._ended:
            element.end = len(data)
        return self.found


def add_client(data: bytes, file: str, attributes: dict[str, str]) -> bytes:
    """The document with a client of these attributes (name, mac, ip, ...) after the last one.

    Raises ClientExists with the place of a client that has the name, MAC or address already, and
    DocumentInvalid when the document is, or would become, invalid.
    """
    parse_cluster(data, file)
    root, children = _elements(data, file)
    clients = [child for child in children if child.tag == "client"]
    _check_new(clients, attributes, file)
    words = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items())
    element = f"<client {words}/>".encode("ascii")
    if clients:
        last = clients[-1]
        new = data[: last.end] + b"\n" + _indent(data, last.start) + element + data[last.end :]
    elif not data.startswith(b"</", root.close):
        tag = data[root.start : root.end].removesuffix(b"/>").rstrip()
        body = tag + b">\n" + _INDENT + element + b"\n</cluster>"
        new = data[: root.start] + body + data[root.end :]
    else:
        before = data[: root.close].rstrip()
        new = before + b"\n" + _INDENT + element + b"\n" + data[root.close :]
    if parse_cluster(new, file).client(attributes["name"]).mac != attributes.get("mac"):
        raise DocumentInvalid([Problem(file, 1, "cannot be edited: store it as UTF-8")])
    return new


def remove_client(data: bytes, file: str, name: str) -> bytes:
    """The document without the element of a client; with the line it stood on, if alone there.

    Raises ClientUnknown, also when only a group's range names the client, and DocumentInvalid.
    """
    cluster = parse_cluster(data, file)
    cluster.client(name)
    _, children = _elements(data, file)
    for child in children:
        if child.tag == "client" and child.attributes.get("name", "").lower() == name.lower():
            start, end = _whole_lines(data, child)
            new = data[:start] + data[end:]
            parse_cluster(new, file)
            return new
    raise ClientUnknown(
        f"client {name!r} has no <client> element in {file}: the range of a group names it",
        hint=f"take it out of <clients> of {' or '.join(cluster.client(name).groups)} by hand",
    )


def _elements(data: bytes, file: str) -> tuple[_Element, list[_Element]]:
    *children, root = _Finder().find(data)
    if root.tag != "cluster":
        raise DocumentInvalid(
            [Problem(file, root.line, "SystemImager's document has no place for single clients")],
            hint="edit it by hand, or write it anew as <cluster> (man si-cluster)",
        )
    return root, children


def _check_new(clients: list[_Element], attributes: dict[str, str], file: str) -> None:
    for old in clients:
        name, where = old.attributes.get("name", ""), f"{file}:{old.line}"
        if name.lower() == attributes["name"].lower():
            raise ClientExists(f"client {name!r} stands already in {where}")
        if normal_mac(old.attributes.get("mac", "")) == attributes.get("mac", "none"):
            raise ClientExists(f"the MAC {attributes['mac']} is that of {name!r} in {where}")
        if old.attributes.get("ip", "").strip() == attributes.get("ip", "none"):
            raise ClientExists(f"the address {attributes['ip']} is that of {name!r} in {where}")


def _indent(data: bytes, place: int) -> bytes:
    line = data[data.rfind(b"\n", 0, place) + 1 : place]
    return line if not line.strip() else _INDENT


def _whole_lines(data: bytes, element: _Element) -> tuple[int, int]:
    before = re.search(rb"(?:^|(?<=\n))[ \t]*\Z", data[: element.start])
    after = re.match(rb"[ \t]*\r?\n", data[element.end :])
    if before is None or after is None:
        return element.start, element.end
    return before.start(), element.end + after.end()
