"""Every word survives the shell; a real shell is asked in tests/integration/test_quoting.py."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.script.render import quote, render_steps
from si.script.steps import (
    Arithmetic,
    Assign,
    Call,
    Capture,
    Command,
    Comment,
    Heredoc,
    Let,
    Phase,
    PhaseName,
    Require,
    Variable,
)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_a_plain_word_survives(text: str) -> None:
    assert shlex.split(quote(text)) == [text]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0$`")))
def test_a_text_beside_a_variable_survives(text: str) -> None:
    word = quote((text, Variable("X"), text))
    before, mark, after = word[1:-1].partition("$X" if "$X" in word else "${X}")
    assert mark
    for half in (before, after):
        assert shlex.split(f'"{half}"') == [text]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("/dev/vda", "/dev/vda"),
        ("", "''"),
        ("a b", "'a b'"),
        ('""', "'\"\"'"),
        ((Variable("UUID_root"),), '"$UUID_root"'),
        (("uuid=", Variable("U")), '"uuid=$U"'),
        ((Variable("U"), "MiB"), '"${U}MiB"'),
        ((Variable("U"), Variable("V")), '"$U$V"'),
        ((Variable("U"), " x"), '"$U x"'),
        ((Variable("U", "%-*"), Variable("U", "#*-")), '"${U%-*}${U#*-}"'),
        ((Arithmetic("a + 3"), "MiB"), '"$((a + 3))MiB"'),
        (('$x`y"\\', Variable("U")), '"\\$x\\`y\\"\\\\$U"'),
    ],
)
def test_words(word: str | tuple[str, ...], text: str) -> None:
    assert quote(word) == text


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "a;b", "a}"])
def test_what_is_no_variable_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        quote((Variable(name),))


@pytest.mark.parametrize("expression", ["", "a; b", "$(x)", "`x`", "a$b", "a\nb"])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="not an expression"):
        quote((Arithmetic(expression),))


def test_steps() -> None:
    steps = (
        Require(("A", "B")),
        Phase(PhaseName.PARTITION),
        Comment(("about\n$(x)", "", "more")),
        Command(("wipefs", "--all", "/dev/a b")),
        Command(("parted", "/dev/vda"), (("mklabel", "gpt"), ("rm", "1"))),
        Call("check_disk", ("/dev/vda", "123")),
        Call("finish"),
        Let("features", "a,b c"),
        Capture("bytes", ("blockdev", "/dev/vda")),
        Assign("end", Arithmetic("bytes / 1048576 - 1")),
    )
    assert render_steps(steps) == (
        ': "${A:?}"\n'
        ': "${B:?}"\n'
        "\n"
        "phase partition\n"
        "# about?$(x)\n"
        "#\n"
        "# more\n"
        "wipefs --all '/dev/a b'\n"
        "parted /dev/vda \\\n"
        "    mklabel gpt \\\n"
        "    rm 1\n"
        "check_disk /dev/vda 123\n"
        "finish\n"
        "features='a,b c'\n"
        "bytes=$(blockdev /dev/vda)\n"
        "end=$((bytes / 1048576 - 1))\n"
    )


def test_a_file() -> None:
    lines = ('plain $x `y` \\z "q"', ("UUID=", Variable("U"), " /"), "EOF", "EOF_")
    assert render_steps([Heredoc("/a/etc/fstab", lines)]) == (
        'cat >/a/etc/fstab <<EOF__\nplain \\$x \\`y\\` \\\\z "q"\nUUID=$U /\nEOF\nEOF_\nEOF__\n'
    )


def test_a_line_of_a_file_is_one_line() -> None:
    with pytest.raises(ValueError, match="line break"):
        render_steps([Heredoc("/x", ("a\nb",))])
