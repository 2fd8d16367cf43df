"""Many processes side by side: so many at once, each with its time limit, their output bounded.

Stage: none. In: jobs, which are words of a command under a key; out: how each ended. ClusterShell's
event loop waits for all of them. The processes are ours (`si.system.run`) and given to it as
streams, for its own workers keep a line without an end in memory whatever its length, take `%hosts`
in a command for theirs, and get the terminal's Ctrl-C. Ours have a session each and end with us.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from ClusterShell.Event import EventHandler
from ClusterShell.Task import task_self
from ClusterShell.Worker.EngineClient import EngineClientEOF
from ClusterShell.Worker.Worker import StreamClient, StreamWorker

from si.system.run import PIPE, start

KEPT_BYTES = 256 * 1024
"""What is kept of each of a process's two streams; the rest is read, counted and dropped."""

_READ = 64 * 1024
_STREAMS = ("stdout", "stderr")
_EXIT = "exit"
_DIES_WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")


@dataclass(frozen=True, slots=True)
class Job:
    """One process. timeout_s: None for no limit; delay_s: how long it waits in its place."""

    key: str
    argv: tuple[str, ...]
    timeout_s: float | None = None
    delay_s: float = 0
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended. exit_code: None when its time was up, 128 + N when signal N killed it.
    dropped: bytes of output that were too many to keep."""

    exit_code: int | None
    stdout: bytes = b""
    stderr: bytes = b""
    dropped: int = 0


Take = Callable[[], Job | None]
Then = Callable[[Job, Ended], Job | None]


class FanOut:
    """Runs jobs until there are no more, at most `fanout` at once.

    take: gives the next one, when it can start at once; None when there is none now, and it is
    asked again when one has ended. then: gets each end, and may give a job that takes the place of
    the one that ended. spacing_s: least time between the starts of two that `take` gave.
    """

    def __init__(self, take: Take, then: Then, *, fanout: int, spacing_s: float = 0) -> None:
        self._take = take
        self._then = then
        self._fanout = fanout
        self._spacing_s = spacing_s
        self._task = task_self()
        self._next_start = 0.0
        self._spacer: Any = None
        self._delayed: set[Any] = set()
        self._running: set[_Capture] = set()
        self._is_stopped = False

    def run(self) -> None:
        """Wait for all. An exception, of `then` too, and KeyboardInterrupt kill what runs."""
        self._task.set_info("fanout", self._fanout)
        try:
            self._fill()
            self._task.resume()
        finally:
            self._is_stopped = True
            self.hurry()
            for timer in self._delayed:
                timer.invalidate()
            for capture in self._running:
                capture.kill()

    def hurry(self) -> None:
        """Wait no longer for the time of the next start."""
        self._next_start = 0.0
        if self._spacer is not None:
            self._spacer.invalidate()
            self._spacer = None

    def _fill(self) -> None:
        while len(self._running) + len(self._delayed) < self._fanout and not self._is_stopped:
            early_s = self._next_start - monotonic()
            if early_s > 0:
                if self._spacer is None:
                    self._spacer = self._task.timer(early_s, _Timer(self._space_over))
                return
            job = self._take()
            if job is None:
                return
            self._next_start = monotonic() + self._spacing_s
            self._begin(job)

    def _space_over(self, _: object) -> None:
        self._spacer = None
        self._fill()

    def _begin(self, job: Job) -> None:
        if job.delay_s > 0:
            begin = partial(self._delay_over, dataclasses.replace(job, delay_s=0))
            self._delayed.add(self._task.timer(job.delay_s, _Timer(begin)))
            return
        capture = _Capture(job)
        self._running.add(capture)
        self._task.schedule(capture.worker(self._end))

    def _delay_over(self, job: Job, timer: object) -> None:
        self._delayed.discard(timer)
        self._begin(job)

    def _end(self, capture: _Capture, timed_out: bool) -> None:
        if capture.is_abandoned:
            return
        ended = capture.finish(timed_out=timed_out)
        self._running.discard(capture)
        following = self._then(capture.job, ended)
        if following is not None and not self._is_stopped:
            self._begin(following)
        self._fill()


class _Capture:
    """A running process and what it has said so far."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.dropped = 0
        self.is_abandoned = False
        self._kept: dict[str, bytearray] = {name: bytearray() for name in _STREAMS}
        self._process = start(
            [*_DIES_WITH_US, *job.argv], stdout=PIPE, stderr=PIPE, env=job.env, new_session=True
        )

    def worker(self, on_end: Callable[[_Capture, bool], None]) -> StreamWorker:
        """What ClusterShell waits for: the two streams, and the end of the process itself, which
        may come before theirs when something that it left behind still holds them."""
        process = self._process
        assert process.stdout is not None and process.stderr is not None
        worker = StreamWorker(
            _Closed(partial(on_end, self)),
            key=self.job.key,
            timeout=-1 if self.job.timeout_s is None else self.job.timeout_s,
            client_class=partial(_Streams, self),
        )
        for name, pipe in zip(_STREAMS, (process.stdout, process.stderr), strict=True):
            os.set_blocking(pipe.fileno(), False)
            worker.set_reader(name, pipe, retain=False, closefd=False)
        worker.set_reader(_EXIT, os.pidfd_open(process.pid))
        return worker

    def keep(self, name: str, data: bytes) -> None:
        """Add what was read, as far as there is room."""
        kept = self._kept[name]
        room = KEPT_BYTES - len(kept)
        kept += data[:room]
        self.dropped += max(0, len(data) - room)

    def read(self, name: str) -> bool:
        """Read once; False when there is nothing now."""
        pipe = getattr(self._process, name)
        try:
            data = os.read(pipe.fileno(), _READ)
        except BlockingIOError:
            return False
        self.keep(name, data)
        return bool(data)

    def kill(self) -> None:
        """End the process and all that it started in its session."""
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._close()

    def finish(self, *, timed_out: bool) -> Ended:
        """Its end; a process that outlived its time is killed."""
        if timed_out:
            self.kill()
        code = self._close()
        return Ended(
            exit_code=None if timed_out else code if code >= 0 else 128 - code,
            stdout=bytes(self._kept["stdout"]),
            stderr=bytes(self._kept["stderr"]),
            dropped=self.dropped,
        )

    def _close(self) -> int:
        code = self._process.wait()
        for name in _STREAMS:
            getattr(self._process, name).close()
        return code


class _Streams(StreamClient):  # type: ignore[misc]
    """Reads what there is, not lines."""

    def __init__(self, capture: _Capture, *given: Any) -> None:
        super().__init__(*given)
        self._capture = capture

    def _handle_read(self, sname: str) -> None:
        if sname == _EXIT or not self._capture.read(sname):
            raise EngineClientEOF
        self._set_reading(sname)

    def _close(self, abort: bool, timeout: bool) -> None:
        if abort and not timeout:
            self._capture.is_abandoned = True
            self._capture.kill()
        super()._close(abort, timeout)

    def _flush_read(self, sname: str) -> None:
        if sname == _EXIT or self._capture.is_abandoned:
            return
        while self._capture.read(sname):
            pass


class _Closed(EventHandler):  # type: ignore[misc]
    def __init__(self, on_close: Callable[[bool], None]) -> None:
        self._on_close = on_close

    def ev_close(self, worker: object, timedout: bool) -> None:
        self._on_close(timedout)


class _Timer(EventHandler):  # type: ignore[misc]
    def __init__(self, on_time: Callable[[object], None]) -> None:
        self._on_time = on_time

    def ev_timer(self, timer: object) -> None:
        self._on_time(timer)
