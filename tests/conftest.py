"""What all tests share."""

from __future__ import annotations

import signal

from hypothesis import settings

# What a shell starts in the background ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine makes an example slow, which says nothing about the code.
settings.register_profile("si", deadline=None)
settings.load_profile("si")
