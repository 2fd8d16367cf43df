"""The written disks of a row put together for reading, on this machine.

Arrays and volumes are found by their place on the disk, as mdadm and LVM themselves tell it, so
that a kernel without their drivers serves too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.lab.disk import mounted_tree
from scripts.lab.errors import LabError
from scripts.lab.rows import Row


@contextmanager
def mounted_row(row: Row, disks: Sequence[Path], tree: Path) -> Iterator[Path]:
    """The file systems of a row's disks, read-only, put together at `tree`."""
    if not row.places:
        raise LabError(f"{row.name} cannot be read on this machine yet")
    with mounted_tree(disks[0], row.places, tree) as root:
        yield root
