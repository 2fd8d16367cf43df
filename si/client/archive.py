"""The one file that all client commands are: put together, and given its Python's bytecode.

Stage 1 and 6. Pure; runs on clients (Python 3.9). A zip that Python runs (PEP 441) and imports
from. Python writes no bytecode into a zip, so without any it compiles some sixty modules each time,
which takes as long as comparing 10,000 files. Bytecode is for one version of Python; another passes
it over and takes the source that stands beside it. So it is added where the commands will run, by
the Python that will run them, and no cache has to be kept, trusted or cleared.
"""

from __future__ import annotations

import importlib.util
import io
import marshal
import zipfile
from collections.abc import Mapping

_TIME = (1980, 1, 1, 0, 0, 0)
_SHEBANG = b"#!/usr/bin/env python3\n"
_UNCHECKED_HASH = 1
"""Flags of a .pyc (PEP 552): it has its source's hash in place of a time, and nobody looks."""
_SAME_BYTES = 2
"""A format of marshal that does not depend on who else refers to an object; later ones do."""


def pack_program(files: Mapping[str, bytes]) -> bytes:
    """The program that has these files. Same files, same bytes: names sorted, one fixed time."""
    packed = io.BytesIO()
    packed.write(_SHEBANG)
    # The zip's own offsets count from the start of the whole, as zipfile writes after a prefix.
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            archive.writestr(_entry(name), files[name])
    return packed.getvalue()


def with_bytecode(program: bytes) -> bytes:
    """The program with bytecode of the Python that is running, in place of any that it had."""
    with zipfile.ZipFile(io.BytesIO(program)) as archive:
        names = [name for name in archive.namelist() if name.endswith(".py")]
        files = {name: archive.read(name) for name in names}
    compiled = {f"{name}c": _compile(name, source) for name, source in files.items()}
    return pack_program({**files, **compiled})


def _compile(name: str, source: bytes) -> bytes:
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    flags = _UNCHECKED_HASH.to_bytes(4, "little")
    head = importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source)
    return head + marshal.dumps(code, _SAME_BYTES)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, so that the mode counts
    entry.external_attr = 0o100644 << 16
    return entry
