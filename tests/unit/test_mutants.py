"""What `make mutants` changes, and which reasons it takes."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent

import pytest

from scripts.mutants.change import Place, find_changes
from scripts.mutants.reasons import ReasonsInvalid, parse_reasons
from scripts.mutants.record import Figure, Record


def changes(source: str) -> list[str]:
    return [f"{found.where}: {found.text}" for found in find_changes(ast.parse(dedent(source)))]


def test_what_decides_is_changed() -> None:
    source = """
        def f(a, b=1):
            if a < b and not a:
                return g(a, key=b)
    """
    assert changes(source) == [
        "f: 1 => 2",
        "f: a < b and (not a) => a < b or not a",
        "f: a < b => a <= b",
        "f: a < b => a >= b",
        "f: not a => a",
        "f: return g(a, key=b) => return None",
        "f: g(a, key=b) => g(a)",
    ]


def test_wording_is_left_alone_but_for_its_values() -> None:
    source = '''
        def f(a):
            """Of no use."""
            yield 3, f"{a + 1} is too much", "plain"
    '''
    assert [text.split(": ", 1)[1] for text in changes(source)] == [
        "yield (3, f'{a + 1} is too much', 'plain') => yield from ()",
        "(3, f'{a + 1} is too much', 'plain') => (4, f'{a + 1} is too much', 'plain')",
        "a + 1 => a - 1",
        "a + 1 => a + 2",
        "(3, f'{a + 1} is too much', 'plain') => (3, f'{a + 1} is too much', 'plainX')",
    ]


def test_what_runs_at_import_says_so() -> None:
    source = """
        A = 1
        class B:
            c: int = 2
            def d(self):
                return 3
    """
    found = find_changes(ast.parse(dedent(source)))
    places = [(change.place, change.where) for change in found]
    assert places == [
        (Place.MODULE, "module"),
        (Place.CLASS, "B"),
        (Place.FUNCTION, "B.d"),
        (Place.FUNCTION, "B.d"),
    ]


def test_two_changes_of_one_text_are_told_apart() -> None:
    first, second = changes("A = 1\nB = 1\n")
    assert second == f"{first} (2)"


def test_a_change_is_made_in_the_tree() -> None:
    tree = ast.parse("a = b == 1")
    find_changes(tree)[0].apply()
    assert ast.unparse(tree) == "a = b != 1"


def test_one_reason_may_be_that_of_several_changes() -> None:
    text = "# For its reader.\n\na.py f: 1 => 2\na.py g: 1 => 2\n    Because it\n    is so.\n"
    assert parse_reasons(text) == dict.fromkeys(
        ("a.py f: 1 => 2", "a.py g: 1 => 2"), "Because it is so."
    )


@pytest.mark.parametrize(
    "text",
    [
        "a.py f: 1 => 2\n",
        "    A reason of nothing.\n",
        "a.py f\n    No change.\n",
        "a.py f: 1 => 2\n    Once.\na.py f: 1 => 2\n    Twice.\n",
    ],
)
def test_a_change_without_a_reason_is_refused(text: str) -> None:
    with pytest.raises(ReasonsInvalid):
        parse_reasons(text)


def test_figures_add_up_until_a_module_changes(tmp_path: Path) -> None:
    modules = [tmp_path / f"{name}.py" for name in "abc"]
    for module in modules:
        module.write_text("x = 1\n")
    file = tmp_path / "build/mutants.json"
    Record(file).note(modules[0], 40, 1)
    record = Record(file)
    record.note(modules[1], 60, 2)
    assert record.sum_of(modules) == Figure(2, 1, 100, 3)
    text = "3 of 100 changes in 2 modules are alive: 3.0%; 1 modules are to be tried"
    assert str(record.sum_of(modules)) == text
    modules[0].write_text("x = 2\n")
    assert Record(file).sum_of(modules) == Figure(1, 2, 60, 2)
