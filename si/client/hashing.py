"""Read the files of a tree and compare their contents, in as many processes as there are cores.

Stage 8, effects: reads; runs on clients (Python 3.9). Processes, not threads: most files are small,
and threads that open and read thousands of them wait for each other's turn at the interpreter.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from si.client.comparison import Unread
from si.client.differences import CHANGED, Difference, hash_file
from si.errors import CommandFailed

_BATCH_FILES = 256
_BATCH_BYTES = 8 << 20
_AHEAD = 4
"""Batches that wait for each process: what bounds the memory."""


def check_contents(items: Iterable[Difference | Unread]) -> Iterator[Difference]:
    """The differences among `items`, and those that reading the rest of them shows.

    Raises CommandFailed when a process was killed.
    """
    count = len(os.sched_getaffinity(0))
    # Neither threads nor processes are started before there is something to read.
    with ProcessPoolExecutor(count, multiprocessing.get_context("fork"), _set_up) as pool:
        waiting: deque[Future[list[bytes]]] = deque()
        for batch in _batches(items):
            if isinstance(batch, Difference):
                yield batch
                continue
            waiting.append(pool.submit(_spoiled, batch))
            while len(waiting) > _AHEAD * count:
                yield from _results(waiting.popleft())
        while waiting:
            yield from _results(waiting.popleft())


def _batches(items: Iterable[Difference | Unread]) -> Iterator[Difference | list[Unread]]:
    """The differences as they are, the rest by the batch."""
    batch: list[Unread] = []
    size = 0
    for item in items:
        if isinstance(item, Difference):
            yield item
            continue
        batch.append(item)
        size += item.size
        if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _results(done: Future[list[bytes]]) -> Iterator[Difference]:
    try:
        for path in done.result():
            yield Difference(path, False, (CHANGED,), ("contents",))
    except BrokenProcessPool as error:
        raise CommandFailed("a process that was reading files was killed") from error


def _set_up() -> None:
    """The parent ends its processes itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _spoiled(batch: list[Unread]) -> list[bytes]:
    """The paths whose contents are not what they should be, or cannot be read."""
    found = []
    for item in batch:
        try:
            if hash_file(item.place) == item.content:
                continue
        except OSError:
            pass
        found.append(item.path)
    return found
