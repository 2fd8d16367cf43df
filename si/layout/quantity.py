"""How large something shall be: a fixed size, a share, or the rest.

Stage 4. Pure. `si.layout.model` gives these names on; `si.layout.sizes` reads and writes them.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fixed:
    """A size that is the same on every disk."""

    size: int
    """Bytes, more than 0."""


@dataclass(frozen=True, slots=True)
class Percent:
    """A share of the whole disk, or volume group."""

    hundredths: int
    """Hundredths of a percent: 2550 is 25.5 %."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What the others leave over, `*` in a document."""


Size = Fixed | Percent | Rest
