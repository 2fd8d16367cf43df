"""Which pre- and post-install scripts run, in which order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from si.client.hooks import base_name, choose_scripts, is_script


def chosen(*names: str, image: str = "img", client: str = "web12") -> tuple[str, ...]:
    return choose_scripts(names, image=image, client=client, groups=("farm", "rack"))


def test_class_comes_before_number() -> None:
    assert chosen(
        "01web12.own", "02rack.second", "03farm.first", "04web.base", "05img.image", "99all.last",
        "10all.early",
    ) == (
        "10all.early", "99all.last", "05img.image", "04web.base", "03farm.first", "02rack.second",
        "01web12.own",
    )  # fmt: skip


def test_others_are_left_out() -> None:
    assert chosen(
        "10other.x", "10web1.x", "10web123.x", "10webb.x", "1all.x", "all.x", "10all", "100all.x",
        "10all.x~", "10all.x.bak", ".10all.x", "10all.", "README", "10all.a b", "10all.a\nb",
    ) == ()  # fmt: skip


def test_a_script_that_two_classes_choose_runs_once_where_it_was_first() -> None:
    names = ("10web.x", "20all.y", "10farm.z")
    assert chosen(*names, image="web", client="web7") == ("20all.y", "10web.x", "10farm.z")
    assert chosen("10all.x", image="all", client="all") == ("10all.x",)


def test_number_then_name_inside_a_class() -> None:
    assert chosen("20all.a", "10all.b", "10all.a") == ("10all.a", "10all.b", "20all.a")


def test_names_with_dots() -> None:
    assert chosen("10web.v1.fix", image="web.v1", client="db") == ("10web.v1.fix",)
    assert base_name("web12.example.org") == "web"
    assert base_name("7up") == ""
    assert chosen("10.x", client="7up") == ()


@given(st.lists(st.from_regex(r"[0-9]{2}(all|img|web|farm|web12)\.[a-z~]{1,4}", fullmatch=True)))
def test_order_of_the_folder_does_not_matter(names: list[str]) -> None:
    found = chosen(*names)
    assert found == chosen(*reversed(names))
    assert set(found) == {name for name in names if is_script(name)}
