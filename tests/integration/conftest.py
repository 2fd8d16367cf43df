"""What tests with real peers share."""

from __future__ import annotations

import pytest

from tests.integration.client_kit import Program, build_program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The client commands as one file."""
    return build_program(tmp_path_factory.mktemp("program"))
