"""The client commands as one file, si-client.pyz.

Stage: 6. Packs this installation's own `si.client`, and the little it needs, into a zip that a
stock Python 3.9 or later runs (`si.client.archive`), so that nothing has to be installed on a
machine that is captured or updated (design decision 13). Same sources, same bytes.
`python -m si.boot.clientapp build/si-client.pyz` writes it for `make client`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import si
from si.client.archive import pack_program

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
_MAIN = "from si.client.main import main\n\nmain()\n"


def build_client_app() -> bytes:
    """The bytes of si-client.pyz."""
    package = Path(si.__file__).parent
    files = {f"si/{name}": (package / name).read_bytes() for name in _MODULES}
    for module in (package / "client").glob("*.py"):
        files[f"si/client/{module.name}"] = module.read_bytes()
    files["__main__.py"] = _MAIN.encode()
    return pack_program(files)


def write_client_app(output: Path) -> None:
    """Write si-client.pyz, executable."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(build_client_app())
    output.chmod(0o755)


if __name__ == "__main__":
    write_client_app(Path(sys.argv[1]))
