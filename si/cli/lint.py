"""`si-lint`: every problem of an XML document, each with file and line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from si.cli.command import si_command
from si.cluster import parse_cluster
from si.config import Settings
from si.errors import DocumentInvalid, LayoutNotFound, Problem
from si.layout.document import parse_xml, read_layout
from si.script.store import read_document

_CLUSTER_ROOTS = ("cluster", "xml")


@si_command("si-lint")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def command(_settings: Settings, *, files: tuple[str, ...]) -> None:
    """Check layouts and cluster files, and print every problem as FILE:LINE: MESSAGE.

    A line `FILE: layout, no problems` says that a document is right; warnings do not change that.
    The exit code is 16 when any document has a problem.
    """
    problems: list[Problem] = []
    for file in files:
        kind, found, warnings = _check(file)
        problems += found
        for problem in found:
            click.echo(str(problem))
        for warning in warnings:
            click.echo(f"{warning.file}:{warning.line}: warning: {warning.message}")
        if not found:
            click.echo(f"{file}: {kind}, no problems")
    if problems:
        raise _Counted(problems)


class _Counted(DocumentInvalid):
    """The count of problems that were printed already, on standard output."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__(problems)
        self.problems = ()


def _check(file: str) -> tuple[str, tuple[Problem, ...], tuple[Problem, ...]]:
    """(kind of document, problems, warnings)."""
    try:
        text = read_document(Path(file))
        if parse_xml(text, file).tag in _CLUSTER_ROOTS:
            parse_cluster(text, file)
            return "cluster", (), ()
        _layout, problems, warnings = read_layout(text, file)
    except DocumentInvalid as error:
        return "document", error.problems, ()
    except LayoutNotFound as error:
        return "document", (Problem(file, 0, error.message),), ()
    return "layout", problems, warnings


main = command.run
