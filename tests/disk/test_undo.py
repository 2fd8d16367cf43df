"""si-updateclient --undo on a real btrfs: snapshot, way back, and power cuts between."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.disk.loops import Loops, run
from tests.integration.client_kit import Ended, Program, build_program
from tests.integration.installed_kit import install, make_two_versions, put, update
from tests.integration.server_kit import Server, running_server

KILLED_AT = Path(__file__).parents[1] / "integration/update/killed_at.py"
SIZE = 400 << 20
FSTAB = "UUID=0 / btrfs rw,subvol=@ 0 0\n"
Content = dict[str, tuple[object, ...]]


@dataclass(frozen=True)
class Machine:
    """A machine whose root is the subvolume @ of a btrfs on a loop device."""

    device: str
    root: Path
    top: Path

    def boot(self) -> None:
        """Mount the root as fstab says, and /run."""
        run(["mount", "-t", "btrfs", "-o", "subvol=@", self.device, str(self.root)])
        run(["mount", "-t", "tmpfs", "none", str(self.root / "run")])

    def stop(self) -> None:
        run(["umount", "--recursive", str(self.root)])

    def reboot(self) -> None:
        self.stop()
        self.boot()

    @property
    def subvolumes(self) -> list[str]:
        return sorted(path.name for path in self.top.iterdir())

    def read(self) -> Content:
        """All of the root but /run: what it is made of, every attribute, every byte."""
        return {
            str(path.relative_to(self.root)): _describe(path)
            for path in sorted([self.root, *self.root.rglob("*")])
            if path == self.root or path.relative_to(self.root).parts[0] != "run"
        }


def _describe(path: Path) -> tuple[object, ...]:
    about = path.lstat()
    content = ""
    if stat.S_ISLNK(about.st_mode):
        content = str(path.readlink())
    elif stat.S_ISREG(about.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    names = sorted(os.listxattr(path, follow_symlinks=False))
    attributes = [(name, os.getxattr(path, name, follow_symlinks=False)) for name in names]
    size = 0 if stat.S_ISDIR(about.st_mode) else about.st_size
    links = 1 if stat.S_ISDIR(about.st_mode) else about.st_nlink
    return (
        about.st_mode, about.st_uid, about.st_gid, size, about.st_mtime_ns, links,
        about.st_rdev, content, attributes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return build_program(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = make_two_versions(tmp_path_factory.mktemp("site"))
    with running_server(settings, "--only", "http,rsync") as running:
        yield running


@pytest.fixture(scope="module")
def installed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of a machine with web@1."""
    tree = install(server.settings, tmp_path_factory.mktemp("client") / "tree", 1)
    put(tree / "etc/fstab", FSTAB)
    put(tree / "var/log/messages", "booted\n")
    (tree / "run").mkdir(exist_ok=True)
    return tree


@pytest.fixture
def machine(installed: Path, loops: Loops, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(loops.add(SIZE), tmp_path / "root", tmp_path / "top")
    for folder in (made.root, made.top):
        folder.mkdir()
    run(["mkfs.btrfs", "--quiet", made.device])
    run(["mount", "-t", "btrfs", made.device, str(made.top)])
    run(["btrfs", "subvolume", "create", str(made.top / "@")])
    run(["cp", "--archive", f"{installed}/.", str(made.top / "@")])
    made.boot()
    yield made
    made.stop()
    run(["umount", str(made.top)])


def undo(program: Program, machine: Machine, *words: str) -> Ended:
    return program("updateclient", "--root", machine.root, "--undo", *words)


def succeeds(done: Ended) -> Ended:
    assert done.code == 0, done.stderr
    return done


def killed(number: int, program: Program, machine: Machine, *words: str) -> bool:
    """Run si-updateclient and kill it at its fault point `number`; whether it came that far."""
    count = machine.root.parent / "count"
    argv: list[str | Path] = [sys.executable, "-IB", KILLED_AT, str(number), count, program.file]
    argv += ["updateclient", "--root", machine.root, "--yes", *words]
    done = subprocess.run(argv, capture_output=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode != 0


def test_an_undo_brings_everything_back(program: Program, machine: Machine) -> None:
    before = machine.read()
    told = succeeds(update(program, machine.root, "--yes")).stderr
    assert "--undo brings back" in told
    updated = machine.read()
    assert updated != before
    put(machine.root / "var/log/messages", "written after the update\n")
    assert machine.subvolumes == ["@", "@.si-undo"]
    told = succeeds(undo(program, machine, "--yes")).stdout
    assert "from the next boot on" in told
    assert machine.read().keys() == updated.keys(), "nothing changes before the reboot"
    again = undo(program, machine, "--yes")
    assert (again.code, "undone already" in again.stderr) == (73, True)
    refused = update(program, machine.root, "--yes", "--image", "web@1")
    assert (refused.code, "next boot" in refused.stderr) == (34, True), refused.stderr
    machine.reboot()
    assert machine.read() == before
    nothing = undo(program, machine, "--yes")
    assert (nothing.code, "nothing to undo" in nothing.stderr) == (73, True)
    assert machine.subvolumes == ["@", "@.si-undone"]
    succeeds(update(program, machine.root, "--yes"))
    assert machine.subvolumes == ["@", "@.si-undo"]


def test_it_returns_to_the_last_update_only_and_asks(program: Program, machine: Machine) -> None:
    succeeds(update(program, machine.root, "--yes"))
    between = machine.read()
    put(machine.root / "usr/d0/f000", "drift")
    drifted = machine.read()
    succeeds(update(program, machine.root, "--yes"))
    assert machine.subvolumes == ["@", "@.si-undo"]
    dry = undo(program, machine, "--dry-run")
    assert (dry.code, dry.stdout.startswith("would bring back web@2")) == (4, True)
    assert undo(program, machine, "--yes", "--image", "web@1").code == 34
    asked = undo(program, machine)
    assert asked.code == 36
    assert "web@2" in asked.stderr and "will be lost" in asked.stderr
    assert machine.subvolumes == ["@", "@.si-undo"]
    succeeds(undo(program, machine, "--yes"))
    machine.reboot()
    assert machine.read() == drifted != between


def test_an_update_that_changes_nothing_leaves_the_snapshot(
    program: Program, machine: Machine
) -> None:
    before = machine.read()
    succeeds(update(program, machine.root, "--yes"))
    succeeds(update(program, machine.root, "--yes"))
    succeeds(undo(program, machine, "--yes"))
    machine.reboot()
    assert machine.read() == before


def test_declined_it_is_neither_taken_nor_kept(program: Program, machine: Machine) -> None:
    succeeds(update(program, machine.root, "--yes"))
    succeeds(update(program, machine.root, "--yes", "--image", "web@1", "--no-snapshot"))
    assert machine.subvolumes == ["@"]
    assert undo(program, machine, "--yes").code == 73


def test_an_update_that_was_cut_off_is_undone_from_its_beginning(
    program: Program, machine: Machine
) -> None:
    before = machine.read()
    assert killed(60, program, machine)
    machine.reboot()
    assert machine.read() != before, "nothing was begun yet"
    assert "@.si-undo-open" in machine.subvolumes
    succeeds(update(program, machine.root, "--yes"))
    assert machine.subvolumes == ["@", "@.si-undo"]
    succeeds(undo(program, machine, "--yes"))
    machine.reboot()
    assert machine.read() == before


def test_an_undo_that_is_cut_off_anywhere_leaves_one_or_the_other(
    program: Program, machine: Machine
) -> None:
    succeeds(update(program, machine.root, "--yes", "--image", "web@1"))
    put(machine.root / "usr/d0/f000", "drift")
    before = machine.read()
    number = 0
    while True:
        succeeds(update(program, machine.root, "--yes", "--image", "web@1"))
        updated = machine.read()
        number += 1
        if not killed(number, program, machine, "--undo"):
            break
        machine.reboot()
        assert machine.read() in (before, updated), f"killed at {number}"
        done = undo(program, machine, "--yes")
        assert done.code in (0, 73), done.stderr
        machine.reboot()
        assert machine.read() == before, f"killed at {number}"
    assert number > 8, "there was hardly anything to break off"
    machine.reboot()
    assert machine.read() == before


def test_a_full_file_system_is_an_error_before_the_first_write(
    program: Program, machine: Machine
) -> None:
    filler = machine.top / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=1M"], capture_output=True)
    run(["sync", "--file-system", str(machine.top)])
    before = machine.read()
    done = update(program, machine.root, "--yes")
    assert done.code == 27, done.stderr
    assert machine.read() == before
    filler.unlink()
    run(["btrfs", "filesystem", "sync", str(machine.top)])
    succeeds(update(program, machine.root, "--yes"))


def test_another_file_system_that_changes_too_means_no_snapshot(
    program: Program, machine: Machine, loops: Loops
) -> None:
    succeeds(update(program, machine.root, "--yes"))
    disk = loops.add(64 << 20)
    run(["mkfs.ext4", "-q", disk])
    run(["mount", disk, str(machine.root / "usr/d1")])
    done = succeeds(update(program, machine.root, "--yes"))
    assert "no --undo: /usr/d1 is another file system" in done.stderr
    assert machine.subvolumes == ["@"]


@pytest.mark.parametrize(
    ("fstab", "why"),
    [
        ("UUID=0 / btrfs rw,subvolid=256 0 0\n", "does not name the root's subvolume"),
        ("UUID=0 / btrfs subvol=@other 0 0\n", "does not name the root's subvolume"),
        ("", "does not name the root's subvolume"),
    ],
)
def test_a_root_that_is_not_found_by_its_name_is_left_alone(
    program: Program, machine: Machine, fstab: str, why: str
) -> None:
    put(machine.root / "etc/fstab", fstab)
    done = succeeds(update(program, machine.root, "--yes"))
    assert f"no --undo: /etc/fstab {why}" in done.stderr
    assert machine.subvolumes == ["@"]
    refused = undo(program, machine, "--yes")
    assert (refused.code, why in refused.stderr) == (73, True)


def test_subvolumes_inside_count_only_with_something_in_them(
    program: Program, machine: Machine
) -> None:
    run(["btrfs", "subvolume", "create", str(machine.root / "srv/machines")])
    succeeds(update(program, machine.root, "--yes", "--exclude", "/srv/machines/"))
    assert "@.si-undo" in machine.subvolumes
    put(machine.root / "srv/machines/one", "data")
    refused = undo(program, machine, "--yes")
    assert (refused.code, "/srv/machines is a subvolume" in refused.stderr) == (73, True)
    (machine.root / "srv/machines/one").unlink()
    succeeds(undo(program, machine, "--yes"))
    machine.reboot()
    succeeds(update(program, machine.root, "--yes", "--exclude", "/srv/machines/"))
    assert machine.subvolumes == ["@", "@.si-undo"], "what was undone is gone, and all in it"
