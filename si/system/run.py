"""The one place that starts processes.

Stage: none. Runs on clients too, hence Python 3.9 and the standard library only. Arguments are
lists, never a shell's text; the environment is scrubbed so that output is in English.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Union

from si.errors import CommandFailed, ToolMissing

Arg = Union[str, bytes, Path]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Completed:
    """What a finished process left behind; output as bytes, for names need not be UTF-8."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output for people; bytes that are no UTF-8 survive as surrogates."""
        return self.stdout.decode("utf-8", "surrogateescape")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A small environment: PATH with the sbin folders, C.UTF-8, HOME, ssh's agent, and `extra`."""
    environment = {
        "PATH": SYSTEM_PATH,
        "LC_ALL": "C.UTF-8",
        "HOME": os.environ.get("HOME", "/root"),
        "TERM": os.environ.get("TERM", "dumb"),
    }
    if "SSH_AUTH_SOCK" in os.environ:
        environment["SSH_AUTH_SOCK"] = os.environ["SSH_AUTH_SOCK"]
    environment.update(extra or {})
    return environment


def find_tool(name: str, *, package: str | None = None) -> str:
    """Absolute path of a program; ToolMissing names the package to install."""
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise ToolMissing(
            f"{name} is not installed",
            hint=f"install the package {package or name}",
        )
    return found


def run(
    argv: Sequence[Arg],
    *,
    stdin: bytes | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float | None = None,
    check: bool = True,
    ok: Sequence[int] = (0,),
) -> Completed:
    """Run to the end, capturing output. stdin: bytes, or a file that is read from where it stands.

    Raises ToolMissing, CommandFailed (exit code not in `ok` while `check`, a signal, a time-out).
    """
    words = _words(argv)
    given = b"" if stdin is None else stdin
    try:
        done = subprocess.run(
            list(argv),
            input=given if isinstance(given, bytes) else None,
            stdin=None if isinstance(given, bytes) else given,
            capture_output=True,
            env=clean_environment(env),
            cwd=cwd,
            timeout=timeout_s,
        )
    except FileNotFoundError as error:
        raise ToolMissing(
            f"{words[0]} is not installed", hint=f"install the package that has {words[0]}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{words[0]} did not end within {timeout_s:g} s") from error
    result = Completed(words, done.returncode, done.stdout, done.stderr)
    if check and done.returncode not in ok:
        raise failure(result)
    return result


def attach(argv: Sequence[Arg], *, env: Mapping[str, str] | None = None) -> int:
    """Run on the caller's terminal and give the exit code (128 + signal when killed)."""
    try:
        code = subprocess.call(list(argv), env=clean_environment(env))
    except FileNotFoundError as error:
        raise ToolMissing(f"{_words(argv)[0]} is not installed") from error
    return code if code >= 0 else 128 - code


def start(
    argv: Sequence[Arg],
    *,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    new_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start and return at once: for daemons and for output read while it comes."""
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=stderr,
            env=clean_environment(env),
            start_new_session=new_session,
        )
    except FileNotFoundError as error:
        raise ToolMissing(f"{_words(argv)[0]} is not installed") from error


PIPE = subprocess.PIPE
STDOUT = subprocess.STDOUT
DEVNULL = subprocess.DEVNULL


def read_lines(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Lines of a started process's standard output, without their ends, as they come."""
    assert process.stdout is not None
    for line in process.stdout:
        yield line.rstrip(b"\r\n")


def failure(result: Completed) -> CommandFailed:
    """The error for a process that ended badly: which, how, and its last words."""
    code = result.exit_code
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    text = (result.stderr or result.stdout).decode("utf-8", "replace").strip()
    last = " | ".join(line.strip() for line in text.splitlines()[-3:])
    return CommandFailed(
        f"{result.argv[0]} {how}" + (f": {last}" if last else ""),
        hint=f"the command was: {shlex.join(result.argv)}",
    )


def _words(argv: Sequence[Arg]) -> tuple[str, ...]:
    return tuple(os.fsdecode(word) for word in argv)
