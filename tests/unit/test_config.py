"""si.toml: what it may say, and how it is told that it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from si.config import load_settings
from si.errors import ConfigInvalid


def write(root: Path, text: str) -> Path:
    file = root / "etc/systemimager/si.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_a_missing_file_means_all_defaults(tmp_path: Path) -> None:
    settings = load_settings(root=tmp_path, config=None)
    assert (settings.server.http_port, settings.install.attempts) == (8080, 3)


def test_a_missing_file_that_was_named_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"cannot read .*no\.toml: No such file"):
        load_settings(root=tmp_path, config=tmp_path / "no.toml")


def test_what_it_says_counts(tmp_path: Path) -> None:
    write(tmp_path, '[server]\nnetworks = ["10.0.0.0/8"]\nhttp_port = 80\n')
    server = load_settings(root=tmp_path, config=None).server
    assert (server.networks, server.http_port) == (("10.0.0.0/8",), 80)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nhttp_prot = 80\n", "unknown field `http_prot`"),
        ('[server]\nhttp_port = "80"\n', "Expected `int`, got `str`"),
        ("[servers]\n", "unknown field `servers`"),
        ("[server\n", "line 1"),
        ("[server]\nlisten = '\xff'\n".encode("latin-1").decode("utf-8", "surrogateescape"), ""),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "si.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigInvalid) as caught:
        load_settings(root=tmp_path, config=file)
    assert str(file) in caught.value.message
    assert said in caught.value.message


def test_root_moves_every_path(tmp_path: Path) -> None:
    settings = load_settings(root=tmp_path, config=None)
    for path in (settings.etc, settings.images, settings.flavors, settings.clients, settings.run):
        assert path.is_relative_to(tmp_path)
