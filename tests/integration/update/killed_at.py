"""Run a client command that is killed right before its Nth change of a file system, or program.

`python killed_at.py N COUNT PROGRAM WORD...`; a run that ends by itself writes into the file COUNT
how many changes there were. What changes a file system, the interpreter says itself (sys.audit).
"""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import sys
from pathlib import Path

CHANGES = frozenset((
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.removexattr", "os.rename",
    "os.rmdir", "os.setxattr", "os.symlink", "os.truncate", "os.utime", "ctypes.dlsym",
    "subprocess.Popen",
))  # fmt: skip


def main() -> None:
    last, count, program = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    seen = 0

    def hook(event: str, words: tuple[object, ...]) -> None:
        nonlocal seen
        flags = words[2] if event == "open" else 0
        if event in CHANGES or (isinstance(flags, int) and flags & os.O_CREAT):
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)

    atexit.register(lambda: count.write_text(str(seen)))
    sys.addaudithook(hook)
    sys.argv = sys.argv[3:]
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
