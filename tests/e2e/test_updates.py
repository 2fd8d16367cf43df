"""Running machines are kept equal to their image: patched, mended, left alone where they should be.

The tests share two machines. None needs another one to have run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.lab.accel import Accelerator
from scripts.lab.golden import FOLDER, Golden
from scripts.lab.site import IMAGE
from tests.e2e import drift
from tests.e2e.update_yard import UpdateYard

STAGED = "/usr/lib/modules/.si-update.*/modules.dep"
"""The middle of what is made before anything gets its name."""
LEFT_BEHIND = re.compile(r"/\.si-update\.[0-9a-f]{8}\.\d+$")
SICK = "/var/log/sick"


@pytest.fixture(scope="module")
def yard(golden: Golden, accelerator: Accelerator) -> Iterator[UpdateYard]:
    """Two machines that run the first version."""
    with UpdateYard(FOLDER.with_name("updates"), golden, accelerator) as made:
        made.install("web1", "web2")
        yield made


@pytest.fixture(scope="module")
def kernel(yard: UpdateYard) -> str:
    """The image has newer packages, and they are published; gives the release of their kernel."""
    before = yard.kernels()
    yard.patch("dpkg --install /root/*.deb", yard.packages())
    (release,) = yard.kernels() - before
    return release


def test_drift_is_named_and_mended(yard: UpdateYard) -> None:
    login = yard.login("web1")
    yard.update("web1", "--yes")
    before = drift.look(login)
    drift.make(login)
    changed, kept = drift.look(login), drift.kept(login)
    expected = {one.path: one.classes for one in drift.DRIFTS}
    expected |= dict.fromkeys(drift.FOLDERS, ("changed",))

    assert found(yard, "web1") == expected
    yard.update("web1", "--yes", "--exclude", "/srv/local")
    assert found(yard, "web1") == {}
    assert changed != before
    assert drift.look(login) == before
    assert drift.kept(login) == kept


@pytest.mark.full
def test_power_is_cut_during_an_update(yard: UpdateYard, kernel: str) -> None:
    """It boots with what it had, or with what it got; the next update finishes the job."""
    yard.update("web2", "--yes", "--image", f"{IMAGE}@1")
    yard.cut_off("web2", STAGED)
    yard.start("web2")
    left = differences(yard, "web2", "--image", f"{IMAGE}@1")
    assert any(LEFT_BEHIND.search(one["path"]) for one in left)
    assert [one for one in left if not is_left_behind(one)] == []

    yard.cut_off("web2", f"/usr/lib/modules/{kernel}")
    yard.start("web2")
    yard.update("web2", "--dry-run", ok=(4,))
    yard.update("web2", "--yes")
    assert found(yard, "web2") == {}


@pytest.mark.full
def test_kernel_reaches_two_clients(yard: UpdateYard, kernel: str) -> None:
    names = ("web1", "web2")
    for name in names:
        yard.update(name, "--yes")
    yard.reboot(*names)
    for name in names:
        assert yard.login(name).run("uname -r").text.strip() == kernel
        assert found(yard, name, "--full") == {}


@pytest.mark.full
def test_rolling_update_stops_at_a_check_and_goes_on(yard: UpdateYard) -> None:
    """One by one; the second is sick, so the third is left alone until the second is mended."""
    yard.install("web3")
    number = yard.patch("echo 'This line came with a patch.' >/etc/issue")
    yard.login("web2").run(f"touch {SICK}")
    hooks = yard.folder / "hooks"
    push = ["pushupdate", "--clients", "web1-web3", "--batch", "1", "--yes",
            "--drain", f"echo drain $SI_CLIENT >>{hooks}", "--check", f"[ ! -e {SICK} ]",
            "--undrain", f"echo undrain $SI_CLIENT >>{hooks}"]  # fmt: skip
    stopped = yard.site.run(*push, ok=(3,))
    assert "web2" in stopped.stderr.decode(), stopped
    assert hooks.read_text().splitlines() == ["drain web1", "undrain web1", "drain web2"]
    assert found(yard, "web1") == {}
    assert set(found(yard, "web3")) == {"/etc/issue"}

    yard.login("web2").run(f"rm {SICK}")
    yard.site.run("pushupdate", "--resume", "--yes")
    assert hooks.read_text().splitlines()[3:] == [
        "drain web2", "undrain web2", "drain web3", "undrain web3",
    ]  # fmt: skip
    table = json.loads(yard.site.run("audit", "--clients", "web1-web3", "--json").stdout)
    assert {one["client"]: (one["version"], one["state"]) for one in table["clients"]} == {
        name: (f"{IMAGE}@{number}", "clean") for name in ("web1", "web2", "web3")
    }


def is_left_behind(difference: dict[str, Any]) -> bool:
    """Something under a hidden name, or the time of the directory that it is in."""
    if difference["directory"] and difference["what"] == ["time"]:
        return True
    return LEFT_BEHIND.search(difference["path"]) is not None


def found(yard: UpdateYard, name: str, *words: str) -> dict[str, tuple[str, ...]]:
    """What an audit finds: paths with their classes."""
    return {one["path"]: tuple(one["classes"]) for one in differences(yard, name, *words)}


def differences(yard: UpdateYard, name: str, *words: str) -> list[dict[str, Any]]:
    """What an audit finds that nothing protects."""
    audit = yard.audit(name, "--exclude", "/srv/local", *words, ok=(0, 4))
    return [one for one in audit["differences"] if one["protected_by"] is None]
