"""Who may fetch, who waits, in which place, and that nobody who died is waited for."""

from __future__ import annotations

from si.serve.turns import SILENT_S, Turn, Turns


def ask(turns: Turns, client: str, now: float = 0.0, *, served: bool = False) -> tuple[int, int]:
    turn = turns.ask(client, now, served=served)
    return turn.place, turn.waiting


def test_so_many_at_once_and_the_others_in_the_order_in_which_they_came() -> None:
    turns = Turns(2)
    assert [ask(turns, name) for name in "abcd"] == [(0, 0), (0, 0), (1, 1), (2, 2)]
    assert ask(turns, "d", 1) == (2, 2)
    turns.leave("a")
    assert ask(turns, "d", 2) == (2, 2)
    assert ask(turns, "c", 3) == (0, 1)
    assert ask(turns, "d", 4) == (1, 1)


def test_who_comes_when_a_place_has_become_free_does_not_pass_those_that_wait() -> None:
    turns = Turns(1)
    assert [ask(turns, name) for name in "ab"] == [(0, 0), (1, 1)]
    turns.leave("a")
    assert ask(turns, "c") == (2, 2)
    assert ask(turns, "b") == (0, 1)


def test_how_long_it_waits_counts_from_its_first_question() -> None:
    turns = Turns(1)
    turns.ask("a", 0, served=False)
    turns.ask("b", 10, served=False)
    turns.ask("a", 30, served=True)
    assert turns.ask("b", 40, served=False) == Turn(1, 1, 30)


def test_who_falls_silent_is_forgotten_served_or_waiting() -> None:
    turns = Turns(1)
    assert [ask(turns, name) for name in "abc"] == [(0, 0), (1, 1), (2, 2)]
    assert ask(turns, "c", SILENT_S) == (2, 2)
    assert ask(turns, "c", SILENT_S + 1) == (0, 0)


def test_who_asks_again_keeps_its_turn() -> None:
    turns = Turns(1)
    for now in range(0, 200, 20):
        assert ask(turns, "a", now)[0] == 0
        assert ask(turns, "b", now) == (1, 1)


def test_a_server_that_was_started_anew_stops_nobody_who_was_served() -> None:
    turns = Turns(1)
    assert ask(turns, "new") == (0, 0)
    assert ask(turns, "old", served=True) == (0, 0)
    assert ask(turns, "third") == (1, 1)
    turns.leave("new")
    assert ask(turns, "third") == (1, 1)
    turns.leave("old")
    assert ask(turns, "third") == (0, 0)


def test_none_waits_where_there_is_no_bound() -> None:
    turns = Turns(0)
    assert {ask(turns, str(number)) for number in range(50)} == {(0, 0)}


def test_a_client_that_gives_up_waiting_leaves_the_queue() -> None:
    turns = Turns(1)
    assert [ask(turns, name) for name in "abc"] == [(0, 0), (1, 1), (2, 2)]
    turns.leave("b")
    assert ask(turns, "c") == (1, 1)
