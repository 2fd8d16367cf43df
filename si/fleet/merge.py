"""The output of many clients, equal lines merged.

Stage 8, running clients. Pure. A tree of lines: clients that have said the same so far share a
branch, and where they part each branch is followed to its end. Every line bears its clients, so
that the text can be searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from si.cluster.ranges import fold_names
from si.terminal import escape_controls


def split_output(data: bytes, *, dropped: int = 0) -> tuple[str, ...]:
    """Lines fit for a terminal; one more says what is missing."""
    text = escape_controls(data)
    lines = tuple(text.removesuffix("\n").split("\n")) if text else ()
    return (*lines, f"[{dropped} bytes more were dropped]") if dropped else lines


def merge_outputs(outputs: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Lines of all clients as `CLIENTS: line`, clients in their order, each's lines in theirs."""
    branches = [(0, tuple(outputs), "")]
    while branches:
        depth, clients, label = branches.pop()
        parted: dict[str, list[str]] = {}
        for client in clients:
            if depth < len(outputs[client]):
                parted.setdefault(outputs[client][depth], []).append(client)
        if label and len(parted) == 1:
            line, group = next(iter(parted.items()))
            is_whole = len(group) == len(clients)
            label = label if is_whole else fold_names(group)
            yield f"{label}: {line}"
            branches.append((depth + 1, tuple(group), label))
            continue
        for group in reversed(parted.values()):
            branches.append((depth, tuple(group), fold_names(group)))
