"""Words for ssh and rsync."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from si.cluster import Client
from si.errors import NameInvalid
from si.fleet.reach import Way, command_words, copy_words

WEB1 = Client("web1", ip=IPv4Address("10.0.0.1"))


def test_an_address_is_dialled_and_the_name_kept_for_the_host_key() -> None:
    words = command_words(Way(), WEB1, "uptime -p")
    assert "HostName=10.0.0.1" in words
    assert "HostKeyAlias=web1" in words
    assert words[-3:] == ("--", "web1", "uptime -p")
    assert "BatchMode=yes" in words
    assert not any("HostName" in word for word in command_words(Way(), Client("web2"), "true"))


def test_what_the_administrator_says_of_ssh() -> None:
    way = Way(Path("/etc/x y"), "admin", 7)
    words = command_words(way, WEB1, "true")
    assert words[words.index("-F") + 1] == "/etc/x y"
    assert {"User=admin", "ConnectTimeout=7"} <= set(words)
    assert "-F '/etc/x y'" in next(
        word for word in copy_words(way, WEB1, ["a"], "/b") if "-F" in word
    )


def test_no_name_is_an_option() -> None:
    stranger = Client("-oProxyCommand=x")
    with pytest.raises(NameInvalid):
        command_words(Way(), stranger, "true")
    with pytest.raises(NameInvalid):
        copy_words(Way(), stranger, ["a"], "/b")


def test_sources_are_local_files() -> None:
    words = copy_words(Way(), WEB1, ["-e", "web2:/x", "/abs:1"], "/to")
    assert words[words.index("--") + 1 :] == ("./-e", "./web2:/x", "/abs:1", "web1:/to")
