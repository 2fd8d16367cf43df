"""Rendered words, read back by real shells."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from si.script.render import render_steps
from si.script.steps import Command, Heredoc, Let, Variable, Word

NASTY = (
    *("plain", "", " ", "a b", "$HOME", "$(id)", "`id`", "'", '"', "\\", "\\\\", "a\\", "*", "~"),
    *(
        "-n",
        "%s",
        "!",
        "#",
        "&",
        ";",
        "|",
        ">x",
        "$((1+1))",
        "${x}",
        "ä€",
        "\t",
        "\n",
        "a\nb",
        "EOF",
    ),
)
SHELLS = (("sh",), ("busybox", "sh"), ("bash", "--posix"))


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_words_arrive_as_they_are(shell: tuple[str, ...]) -> None:
    words: list[Word] = list(NASTY)
    words += [(text, Variable("V"), text) for text in NASTY]
    show = Command(("printf", "%s\\0", *words))
    script = render_steps((Let("V", "val ue"), show))
    done = subprocess.run([*shell, "-euc", script], capture_output=True, check=True)
    wanted = [*NASTY, *(f"{text}val ue{text}" for text in NASTY)]
    assert done.stdout.decode().split("\0")[:-1] == wanted


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_lines_of_a_file_arrive_as_they_are(shell: tuple[str, ...], tmp_path: Path) -> None:
    lines = [text for text in NASTY if "\n" not in text]
    path = tmp_path / "a b"
    words: tuple[Word, ...] = (*lines, *((text, Variable("V"), text) for text in lines))
    script = render_steps((Let("V", "$x"), Heredoc(str(path), words)))
    subprocess.run([*shell, "-euc", script], check=True)
    assert path.read_text().splitlines() == [*lines, *(f"{text}$x{text}" for text in lines)]
