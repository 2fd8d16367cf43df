"""Many real processes side by side."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from si.system.fanout import KEPT_BYTES, Ended, FanOut, Job
from tests.integration.server_kit import wait_until


def run(*jobs: Job, fanout: int = 8, spacing_s: float = 0) -> dict[str, Ended]:
    ends: dict[str, Ended] = {}

    def then(job: Job, ended: Ended) -> None:
        ends[job.key] = ended

    FanOut(taking(iter(jobs)), then, fanout=fanout, spacing_s=spacing_s).run()
    return ends


def taking(jobs: Iterator[Job]) -> Callable[[], Job | None]:
    return lambda: next(jobs, None)


def sh(key: str, text: str, **given: float) -> Job:
    return Job(key, ("sh", "-c", text), **given)  # type: ignore[arg-type]


def test_both_streams_and_every_kind_of_end() -> None:
    ends = run(
        sh("both", "echo out; echo err >&2; exit 3"),
        sh("killed", "kill -9 $$"),
        sh("late", "echo begun; sleep 1000", timeout_s=2),
        sh("mute", "exec >&- 2>&-; exit 7"),
        sh("much", f"head -c {2 * KEPT_BYTES} /dev/zero"),
    )
    assert ends["both"] == Ended(3, b"out\n", b"err\n")
    assert ends["killed"] == Ended(137)
    assert ends["late"] == Ended(None, b"begun\n")
    assert ends["mute"] == Ended(7)
    assert ends["much"] == Ended(0, bytes(KEPT_BYTES), dropped=KEPT_BYTES)


def test_what_a_process_leaves_behind_keeps_nobody_waiting(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    ends = run(sh("left", f"sleep 1000 & echo $! >{pid}; echo done"))
    assert ends["left"] == Ended(0, b"done\n")
    os.kill(int(pid.read_text()), 9)


def test_no_more_than_fanout_at_once_and_the_next_one_is_asked_for_late() -> None:
    begun, ended, most = 0, 0, 0

    def jobs() -> Iterator[Job]:
        nonlocal begun, most
        for number in range(9):
            begun += 1
            most = max(most, begun - ended)
            yield Job(str(number), ("true",))

    def then(_: Job, __: Ended) -> None:
        nonlocal ended
        ended += 1

    FanOut(taking(jobs()), then, fanout=3).run()
    assert (begun, ended, most) == (9, 9, 3)


def test_a_follower_takes_the_place_of_the_one_before() -> None:
    order: list[str] = []

    def then(job: Job, _: Ended) -> Job | None:
        order.append(job.key)
        return Job("a2", ("true",), delay_s=0.05) if job.key == "a" else None

    jobs = iter([Job("a", ("true",)), Job("b", ("true",))])
    FanOut(taking(jobs), then, fanout=1).run()
    assert order == ["a", "a2", "b"]


def test_starts_are_spaced() -> None:
    starts: list[float] = []

    def jobs() -> Iterator[Job]:
        for number in range(4):
            starts.append(time.monotonic())
            yield Job(str(number), ("true",))

    FanOut(taking(jobs()), lambda _, __: None, fanout=4, spacing_s=0.2).run()
    gaps = [after - before for before, after in pairwise(starts)]
    assert min(gaps) >= 0.19


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt])
def test_an_exception_ends_all(tmp_path: Path, raised: type[BaseException]) -> None:
    pid = tmp_path / "pid"

    def then(_: Job, __: Ended) -> None:
        wait_until(lambda: pid.exists() and pid.read_text() != "", "the other runs")
        raise raised

    jobs = [Job("short", ("true",)), sh("long", f"echo $$ >{pid}; exec sleep 1000")]
    with pytest.raises(raised):
        FanOut(taking(iter(jobs)), then, fanout=2).run()
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
    assert run(Job("after", ("true",)))["after"].exit_code == 0
