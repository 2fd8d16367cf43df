"""The fitted model, which takes a second."""

from __future__ import annotations

import pytest

from scripts.simulate.fit import Fitted, fit, load_bench


@pytest.fixture(scope="session")
def fitted() -> Fitted:
    return fit(load_bench())
