"""What a client gets of its own."""

from __future__ import annotations

import re
import shlex
import uuid
from typing import Any

import pytest

from si.errors import NameInvalid
from si.script.header import identifier_value, render_header
from si.script.identifiers import Identifier, IdentifierKind

UUID = Identifier("UUID_root", IdentifierKind.UUID)
MBR = Identifier("DISK_ID_vda", IdentifierKind.MBR_ID)
VFAT = Identifier("UUID_boot_efi", IdentifierKind.VFAT_ID)


def header(**changes: Any) -> dict[str, str]:
    values: dict[str, Any] = {
        "client": "web1",
        "image": "web",
        "arch": "x86_64",
        "flavor": "virtio",
        "http": "http://192.0.2.1:8080",
        "rsync": "rsync://192.0.2.1:873",
        "token": "abc",
        "transport": "rsync",
        "overrides": ("all", "web", "web1"),
        "captured": "2026-11-21T12:00:00Z",
        "identifiers": (UUID, MBR, VFAT),
    }
    text = render_header(**(values | changes))
    assert text.endswith("\n")
    words = (shlex.split(line) for line in text.splitlines())
    return dict(word.split("=", 1) for (word,) in words)


def test_all_values() -> None:
    found = header()
    assert found == {
        "SI_CLIENT": "web1",
        "SI_IMAGE": "web",
        "SI_VERSION": "",
        "SI_ARCH": "x86_64",
        "SI_FLAVOR": "virtio",
        "SI_HTTP": "http://192.0.2.1:8080",
        "SI_RSYNC": "rsync://192.0.2.1:873",
        "SI_TOKEN": "abc",
        "SI_TRANSPORT": "rsync",
        "SI_FALLBACK": "",
        "SI_OVERRIDES": "all web web1",
        "SI_CAPTURED": "2026-11-21T12:00:00Z",
        "UUID_root": identifier_value(UUID, client="web1", image="web"),
        "DISK_ID_vda": identifier_value(MBR, client="web1", image="web"),
        "UUID_boot_efi": identifier_value(VFAT, client="web1", image="web"),
    }


def test_a_version_is_named_by_its_number() -> None:
    assert header(version=12)["SI_VERSION"] == "12"


def test_values_cannot_become_shell() -> None:
    assert header(token="$(reboot)'`x`")["SI_TOKEN"] == "$(reboot)'`x`"


def test_forms() -> None:
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        identifier_value(UUID, client="a", image="b"),
    )
    assert re.fullmatch("0x[0-9a-f]{8}", identifier_value(MBR, client="a", image="b"))
    assert re.fullmatch("[0-9A-F]{4}-[0-9A-F]{4}", identifier_value(VFAT, client="a", image="b"))


def test_the_same_every_time() -> None:
    """These very values are on disks out there: another namespace would be another machine."""
    assert identifier_value(UUID, client="web1", image="web") == WANTED_UUID
    assert identifier_value(MBR, client="web1", image="web") == WANTED_MBR
    assert identifier_value(VFAT, client="web1", image="web") == WANTED_VFAT


WANTED_UUID = "259d67e3-728b-5f2d-a7d9-fb43518c667e"
WANTED_MBR = "0x2408ff3c"
WANTED_VFAT = "FC2A-E87B"


def test_no_number_is_the_one_that_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uuid, "uuid5", lambda *_: uuid.UUID(int=5))
    assert identifier_value(MBR, client="a", image="b") == "0x00000001"
    assert identifier_value(VFAT, client="a", image="b") == "0000-0001"


def test_never_shared() -> None:
    values = {
        identifier_value(Identifier(variable, IdentifierKind.UUID), client=client, image=image)
        for client in ("web1", "web2")
        for image in ("web", "db")
        for variable in ("UUID_root", "UUID_boot")
    }
    assert len(values) == 8


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("client", {"client": "../x"}),
        ("image", {"image": "a b"}),
        ("flavor", {"flavor": "../etc"}),
        ("override", {"overrides": ("ok", "-x")}),
    ],
)
def test_names_are_checked(kind: str, changes: dict[str, Any]) -> None:
    with pytest.raises(NameInvalid, match=rf"\b{kind}\b"):
        header(**changes)


def test_what_a_swarm_does_not_give_comes_otherwise() -> None:
    assert header(transport="torrent", fallback="http")["SI_FALLBACK"] == "http"
