"""Layouts and facts to master scripts, compared with texts that a person has read.

A case is a folder with layout.xml, or facts.json (or the name of a machine of tests/machines in
facts.from), or both; the cases whose names begin with `example-` take the layout of that name from
schemas/examples, and those that begin with `row-` are the rows of the matrix.
`pytest tests/golden --update-golden` writes the texts anew.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.lab.matrix import LAYOUTS
from scripts.lab.rows import ROWS
from si.client.record import Facts, parse_facts
from si.layout.contradict import with_capacities
from si.layout.document import load_layout
from si.layout.infer import infer_layout
from si.script.bootloader import kernel_arguments
from si.script.master import is_hand_edited, make_master

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "schemas/examples"
MACHINES = HERE.parent / "machines"
CASES = sorted(path.name for path in HERE.iterdir() if path.is_dir() and path.name[0] != "_")
# The two sourced files exist only in BOEL: /lib/boel/functions.sh and /run/boel/header.sh.
SHELLCHECK = ("shellcheck", "--shell=sh", "--exclude=SC1091")


def find_facts(case: Path) -> Path:
    kind, _, name = case.name.partition("-")
    if kind == "row":
        return MACHINES / f"{ROWS[name].source or name}.json"
    named = case / "facts.from"
    return MACHINES / f"{named.read_text().strip()}.json" if named.exists() else case / "facts.json"


def read_facts(case: Path) -> Facts | None:
    path = find_facts(case)
    return parse_facts(path.read_bytes(), path.name) if path.exists() else None


def find_document(case: Path) -> Path:
    kind, _, name = case.name.partition("-")
    return {"example": EXAMPLES / f"{name}.xml", "row": LAYOUTS / f"{name}.xml"}.get(
        kind, case / "layout.xml"
    )


def make(case: Path) -> str:
    facts = read_facts(case)
    document = find_document(case)
    if document.exists():
        layout = load_layout(document.read_bytes(), document.name)
    else:
        assert facts is not None
        layout = infer_layout(facts)
    return make_master(
        layout if facts is None else with_capacities(layout, facts),
        image="web",
        layout_name="web.xml",
        kernel_args=() if facts is None else kernel_arguments(facts.kernel.cmdline),
    )


@pytest.mark.parametrize("name", CASES)
def test_the_script_is_the_one_that_was_read(name: str, update_golden: bool) -> None:
    expected = HERE / name / "expected.master"
    text = make(HERE / name)
    if update_golden:
        expected.write_text(text)
    assert text == expected.read_text()
    assert not is_hand_edited(text)


@pytest.mark.parametrize("name", CASES)
def test_the_script_is_clean_shell(name: str) -> None:
    path = HERE / name / "expected.master"
    assert shutil.which("shellcheck"), "install the package shellcheck"
    for argv in (("dash", "-n"), ("busybox", "sh", "-n"), SHELLCHECK):
        done = subprocess.run([*argv, str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_example_has_a_case() -> None:
    wanted = {f"example-{path.stem}" for path in EXAMPLES.glob("*.xml")}
    assert wanted == {name for name in CASES if name.startswith("example-")}


def test_every_row_of_the_matrix_has_a_case() -> None:
    assert {f"row-{name}" for name in ROWS} == {name for name in CASES if name.startswith("row-")}
