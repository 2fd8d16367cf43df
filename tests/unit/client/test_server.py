"""Texts from and for the server: addresses, update.json, client.json."""

from __future__ import annotations

import dataclasses
import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.boot.identity import render_identity
from si.client.identity import (
    Identity,
    dump_identity,
    load_identity,
    parse_identity,
    write_identity,
)
from si.client.server import parse_server, parse_update
from si.client.wanted import Answer
from si.cluster import Client
from si.errors import ConfigInvalid, NameInvalid, ServerUnreachable, SIError, UpdateRefused

IDENTITY = Identity("http://10.0.0.1:8080", "web1", "T0ken-_", "web", "x86_64", "2026-11-21T12:00Z")
UPDATE: dict[str, Any] = {
    "format": 1,
    "client": "web1",
    "image": "web",
    "arch": "x86_64",
    "captured": "2026-11-21T12:00:00Z",
    "size_bytes": 5,
    "rsync": "rsync://10.0.0.1:873",
    "overrides": ["all", "web1"],
}


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("10.0.0.1", "http://10.0.0.1:8080"),
        ("imgsrv:81", "http://imgsrv:81"),
        ("[fd00::1]", "http://[fd00::1]:8080"),
        ("[fd00::1]:81", "http://[fd00::1]:81"),
        ("http://imgsrv:81/", "http://imgsrv:81"),
    ],
)
def test_server_addresses(text: str, base: str) -> None:
    assert parse_server(text) == base


@pytest.mark.parametrize("text", ["", "a b", "a/b", "ftp://a:1", "a:0", "a:70000", "user@a", "a:x"])
def test_bad_server_addresses(text: str) -> None:
    with pytest.raises(ServerUnreachable):
        parse_server(text)


def test_update() -> None:
    update = parse_update(json.dumps({**UPDATE, "newer": "field"}), "u")
    assert update.overrides == ("all", "web1")
    assert update.rsync == "rsync://10.0.0.1:873"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"format": 2}, UpdateRefused),
        ({"image": "../web"}, NameInvalid),
        ({"overrides": ["-x"]}, NameInvalid),
        ({"overrides": "all"}, UpdateRefused),
        ({"rsync": "rsync://a:873/module"}, UpdateRefused),
        ({"rsync": "-e sh:1"}, UpdateRefused),
        ({"size_bytes": "5"}, UpdateRefused),
        ({"captured": "a\nb\x1b"}, UpdateRefused),
    ],
)
def test_bad_updates(change: dict[str, Any], error: type[SIError]) -> None:
    with pytest.raises(error):
        parse_update(json.dumps({**UPDATE, **change}), "u")


@given(st.binary(max_size=300))
def test_any_answer_is_an_update_or_an_error(answer: bytes) -> None:
    with pytest.raises(SIError):
        parse_update(answer, "u")


@pytest.mark.parametrize(
    ("said", "version"), [({}, None), ({"version": None}, None), ({"version": 7}, 7)]
)
def test_an_image_may_have_no_version(said: dict[str, Any], version: int | None) -> None:
    assert parse_update(json.dumps({**UPDATE, **said}), "u").version == version


@pytest.mark.parametrize(
    ("said", "signature"),
    [
        ({}, b""),
        ({"signed": {"version": 3, "signature": "S\n"}}, b"S\n"),
        ({"signed": {"version": 2, "signature": "S\n"}}, b""),
    ],
)
def test_only_the_signature_of_the_version_that_is_wanted_counts(
    said: dict[str, object], signature: bytes
) -> None:
    update = parse_update(json.dumps({**UPDATE, **said}), "u")
    assert Answer("http://10.0.0.1:8080", update, 3, None).signature == signature


@pytest.mark.parametrize("said", [None, "S", {"version": 0, "signature": "S"}, {"version": 3}])
def test_a_signature_that_is_none_is_refused(said: object) -> None:
    with pytest.raises(UpdateRefused):
        parse_update(json.dumps({**UPDATE, "signed": said}), "u")


@pytest.mark.parametrize("said", [0, -1, "7", 1.5, True])
def test_what_is_no_version(said: object) -> None:
    with pytest.raises(UpdateRefused, match="version is not"):
        parse_update(json.dumps({**UPDATE, "version": said}), "u")


def test_the_server_writes_what_the_client_reads() -> None:
    files = render_identity(
        Client("web1"),
        server_url=IDENTITY.server,
        token=secrets.token_urlsafe(32),
        image="web",
        version=12,
        captured="2026-11-21T12:00:00Z",
        arch="x86_64",
        backend="ifupdown",
        site_key="ssh-ed25519 AAAA si site key\n",
    )
    (text,) = (file.text for file in files if file.path == "etc/systemimager/client.json")
    assert parse_identity(text, "c").client == "web1"
    assert parse_identity(text, "c").version == 12
    assert parse_identity(text.replace("12,", "null,"), "c").version is None


def test_identity_comes_back() -> None:
    assert parse_identity(dump_identity(IDENTITY), "c") == IDENTITY


@pytest.mark.parametrize(
    "change",
    [
        {"server": "http://a"},
        {"server": "http://a:1/x"},
        {"server": "https://a:1"},
        {"token": "../../x"},
        {"token": ""},
        {"client": "a b"},
        {"arch": "a b"},
        {"version": 0},
        {"version": "1"},
        {"version": True},
    ],
)
def test_bad_identities(change: dict[str, Any]) -> None:
    with pytest.raises((ConfigInvalid, NameInvalid)):
        parse_identity(dump_identity(dataclasses.replace(IDENTITY, **change)), "c")


def test_identity_is_replaced_without_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "client.json"
    assert load_identity(file) is None
    write_identity(file, IDENTITY)
    before = tmp_path.stat().st_mtime_ns
    newer = dataclasses.replace(IDENTITY, captured="2026-11-22T12:00Z")
    write_identity(file, newer)
    assert load_identity(file) == newer
    assert file.stat().st_mode & 0o777 == 0o600
    assert tmp_path.stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["client.json"]
