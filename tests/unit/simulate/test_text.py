"""Tables and curves as people read them."""

from __future__ import annotations

from scripts.simulate.text import bar, curves, spell_time, table


def test_times_as_people_read_them() -> None:
    assert [spell_time(s) for s in (0.4, 59.6, 600, 3599.6, 12859)] == [
        "0:00", "1:00", "10:00", "1:00:00", "3:34:19",
    ]  # fmt: skip


def test_figures_stand_right_and_words_left() -> None:
    assert table(("what", "n"), [("a", "1"), ("bcdef", "10")]) == [
        "what    n",
        "a       1",
        "bcdef  10",
    ]


def test_whatever_is_there_has_a_bar() -> None:
    assert (bar(0.001, 10, 20), bar(5, 10, 20)) == ("#", "#" * 10)


def test_a_power_is_a_straight_line_in_the_drawing() -> None:
    lines = {"a": [(1.0, 1.0), (100.0, 100.0)], "b": [(1.0, 10.0), (100.0, 10.0)]}
    ticks = {1.0: "1", 10.0: "10", 100.0: "100"}
    assert curves(lines, ticks, width=5, height=5) == [
        "100 +    a",
        "    |   a",
        " 10 +bbbbb",
        "    | a",
        "  1 +a",
        "    ++-+-+",
        "     1 10100",
    ]
