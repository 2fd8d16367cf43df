"""The small changes that are made to a module, one at a time, to see whether a test notices.

Changed are comparisons, and/or/not, arithmetic, numbers, truth values, texts, conditions, returned
values, statements that are calls, yields or jumps, and keyword arguments. Left alone, by rule:

- wording: a text with a blank in it, and the texts of an f-string of which one has a blank.
  Messages and hints may be reworded without a test that forbids it; whether there is one, on which
  line, and the values in it are changed.
- what is not run: docstrings, annotations, unions of types, imports, `__all__`, and `assert`, which
  narrows types.
- what decorators say.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_UNREAD = frozenset(("annotation", "returns", "decorator_list"))

Parents = tuple[ast.AST, ...]


class Place(Enum):
    """What holds a change, and says so what has to be made anew."""

    FUNCTION = "function"
    CLASS = "class"
    MODULE = "module"


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `value` goes into `field` of `holder` (at `index`, where that is a list).

    where: the qualified name of the outermost function, or of the class, it is in, or "module".
    lines: those of the statement, of which a test must run one to notice a change in a function.
    text: BEFORE => AFTER.
    """

    place: Place
    where: str
    lines: tuple[int, int]
    text: str
    holder: ast.AST
    field: str
    index: int | None
    value: Any

    def apply(self) -> None:
        """Make it, in the tree; for good, so in a process of its own."""
        _put(self.holder, self.field, self.index, self.value)


def find_changes(tree: ast.Module) -> tuple[Change, ...]:
    """All changes of a module, each with a text that no other of its function has."""
    found = []
    seen: Counter[tuple[str, str]] = Counter()
    for change in _walk(tree, ()):
        seen[change.where, change.text] += 1
        count = seen[change.where, change.text]
        found.append(change if count == 1 else replace(change, text=f"{change.text} ({count})"))
    return tuple(found)


def uses_of(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every name that is read, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id, node.lineno


def _walk(node: ast.AST, parents: Parents) -> Iterator[Change]:
    for field, value in ast.iter_fields(node):
        if field in _UNREAD:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
            if isinstance(child, ast.AST) and not _is_left_alone(child, node):
                here = (*parents, node)
                for replacement in _replacements(child, node):
                    yield _change(child, here, field, index, replacement)
                yield from _walk(child, here)


def _is_left_alone(node: ast.AST, parent: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.Expr(ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name("__all__")]):
            return True
        case ast.Assign(value=ast.BinOp(op=ast.BitOr())):
            return isinstance(parent, ast.Module)
        case ast.Constant():
            beside = parent.values if isinstance(parent, ast.JoinedStr) else [node]
            return any(_is_wording(part) for part in beside)
    return False


def _is_wording(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value


def _replacements(node: ast.AST, parent: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(value):
            yield from _constants(value)
        case ast.expr():
            yield from _expressions(node)
        case ast.stmt():
            yield from _statements(node)
        case ast.keyword(str()) if isinstance(parent, ast.Call):
            yield ast.Pass()
    if isinstance(node, ast.expr) and _is_condition(node, parent):
        yield ast.UnaryOp(ast.Not(), node)


def _statements(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.Return(ast.expr() as value) if not _is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(ast.Yield() | ast.YieldFrom()):
            # An empty one, so that the function stays a generator.
            yield ast.Expr(ast.YieldFrom(ast.Tuple([], ast.Load())))
        case ast.Expr() | ast.Raise() | ast.AugAssign() | ast.Return(None):
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()


def _expressions(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(left, operators, rest):
            for index, operator in enumerate(operators):
                for other in _COMPARISONS[type(operator)]:
                    changed = [*operators[:index], other(), *operators[index + 1 :]]
                    yield ast.Compare(left, changed, rest)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.BinOp(left, operator, right) if type(operator) in _ARITHMETIC:
            yield ast.BinOp(left, _ARITHMETIC[type(operator)](), right)


def _constants(value: object) -> Iterator[ast.expr]:
    match value:
        case bool():
            yield ast.Constant(not value)
        case int():
            yield ast.Constant(value + 1)
        case str():
            yield ast.Constant(f"{value}X")


def _is_condition(node: ast.expr, parent: ast.AST) -> bool:
    """A condition that is not changed otherwise: as a comparison, and/or/not, or a constant."""
    if isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant | ast.JoinedStr):
        return False
    match parent:
        case ast.If(test) | ast.IfExp(test) | ast.While(test):
            return test is node
        case ast.comprehension(ifs=ifs):
            return node in ifs
        case ast.BoolOp(values=values):
            return node in values
    return False


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _change(
    node: ast.AST, parents: Parents, field: str, index: int | None, replacement: ast.AST
) -> Change:
    holder = parents[-1]
    if isinstance(node, ast.keyword):
        assert isinstance(holder, ast.Call)
        field, index = "keywords", None
        value: Any = [keyword for keyword in holder.keywords if keyword is not node]
        before = ast.unparse(holder)
        after = ast.unparse(ast.Call(holder.func, holder.args, value))
    else:
        value = ast.fix_missing_locations(ast.copy_location(replacement, node))
        before, after = _texts(node, replacement, holder, field, index)
    place, where = _place(parents)
    lines, text = _lines((*parents, node)), f"{before} => {after}"
    return Change(place, where, lines, text, holder, field, index, value)


def _texts(
    node: ast.AST, replacement: ast.AST, holder: ast.AST, field: str, index: int | None
) -> tuple[str, str]:
    """Before and after; a constant is told apart by what it stands in."""
    if not isinstance(node, ast.Constant) or not isinstance(holder, ast.expr | ast.keyword):
        return _line(node), _line(replacement)
    before = _line(holder)
    _put(holder, field, index, replacement)
    after = _line(holder)
    _put(holder, field, index, node)
    return before, after


def _put(holder: ast.AST, field: str, index: int | None, value: Any) -> None:
    if index is None:
        setattr(holder, field, value)
    else:
        getattr(holder, field)[index] = value


def _line(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _place(parents: Parents) -> tuple[Place, str]:
    names = []
    for node in parents:
        if isinstance(node, ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return Place.FUNCTION, ".".join((*names, node.name))
    return (Place.CLASS, ".".join(names)) if names else (Place.MODULE, "module")


def _lines(nodes: Parents) -> tuple[int, int]:
    """The lines of the innermost statement, without the statements in it; of a default, those of
    all its function."""
    statement = next(node for node in reversed(nodes) if isinstance(node, ast.stmt))
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return statement.lineno, statement.end_lineno or statement.lineno
    inner = [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.stmt)]
    last = min((node.lineno - 1 for node in inner), default=statement.end_lineno or 0)
    return statement.lineno, max(last, statement.lineno)
