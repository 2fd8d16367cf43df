"""Puts a changed module in the place of the one that all others have imported."""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.machinery
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

ROOT = Path(__file__).parents[2]
_Key = tuple[str, int]


class ImportFails(Exception):
    """The changed module cannot be imported."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A module as it was imported."""

    path: Path
    module: ModuleType
    functions: dict[_Key, FunctionType]

    def put(self, tree: ast.Module) -> list[str]:
        """Give its functions the code and defaults, and all who imported them the constants, that
        `tree` has. Gives the names of the constants that changed. Raises ImportFails."""
        namespace = {"__name__": self.module.__name__, "__file__": str(self.path)}
        code = compile(tree, str(self.path), "exec", dont_inherit=True)
        try:
            exec(code, namespace)
        except Exception as error:
            raise ImportFails from error
        for key, function in functions_of(self.path).items():
            standing = self.functions.get(key)
            if standing is not None and standing is not function:
                standing.__code__ = function.__code__
                standing.__defaults__ = function.__defaults__
                standing.__kwdefaults__ = function.__kwdefaults__
        changed = [name for name, value in namespace.items() if self._is_other(name, value)]
        for name in changed:
            before = vars(self.module)[name]
            for module in [module for key, module in sys.modules.items() if _is_ours(key)]:
                if vars(module).get(name) is before:
                    setattr(module, name, namespace[name])
        return changed

    def _is_other(self, name: str, value: object) -> bool:
        if name.startswith("__") or isinstance(value, FunctionType | type | ModuleType):
            return False
        before = vars(self.module)[name]
        return value is not before and value != before


def find_standing(path: Path) -> Standing:
    """What was imported from a file; all of it, so before `gc.freeze`."""
    return Standing(path, importlib.import_module(_name(path)), functions_of(path))


def functions_of(path: Path) -> dict[_Key, FunctionType]:
    """The functions and methods of a module that are there after import."""
    return {
        (found.__qualname__, found.__code__.co_firstlineno): found
        for found in gc.get_objects()
        if isinstance(found, FunctionType)
        and found.__code__.co_filename == str(path)
        and "<locals>" not in found.__qualname__
    }


def import_changed(path: Path, tree: ast.Module) -> None:
    """Forget all our modules, so that they are imported anew, and this one as `tree`."""
    code = compile(tree, str(path), "exec", dont_inherit=True)
    for name in [name for name in sys.modules if _is_ours(name)]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder(path, code))


class _Finder(importlib.machinery.SourceFileLoader):
    """Finds one module, and gives it another code."""

    def __init__(self, path: Path, code: CodeType) -> None:
        super().__init__(_name(path), str(path))
        self._code = code

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_code(self, fullname: str) -> CodeType:
        return self._code


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _is_ours(name: str) -> bool:
    return name.split(".")[0] in ("si", "tests")
