"""The boundary of the client commands: messages and exit codes out.

Stage: none. Runs on clients (Python 3.9): argparse here, click in `si.cli.command`, the same
messages and exit codes in both.
"""

from __future__ import annotations

import argparse
import logging
import os
import select
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TextIO

from si.client.places import Places
from si.errors import SIError

EXIT_INTERNAL = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_UNREAD = 141
"""The reader of our output went away, as `| head` does: what a shell shows for SIGPIPE."""

Arguments = argparse.Namespace


def run_command(
    parser: argparse.ArgumentParser,
    words: Sequence[str],
    call: Callable[[Places, Arguments], int],
) -> int:
    """Parse, call, print what went wrong the way users know it, give the exit code."""
    name = parser.prog
    try:
        given = parser.parse_args(words)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    _set_up_logging(given)
    try:
        code = call(Places(given.root.absolute()), given)
        sys.stdout.flush()
        return code
    except BrokenPipeError as error:
        return EXIT_UNREAD if forget_reader() else _tell_fault(name, error, debug=given.debug)
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except SIError as error:
        if given.debug:
            traceback.print_exc()
        print(f"{name}: error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        return _tell_fault(name, error, debug=given.debug)


def forget_reader() -> bool:
    """After a BrokenPipeError: whether nobody reads our output any more; then let what is still
    to be written go nowhere, so that the end of the program does not fail too."""
    gone = [stream for stream in (sys.stdout, sys.stderr) if _is_unread(stream)]
    for stream in gone:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    return bool(gone)


def _is_unread(stream: TextIO) -> bool:
    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _tell_fault(name: str, error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"{name}: internal fault: {type(error).__name__}: {error}", file=sys.stderr)
    if not debug:
        print("hint: run it again with --debug and report what it prints", file=sys.stderr)
    return EXIT_INTERNAL


def _set_up_logging(given: Arguments) -> None:
    level = logging.DEBUG if given.verbose or given.debug else logging.INFO
    if given.quiet:
        level = logging.ERROR
    # Names of files need not be UTF-8, nor must this machine's locale be.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr, force=True)
