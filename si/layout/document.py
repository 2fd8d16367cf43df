"""Layout documents: XML text of either dialect to a `Layout`, and a `Layout` to ours.

Stage 4. Pure. The classic dialect is the `autoinstallscript.conf` of SystemImager 4, in which
people wrote anything in any order; the strict one is the `disks-layout` of SystemImager 5. Ours
is the strict one with more attributes (schemas/layout.xsd), marked by `<config format="1">`.
Reading is done by hand rather than by the schema: a schema's messages do not say what to write
instead, and the classic dialect fits none. Documents come from other machines, hence no
entities, no network, a bounded size.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from lxml import etree

from si.errors import DocumentInvalid, Problem
from si.layout.check import check_layout, warn_of_layout
from si.layout.disks import read_bootloader, read_disk
from si.layout.dump import dump_layout
from si.layout.faults import Faults, line_of
from si.layout.fsinfo import arrange, read_fsinfo
from si.layout.membership import Memberships
from si.layout.model import Bootloader, Layout, VolumeGroup, mapper_path, volume_path
from si.layout.stacks import read_crypts, read_groups, read_raids

__all__ = ["MAX_BYTES", "dump_layout", "load_layout", "parse_xml", "read_layout"]

MAX_BYTES = 4 * 1024 * 1024
FORMAT = "1"

_SECTIONS = ("disk", "raid", "crypt", "lvm", "bootloader", "fsinfo", "boel")
_LATE_DECLARATION = re.compile(rb"([ \t\r\n]+)(<\?xml[^>]{0,200}\?>)")
_ENTITY = re.compile(r"<!ENTITY", re.IGNORECASE)


def load_layout(text: str | bytes, file: str) -> Layout:
    """The layout of a document; `file` is its name in problems.

    Raises DocumentInvalid with every problem.
    """
    layout, problems, _warnings = read_layout(text, file)
    if problems:
        raise DocumentInvalid(problems, hint="si-layout(5) describes every element")
    return layout


def read_layout(
    text: str | bytes, file: str
) -> tuple[Layout, tuple[Problem, ...], tuple[Problem, ...]]:
    """The layout as far as it can be read, all problems, and all warnings, each by line.

    Raises DocumentInvalid for a text that is no XML at all, or none that is safe to read.
    """
    root = parse_xml(text, file)
    faults = Faults(file, strict=_is_strict(root))
    layout = _read_root(root, faults)
    problems = [*faults.problems, *check_layout(layout, file)]
    warnings = [*faults.warnings, *warn_of_layout(layout, file)]
    return layout, _by_line(problems), _by_line(warnings)


def parse_xml(text: str | bytes, file: str) -> etree._Element:
    """The root element of a document that may be hostile.

    Raises DocumentInvalid for one that is too large, malformed, or declares entities.
    """
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if len(data) > MAX_BYTES:
        raise _refusal(file, 1, f"larger than {MAX_BYTES // 1024 // 1024} MiB")
    _refuse_entities(data, file)
    # By default it reads no DTD and no network either, and gives up on what is huge or too deep.
    parser = etree.XMLParser(
        resolve_entities=False,
        # Text was decoded already, whatever its declaration says of it.
        encoding="utf-8" if isinstance(text, str) else None,
    )
    try:
        root = etree.fromstring(_declaration_first(data), parser)
    except etree.XMLSyntaxError as error:
        raise _refusal(file, error.position[0], f"not well-formed XML: {error.msg}") from error
    subset: Any = root.getroottree().docinfo.internalDTD
    if subset is not None and any(True for _ in subset.iterentities()):
        raise _refusal(file, 1, "entity declarations are refused: write the text itself")
    return root


def _declaration_first(data: bytes) -> bytes:
    """`data` with blank lines before an XML declaration moved behind it: line numbers stay."""
    found = _LATE_DECLARATION.match(data)
    return found[2] + found[1] + data[found.end() :] if found is not None else data


def _refuse_entities(data: bytes, file: str) -> None:
    # Before the parser sees them: it would expand entities in attributes whatever one tells it.
    for encoding in ("latin-1", "utf-16"):
        text = data.decode(encoding, "replace")
        found = _ENTITY.search(text)
        if found is not None:
            line = text[: found.start()].count("\n") + 1
            raise _refusal(file, line, "entity declarations are refused: write the text itself")


def _refusal(file: str, line: int, message: str) -> DocumentInvalid:
    return DocumentInvalid([Problem(file, line, message)])


def _is_strict(root: etree._Element) -> bool:
    return "format" in root.attrib or root.find("bootloader") is not None


def _read_root(root: etree._Element, faults: Faults) -> Layout:
    tag = str(root.tag)
    if tag != "config":
        faults.problem(line_of(root), f"the root element of a layout is <config>, not <{tag}>")
        return Layout((), ())
    if root.get("format", FORMAT) != FORMAT:
        text = f'format="{root.get("format")}" is not known here: this version writes {FORMAT}'
        faults.problem(line_of(root), text)
    _check_outline(root, faults)
    memberships = Memberships()
    disks = tuple(read_disk(element, faults, memberships) for element in root.iterfind("disk"))
    crypts = read_crypts(root, faults)
    raids = read_raids(root, faults, memberships)
    groups = read_groups(root, faults, memberships)
    memberships.check_owners(
        {raid.device for raid in raids}, {group.name for group in groups}, faults
    )
    devices = Layout(disks, (), None, raids, crypts, groups)
    known = {*devices.partition_paths(), *(d for layer in devices.layers for d in layer.devices)}
    names = _other_names(groups, known)
    entries = [read_fsinfo(element, faults, names) for element in root.iterfind("fsinfo")]
    arranged = arrange([entry for entry in entries if entry is not None], faults)
    return replace(devices, entries=arranged, bootloader=_read_bootloader(root, faults))


def _other_names(groups: tuple[VolumeGroup, ...], known: set[str]) -> dict[str, str]:
    """The path that a device has in a layout, by every path that it may have in a document."""
    names = {path: path for path in known}
    for path in known:
        if re.fullmatch(r"/dev/md[0-9]+", path):
            names[path.replace("/md", "/md/")] = path
    for group in groups:
        for volume in group.volumes:
            path = volume_path(group.name, volume.name)
            names[mapper_path(group.name, volume.name)] = path
    return names


def _check_outline(root: etree._Element, faults: Faults) -> None:
    for name in root.attrib:
        if name != "format":
            faults.unknown(line_of(root), f"<config> has no attribute {name!s}")
    for element in root:
        if not isinstance(element.tag, str):
            continue
        line, tag = line_of(element), str(element.tag)
        if tag not in _SECTIONS:
            faults.unknown(line, f"<config> has no element <{tag}>")
    _find_bare_text(root, faults)


def _find_bare_text(root: etree._Element, faults: Faults) -> None:
    for element in root.iter():
        texts = [element.tail] if element is not root else []
        if isinstance(element.tag, str):
            texts.append(element.text)
        bare = next((text.strip() for text in texts if text is not None and text.strip()), None)
        if bare is not None:
            text = f"bare text {bare.split()[0][:40]!r}: write it as a comment, <!-- ... -->"
            faults.unknown(line_of(element), text)


def _read_bootloader(root: etree._Element, faults: Faults) -> Bootloader | None:
    found = root.findall("bootloader")
    for surplus in found[1:]:
        text = f"a second <bootloader>, the first is on line {line_of(found[0])}: keep one"
        faults.problem(line_of(surplus), text)
    return read_bootloader(found[0], faults) if found else None


def _by_line(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.line))
