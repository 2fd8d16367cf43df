"""The one-file client program: same bytes every time, and nothing but a stock Python needed."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from si.boot.clientapp import build_client_app, write_client_app
from si.client.archive import with_bytecode

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


_TELL = "import sys; sys.path.insert(0, sys.argv[1]); import si.client.main as m; print(m.__file__)"


def test_bytecode_of_the_same_python_is_used(program: Path) -> None:
    program.write_bytes(with_bytecode(program.read_bytes()))
    assert _tell_main(program) == f"{program}/si/client/main.pyc"


def test_bytecode_of_another_python_is_passed_over(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "MAGIC_NUMBER", b"\x01\x02\r\n")
    program.write_bytes(with_bytecode(program.read_bytes()))
    assert _tell_main(program) == f"{program}/si/client/main.py"


def test_bytecode_is_the_same_each_time(program: Path) -> None:
    """Or preparing once more would change a golden client, and so its next capture."""
    once = with_bytecode(program.read_bytes())
    assert with_bytecode(once) == once
    script = "import sys; from si.client.archive import with_bytecode as w; "
    script += "import si.client.main, si.client.sync; "
    script += "sys.stdout.buffer.write(w(sys.stdin.buffer.read()))"
    other = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        input=program.read_bytes(),
        capture_output=True,
        check=True,
    )
    assert other.stdout == once


def _tell_main(program: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-IB", "-c", _TELL, program], capture_output=True, check=True, text=True
    )
    return done.stdout.strip()


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
