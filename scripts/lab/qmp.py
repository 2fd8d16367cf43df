"""QEMU's control socket: one command, one answer, in lines of JSON (QEMU Machine Protocol)."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.lab.console import connect_when_there
from scripts.lab.errors import LabError


class Control:
    """A connection to one QEMU's control socket."""

    def __init__(self, path: Path, *, timeout_s: float = 10) -> None:
        connection = connect_when_there(path, timeout_s=timeout_s)
        connection.settimeout(timeout_s)
        self._file = connection.makefile("rwb")
        connection.close()  # the file keeps it open
        self._read()  # QEMU's greeting
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """Run `command` and give what it returns. Raises LabError for QEMU's own error."""
        question = {"execute": command, "arguments": arguments}
        try:
            self._file.write(json.dumps(question).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise LabError(f"QEMU does not take {command}: {error}") from error
        answer = self._read()
        while "event" in answer:
            answer = self._read()
        if "error" in answer:
            raise LabError(f"QEMU refuses {command}: {answer['error']['desc']}")
        return answer["return"]

    def close(self) -> None:
        """Hang up; no error when QEMU has hung up first."""
        with suppress(OSError):
            self._file.close()

    def _read(self) -> dict[str, Any]:
        try:
            line = self._file.readline()
        except OSError as error:
            raise LabError(f"QEMU does not answer: {error}") from error
        if not line:
            raise LabError("QEMU closed its control socket")
        answer: dict[str, Any] = json.loads(line)
        return answer
