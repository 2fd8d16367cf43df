"""Go on in the background once it is known that things work.

Stage 1, effects; runs on clients (Python 3.9). The command that a person typed returns when the
background part says that it is ready, or fails with the error that stopped it.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from si.errors import CommandFailed, SIError

_LIMIT = 64 * 1024


def detach(work: Callable[[Callable[[], None]], None], log: Path) -> int:
    """Run `work(ready)` in a process of its own session; gives its id once it called `ready()`.

    Raises the SIError that ended it before that. Its output goes to `log`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    middle = os.fork()
    if middle == 0:
        # The session leader ends at once, so that the worker can never get a terminal.
        os.close(reading)
        os.setsid()
        if os.fork() == 0:
            _work(work, writing, log)
        os._exit(0)
    os.close(writing)
    os.waitpid(middle, 0)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read(_LIMIT)
    return _read_answer(answer, log)


def _work(work: Callable[[Callable[[], None]], None], writing: int, log: Path) -> None:
    """The background process; never returns."""
    code = 1
    try:
        _redirect(log)

        def ready() -> None:
            os.write(writing, json.dumps({"pid": os.getpid()}).encode())
            os.close(writing)

        work(ready)
        code = 0
    except SIError as error:
        said = {"code": error.exit_code, "message": error.message, "hint": error.hint}
        _tell(writing, said)
        print(f"error: {error.message}", flush=True)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _tell(writing: int, said: dict[str, object]) -> None:
    try:
        os.write(writing, json.dumps(said).encode())
    except OSError:
        return  # it was ready before, and the pipe is closed


def _redirect(log: Path) -> None:
    os.chdir("/")
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    output = os.open(log, flags, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, number)
    os.close(output)
    os.close(nothing)


def _read_answer(answer: bytes, log: Path) -> int:
    try:
        said = json.loads(answer)
    except ValueError:
        raise CommandFailed("the background part ended at once", hint=f"see {log}") from None
    if "pid" in said:
        return int(said["pid"])
    error = SIError(said["message"], hint=said["hint"])
    error.exit_code = said["code"]
    raise error
