"""Which names are fit to become paths, modules and words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.errors import NameInvalid
from si.names_check import check_name


@pytest.mark.parametrize("name", ["web", "Web-1", "1", "web_2.example.org", "a" * 128, "a-"])
def test_fit_names_come_back(name: str) -> None:
    assert check_name("image", name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "a..b", "a/b", "/a", "-a", ".a", "_a", "a b", "a\n", "a\x00", "a" * 129),
        *("é", "a;b", "$(a)", "a\\b", "a:b", "a@1", "web1\u0662"),
    ],
)
def test_others_are_refused(name: str) -> None:
    with pytest.raises(NameInvalid) as caught:
        check_name("image", name)
    assert caught.value.message == f"{name!r} cannot be the name of an image"
    assert caught.value.hint is not None


@given(st.text(max_size=200))
def test_nothing_dangerous_passes(text: str) -> None:
    try:
        name = check_name("client", text)
    except NameInvalid:
        return
    assert name.isascii()
    assert not set(name) & set("/\\ \n\t'\"$`;&|<>*?()[]{}!#~:@\x00")
    assert ".." not in name
    assert name[0] not in "-._"
