"""What end-to-end tests share: the lab's folder, the golden client's disk, how machines are run.

They need root and QEMU. Nothing is skipped: a missing tool or right fails the test with its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.lab.accel import Accelerator, choose_accelerator
from scripts.lab.golden import FOLDER, Golden, ensure_golden
from scripts.lab.network import Network
from tests.e2e.fault_yard import Yard


@pytest.fixture(scope="session", autouse=True)
def _as_root() -> None:
    assert os.geteuid() == 0, "end-to-end tests need root: sudo make e2e"


@pytest.fixture(scope="session")
def lab_folder() -> Path:
    """Where disks are kept from one run to the next."""
    return FOLDER


@pytest.fixture(scope="session")
def accelerator(lab_folder: Path) -> Accelerator:
    """KVM where it works, else TCG."""
    return choose_accelerator(lab_folder).name


@pytest.fixture(scope="session")
def golden(lab_folder: Path) -> Golden:
    """The golden client's disk; not to be written to."""
    return ensure_golden(lab_folder, print)


@pytest.fixture
def network() -> Iterator[Network]:
    """A network of the test's own."""
    with Network() as made:
        yield made


@pytest.fixture(scope="session")
def yard(lab_folder: Path, accelerator: Accelerator) -> Iterator[Yard]:
    """The server and the clients of the tests of faults."""
    with Yard(FOLDER.with_name("faults"), lab_folder, accelerator) as made:
        yield made


@pytest.fixture
def _switched_off_afterwards(yard: Yard) -> Iterator[None]:
    """A test that fails must not leave its machines to the next one."""
    yield
    yard.switch_off()
