"""The manual against the programs: options, exit codes, settings, exclude lists, its own form."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from docutils import nodes
from docutils.core import publish_doctree, publish_string
from docutils.utils import SystemMessage
from docutils.writers.manpage import Writer

from si import errors
from si.cli.main import CLIENT_COMMANDS, COMMANDS
from si.client import excludes as update_excludes
from si.cluster import parse_cluster
from si.config import FileSettings
from si.image import excludes as capture_excludes
from si.layout.document import load_layout

MAN = Path(__file__).parents[2] / "man"
PAGES = sorted(MAN.glob("*.rst"))
STRICT = {"halt_level": 2, "report_level": 5}
OTHER_CODES = {0, 1, 2, 4, 130, 141}


def read(name: str) -> nodes.document:
    page = MAN / f"{name}.rst"
    document: nodes.document = publish_doctree(
        page.read_text(), source_path=str(page), settings_overrides=STRICT
    )
    return document


def section(document: nodes.document, title: str) -> nodes.section:
    for found in document.findall(nodes.section):
        if found[0].astext().lower() == title.lower():
            return found
    raise AssertionError(f"no section {title}")


def terms(found: nodes.Node) -> dict[str, str]:
    return {
        item[0].astext(): item[1].astext().replace("\n", " ")
        for item in found.findall(nodes.definition_list_item)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_becomes_a_manual_page_without_a_warning(page: Path) -> None:
    try:
        text = publish_string(
            page.read_text(),
            source_path=str(page),
            writer=Writer(),
            settings_overrides=STRICT,
        )
    except SystemMessage as error:
        raise AssertionError(str(error)) from error
    name, number = page.stem.rsplit(".", 1)
    assert re.search(rf'^\.TH "{re.escape(name)}" "{number}"', text.decode(), re.MULTILINE)


def help_of(command: str) -> str:
    if command in CLIENT_COMMANDS and command != "audit":  # which the server has a form of, too
        code = f"from si.client.main import {command} as main; main()"
    else:
        code = f"from si.cli.{command} import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def options_in(help_text: str) -> set[str]:
    """Options that stand at the beginning of a line of the list, with their short forms."""
    found: set[str] = set()
    for line in re.findall(r"^ {2}(-.*)$", help_text, re.MULTILINE):
        listed = re.match(r"(?:--?[A-Za-z][A-Za-z-]*(?: [^ ,]+)?(?:, )?)+", line)
        assert listed is not None, line
        found |= set(re.findall(r"(?<![\w-])--?[A-Za-z][A-Za-z-]*", listed[0]))
    return found


@pytest.mark.parametrize("command", [*COMMANDS, *CLIENT_COMMANDS])
def test_a_page_lists_the_options_that_its_command_has(command: str) -> None:
    documented = {
        found.astext().split(maxsplit=1)[0]
        for found in read(f"si-{command}.8").findall(nodes.option)
    }
    assert documented == options_in(help_of(command))


def error_classes(base: type[errors.SIError] = errors.SIError) -> Iterator[type[errors.SIError]]:
    for found in base.__subclasses__():
        if found.__module__ == errors.__name__ and "exit_code" in vars(found):
            yield found
        yield from error_classes(found)


def test_exit_codes_are_unique() -> None:
    codes = [found.exit_code for found in error_classes()]
    assert len(codes) == len(set(codes))
    assert not set(codes) & OTHER_CODES


def test_si_7_explains_every_exit_code() -> None:
    listed = terms(section(read("si.7"), "Exit codes"))
    assert set(map(int, listed)) == OTHER_CODES | {c.exit_code for c in error_classes()}
    for found in error_classes():
        first = (found.__doc__ or "").strip().splitlines()[0].rstrip(".")
        assert listed[str(found.exit_code)] == first


def test_si_toml_5_explains_every_setting() -> None:
    document = read("si.toml.5")
    for part in msgspec.structs.fields(FileSettings):
        inner: Any = part.type
        listed = terms(section(document, f"[{part.name}]"))
        fields = msgspec.structs.fields(inner)
        assert set(listed) == {field.name for field in fields}
        for field in fields:
            if isinstance(field.default, int):
                assert f"Default: {field.default}" in listed[field.name]


def lines_of(found: nodes.Node) -> set[str]:
    return {
        line for block in found.findall(nodes.literal_block) for line in block.astext().splitlines()
    }


def test_si_exclude_5_lists_what_is_left_alone() -> None:
    document = read("si-exclude.5")
    captures = section(document, "Captures: getimage.exclude")
    assert lines_of(captures) == {
        *capture_excludes.IDENTITY,
        capture_excludes.DBUS_MACHINE_ID,
        *capture_excludes.CACHES,
    }
    updates = section(document, "Updates: updateclient.local.exclude")
    assert lines_of(updates) == {
        *update_excludes.PSEUDO_DIRECTORIES,
        *update_excludes.IDENTITY,
        *update_excludes.BOOT,
        *update_excludes.parse_excludes(update_excludes.DEFAULT_LIST, "defaults"),
    }


def test_si_cluster_5_names_every_element_and_attribute() -> None:
    schema = (MAN.parent / "schemas/cluster.xsd").read_text()
    text = read("si-cluster.5").astext()
    for name in re.findall(r'<xs:element name="(\w+)"', schema):
        assert f"<{name}>" in text, name
    for name in re.findall(r'<xs:attribute name="(\w+)"', schema):
        assert re.search(rf"\b{name}\b", text), name


def test_si_layout_5_names_every_element_and_attribute() -> None:
    schema = (MAN.parent / "schemas/layout.xsd").read_text()
    text = read("si-layout.5").astext()
    for name in re.findall(r'<xs:element name="(\w+)"', schema):
        assert f"<{name}>" in text, name
    named = re.findall(r'<xs:attribute name="(\w+)"', schema)
    for name in set(named) - {"default_entry", "path", "devstyle"}:  # read, without an effect
        assert re.search(rf"\b{name}\b", text), name


def test_every_page_that_is_referred_to_exists() -> None:
    ours = {page.stem for page in PAGES}
    assert {f"si-{command}.8" for command in (*COMMANDS, *CLIENT_COMMANDS)} <= ours
    for page in PAGES:
        for name, number in re.findall(r"\b(si[a-z.-]*)\((\d)\)", read(page.stem).astext()):
            assert f"{name}.{number}" in ours, f"{page.name} refers to {name}({number})"


def test_the_examples_are_right() -> None:
    blocks = [
        block.astext()
        for name in ("si-cluster.5", "si-layout.5")
        for block in read(name).findall(nodes.literal_block)
    ]
    assert parse_cluster(next(b for b in blocks if b.startswith("<cluster>")), "man").clients
    assert load_layout(next(b for b in blocks if b.startswith("<config")), "man").disks
    example = read("si.toml.5").findall(nodes.literal_block)
    for block in example:
        msgspec.convert(tomllib.loads(block.astext()), FileSettings)
