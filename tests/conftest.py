"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# A busy machine makes an example slow, which says nothing about the code.
settings.register_profile("si", deadline=None)
settings.load_profile("si")
