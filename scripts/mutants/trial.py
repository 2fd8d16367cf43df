"""Tries changes of modules: a fork of one warm pytest for each, with the tests that run its lines.

A plugin, for pytest to have collected the tests and imported the modules once. A changed function
or constant is put in the place of the one that stands there (`place`), and the tests run at once;
only a change of a class makes the fork import and collect anew. The first test that fails ends a
fork, and so does a multiple of the processor time that a test takes without a change. Property
tests try the same few examples in every run.
"""

from __future__ import annotations

import ast
import gc
import os
import resource
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
from coverage import Coverage
from hypothesis import Phase, settings

from scripts.mutants.change import Change, Place, find_changes, uses_of
from scripts.mutants.place import ROOT, ImportFails, Standing, find_standing, import_changed

SOURCES = (ROOT / "si/layout", ROOT / "si/script")
_OPTIONS = (
    *("-o", "addopts=--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:terminal"),
    # It reads nothing but committed scripts.
    "--deselect=tests/golden/test_golden.py::test_the_script_is_clean_shell",
    *("--capture=sys", "--assert=plain", "--rootdir", str(ROOT)),
)
_EXAMPLES = 10
_UNNOTICED, _NOTICED, _BROKEN = 0, 1, 2
_MOST_BYTES = 2 << 30
_LEAST_S, _SLOWER = 2, 10
"""Seconds that a test may take in any case, and how many times as long as unchanged."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change, and whether a test noticed."""

    change: Change
    noticed: bool


Report = Callable[[Path, list[Mutant]], None]
"""Told of each module, when all its changes were tried."""


class TestsFail(Exception):
    """Tests that fail without any change say nothing of changes."""


def try_changes(modules: Iterable[Path], tests: Iterable[str], report: Report) -> None:
    """Try every change of `modules`. Raises TestsFail."""
    plugin = _Trial(tuple(modules), report)
    status = pytest.main([*_OPTIONS, *tests], plugins=[_Profile(), plugin])
    if plugin.failed or status != pytest.ExitCode.OK:
        raise TestsFail(", ".join(plugin.failed) or f"pytest ended with {status!r}")


class _Profile:
    """The settings of property tests: the same examples in every run, no search for a small one."""

    def pytest_collection(self) -> None:
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile(
            "mutants",
            deadline=None,
            derandomize=True,
            database=None,
            phases=phases,
            max_examples=_EXAMPLES,
        )
        settings.load_profile("mutants")


class _Trial:
    def __init__(self, modules: tuple[Path, ...], report: Report) -> None:
        self.failed: list[str] = []
        self._modules = modules
        self._report = report
        self._is_fork = False
        self._notice = -1
        self._noticed_by: Counter[str] = Counter()
        self._items: dict[str, pytest.Item] = {}
        self._took_s: dict[str, float] = {}
        self._runs: dict[tuple[Path, int], set[str]] = {}
        self._uses: dict[str, set[tuple[Path, int]]] = defaultdict(set)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        if call.excinfo is None or call.excinfo.errisinstance(pytest.skip.Exception):
            return
        if self._is_fork:
            os.write(self._notice, item.nodeid.encode())
            os._exit(_NOTICED)
        self.failed.append(f"{item.nodeid}: {call.excinfo.exconly()}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        self._measure()
        if self.failed:
            return True
        standing = {module: find_standing(module) for module in self._modules}
        # What is never collected is not written to, so that forks share it.
        gc.freeze()
        self._check_fork(standing[self._modules[0]])
        for module in self._modules if not self.failed else ():
            self._noticed_by.clear()
            tree = ast.parse(module.read_bytes())
            mutants = []
            for change in find_changes(tree):
                attempt = self._attempt(standing[module], tree, change)
                mutants.append(Mutant(change, self._fork(attempt)))
            self._report(module, mutants)
        return True

    def _check_fork(self, standing: Standing) -> None:
        """Without a change, tests in a fork notice nothing."""
        text = standing.path.read_text()
        tree = ast.parse(text)
        nothing = Change(
            *(Place.FUNCTION, "", (1, text.count("\n")), ""), tree, "body", None, tree.body
        )
        if self._fork(self._attempt(standing, tree, nothing)):
            self.failed.append(f"{standing.path}: unchanged, but put in its own place")

    def _measure(self) -> None:
        """What each test runs, and how long it takes; and which lines read a name."""
        include = [f"{folder}/*" for folder in SOURCES]
        coverage = Coverage(data_file=None, config_file=False, include=include)
        coverage.start()
        for name, item in self._items.items():
            coverage.switch_context(name)
            before = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            self._took_s[name] = time.process_time() - before
        coverage.stop()
        data = coverage.get_data()
        for path in map(Path, data.measured_files()):
            for line, found in data.contexts_by_lineno(str(path)).items():
                self._runs[path, line] = set(found) - {""}
            for name, line in uses_of(ast.parse(path.read_bytes())):
                self._uses[name].add((path, line))

    def _attempt(self, standing: Standing, tree: ast.Module, change: Change) -> Callable[[], None]:
        def in_place() -> None:
            change.apply()
            names = standing.put(tree)
            if change.place is Place.FUNCTION:
                first, last = change.lines
                lines = {(standing.path, line) for line in range(first, last + 1)}
            else:
                lines = set[tuple[Path, int]]().union(*(self._uses[name] for name in names))
            for name in self._tests_of(lines):
                self._limit([name])
                item = self._items[name]
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)

        def anew() -> None:
            files: dict[str, list[str]] = defaultdict(list)
            for name in self._tests_of(self._runs):
                files[name.split("::")[0]].append(name)
            self._limit(self._items)
            change.apply()
            import_changed(standing.path, tree)
            _silence()
            for tests in files.values():
                if pytest.main([*_OPTIONS, "-x", *tests], plugins=[_Profile()]):
                    os._exit(_NOTICED)

        self._is_fork = change.place is not Place.CLASS
        return anew if change.place is Place.CLASS else in_place

    def _fork(self, attempt: Callable[[], None]) -> bool:
        """Whether the attempt, in a process of its own, did not come to its end."""
        read, self._notice = os.pipe()
        child = os.fork()
        if child == 0:
            _end_with(attempt)
        os.close(self._notice)
        with os.fdopen(read) as notice:
            self._noticed_by.update(notice.read().splitlines())
        _pid, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _BROKEN:
            raise RuntimeError("a fork broke before its tests ran; its traceback is above")
        return status != _UNNOTICED

    def _tests_of(self, lines: Iterable[tuple[Path, int]]) -> list[str]:
        """Those that run one of the lines: first what noticed much so far, then what is quick."""
        found = set[str]().union(*(self._runs.get(line, set()) for line in lines))
        return sorted(found, key=lambda name: (-self._noticed_by[name], self._took_s[name]))

    def _limit(self, tests: Iterable[str]) -> None:
        """End this fork when these tests take much longer than they do without a change."""
        took_s = sum(self._took_s[name] for name in tests)
        most_s = round(time.process_time() + _LEAST_S + _SLOWER * took_s)
        resource.setrlimit(resource.RLIMIT_CPU, (most_s, resource.RLIM_INFINITY))


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _end_with(attempt: Callable[[], None]) -> NoReturn:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))
        attempt()
    except ImportFails:
        os._exit(_NOTICED)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        os._exit(_BROKEN)
    os._exit(_UNNOTICED)
