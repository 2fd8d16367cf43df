"""Commands whose output nobody reads to its end, as with `| head`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from si.cli.command import run_command, si_command
from si.config import Settings
from tests.integration.client_kit import build_program

_SERVER = """
import click
from si.cli.command import run_command, si_command
@si_command("si-test")
def command(settings):
    for number in range({lines}):
        click.echo("line %d" % number)
raise SystemExit(run_command(command, []))
"""
_CLIENT = """
import sys
sys.path.insert(0, {program!r})
from si.client.boundary import run_command
from si.client.arguments import make_parser
def call(places, given):
    for number in range({lines}):
        print("line", number)
    return 0
raise SystemExit(run_command(make_parser("si-test", ""), [], call))
"""


def run_unread(code: str, *, errors_too: bool = False) -> tuple[int, bytes]:
    """The exit code, and what was said on standard error, of a program that nobody reads."""
    ours, theirs = os.pipe()
    os.close(ours)
    stderr = theirs if errors_too else subprocess.PIPE
    argv = [sys.executable, "-c", code]
    process = subprocess.Popen(argv, stdout=theirs, stderr=stderr)
    os.close(theirs)
    told = process.communicate(timeout=60)[1]
    return process.returncode, told or b""


@pytest.mark.parametrize("lines", [5, 100000])
@pytest.mark.parametrize("errors_too", [False, True])
def test_they_end_quietly(tmp_path: Path, lines: int, errors_too: bool) -> None:
    program = str(build_program(tmp_path).file)
    for code in (_SERVER.format(lines=lines), _CLIENT.format(lines=lines, program=program)):
        assert run_unread(code, errors_too=errors_too) == (141, b"")


def test_a_peer_that_went_away_is_no_reader(capfd: pytest.CaptureFixture[str]) -> None:
    @si_command("si-test")
    def command(_: Settings) -> None:
        """Speak to a peer that went away."""
        here, there = socket.socketpair()
        there.close()
        click.echo("begun")
        here.send(b"x")

    assert run_command(command, []) == 1
    assert "si-test: internal fault" in capfd.readouterr().err
