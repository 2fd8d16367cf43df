"""The one-file client program: same bytes every time, and nothing but a stock Python needed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from si.boot.clientapp import build_client_app, write_client_app

STOCK = "/usr/bin/python3"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "si-client.pyz"
    write_client_app(file)
    return file


def test_two_builds_have_the_same_bytes(tmp_path: Path) -> None:
    script = "import sys; from si.boot.clientapp import build_client_app as b; "
    script += "sys.stdout.buffer.write(b())"
    other = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"},
        umask=0o077,
        capture_output=True,
        check=True,
    )
    assert other.stdout == build_client_app()


def test_runs_on_the_stock_python_with_nothing_installed(program: Path, tmp_path: Path) -> None:
    """-S: not even site-packages; in a folder where no `si` lies around."""
    assert Path(STOCK).exists()
    for word in ("prepareclient", "updateclient", "audit", "report"):
        done = subprocess.run(
            [STOCK, "-ISB", program, word, "--help"], capture_output=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(b"usage: si-")


def test_runs_as_a_program_of_its_own(program: Path) -> None:
    done = subprocess.run([program, "--version"], capture_output=True)
    assert done.returncode == 0, done.stderr


def test_usage_errors_end_with_2(program: Path) -> None:
    for words in ([], ["nothing"], ["prepareclient"], ["updateclient", "--bogus"]):
        done = subprocess.run([STOCK, program, *words], capture_output=True)
        assert done.returncode == 2, words
        assert b"usage:" in done.stderr


def test_all_of_it_is_python_3_9(program: Path) -> None:
    """Syntax, and that nothing is imported but the standard library and the file itself."""
    with zipfile.ZipFile(program) as archive:
        names = set(archive.namelist())
        for name in sorted(names):
            tree = ast.parse(archive.read(name), filename=name, feature_version=(3, 9))
            for module in _imported(tree):
                if module.partition(".")[0] == "si":
                    path = module.replace(".", "/")
                    assert {f"{path}.py", f"{path}/__init__.py"} & names, f"{name}: {module}"
                else:
                    assert module.partition(".")[0] in sys.stdlib_module_names, f"{name}: {module}"
            if name not in ("__main__.py",) and _has_annotations(tree):
                assert "__future__" in _imported(tree), f"{name} evaluates its annotations"


def _imported(tree: ast.Module) -> set[str]:
    found = set()
    for item in ast.walk(tree):
        if isinstance(item, ast.Import):
            found |= {alias.name for alias in item.names}
        elif isinstance(item, ast.ImportFrom):
            assert item.level == 0
            found.add(item.module or "")
    return found


def _has_annotations(tree: ast.Module) -> bool:
    return any(isinstance(item, (ast.FunctionDef, ast.AnnAssign)) for item in ast.walk(tree))
