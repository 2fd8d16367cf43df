"""The client commands as one file, si-client.pyz.

Stage: 6. Packs this installation's own `si.client`, and the little it needs, into a zip that a
stock Python 3.9 or later runs (PEP 441), so that nothing has to be installed on a machine that is
captured or updated (design decision 13). Same sources, same bytes: names sorted, one fixed time.
`python -m si.boot.clientapp build/si-client.pyz` writes it for `make client`.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import si

_MODULES = (
    "__init__.py",
    "errors.py",
    "names_check.py",
    "system/__init__.py",
    "system/run.py",
    "system/exchange.py",
    "version/__init__.py",
    "version/blocks.py",
    "version/chunks.py",
    "version/delta.py",
    "version/manifest.py",
    "version/record.py",
    "version/signed.py",
    "version/stream.py",
)
_TIME = (1980, 1, 1, 0, 0, 0)
_SHEBANG = b"#!/usr/bin/env python3\n"
_MAIN = "from si.client.main import main\n\nmain()\n"


def build_client_app() -> bytes:
    """The bytes of si-client.pyz."""
    package = Path(si.__file__).parent
    files = {f"si/{name}": (package / name).read_bytes() for name in _MODULES}
    for module in (package / "client").glob("*.py"):
        files[f"si/client/{module.name}"] = module.read_bytes()
    files["__main__.py"] = _MAIN.encode()
    # The zip's own offsets count from the start of the whole, as zipfile writes after a prefix.
    packed = io.BytesIO()
    packed.write(_SHEBANG)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            archive.writestr(_entry(name), files[name])
    return packed.getvalue()


def write_client_app(output: Path) -> None:
    """Write si-client.pyz, executable."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(build_client_app())
    output.chmod(0o755)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, so that the mode counts
    entry.external_attr = 0o100644 << 16
    return entry


if __name__ == "__main__":
    write_client_app(Path(sys.argv[1]))
