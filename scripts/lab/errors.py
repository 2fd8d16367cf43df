"""What goes wrong in the lab, told so that the console need not be searched by hand."""

from __future__ import annotations

from si.errors import SIError


class LabError(SIError):
    """A machine, the network or a disk of the lab did not do what it should."""

    exit_code = 1


class LabTimeout(LabError):
    """Something awaited did not happen in time."""
