"""Which disk a rule takes: loop devices of three sizes, which are told to be hardware."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.boel.files import Run
from tests.integration.boel.test_boel_disks import loop_device

SIZES = (32 << 20, 64 << 20, 64 << 20)


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """One of 32 MiB and two of 64 MiB; the second has an active partition."""
    with ExitStack() as open_:
        found = []
        for number, size in enumerate(SIZES):
            image = tmp_path / f"{number}.img"
            device = open_.enter_context(loop_device(image))
            with image.open("r+b") as file:
                file.truncate(size)
            subprocess.run(["losetup", "--set-capacity", device], check=True)
            found.append(device)
        table = "label: dos\nsize=8MiB, type=83\nsize=8MiB, type=83, bootable\n"
        sfdisk = ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", found[1]]
        subprocess.run(sfdisk, input=table, text=True, check=True)
        subprocess.run(["partx", "--update", found[1]], check=True, capture_output=True)
        open_.callback(
            subprocess.run, ["partx", "--delete", found[1]], check=False, capture_output=True
        )
        yield tuple(found)


@pytest.mark.parametrize(
    ("rule", "taken"),
    [
        ("smallest", 0),
        ("first", 0),
        ("first except={0}", 1),
        ("largest except={1}", 2),
        ("holds=boot", 1),
        ("holds=boot smallest", 1),
        (f"smallest min_bytes={SIZES[1]}", "several disks fit {link} ({rule}), which names one"),
        ("largest", "several disks fit {link} ({rule}), which names one: {1} {2}"),
        (f"min_bytes={SIZES[1]}", "several disks fit"),
        (f"min_bytes={SIZES[1] + 1}", "no disk fits {link} ({rule}); there are: "),
        ("holds=boot except={1}", "no disk fits"),
        ("largest colour=red", "a rule for {link} says colour=red, which BOEL does not know"),
    ],
)
def test_a_rule_takes_one_disk_or_is_refused_by_name(
    boel: Run, disks: tuple[str, ...], tmp_path: Path, rule: str, taken: int | str
) -> None:
    rule = rule.format(*disks)
    link = tmp_path / "si/system"
    names = " ".join(disk.removeprefix("/dev/") for disk in sorted(disks))
    stand_ins = f"list_fixed_disks() {{ printf '%s\\n' {names}; }}\nusleep() {{ :; }}\n"
    done = boel(f"{stand_ins}choose_disk {link} {rule}\nlink_partitions {link} 1 12")
    if isinstance(taken, str):
        assert done.returncode == 1
        assert taken.format(*disks, link=link, rule=rule) in done.stderr
        assert not link.exists()
        return
    assert done.returncode == 0, done.stderr
    if rule == "first":  # by name, whichever loop device was free first
        taken = disks.index(min(disks))
    assert str(link.readlink()) == disks[taken]
    assert str(link.with_name("system-part12").readlink()) == f"{disks[taken]}p12"


def test_a_disk_that_comes_late_is_waited_for(boel: Run, tmp_path: Path) -> None:
    """The largest is not the largest of those that happened to be found first."""
    late = f"""
    asked=0
    list_fixed_disks() {{
        echo loop0
        [ ! -e {tmp_path}/late ] || echo loop1
    }}
    usleep() {{ asked=$((asked + 1)); [ "$asked" != 4 ] || : >{tmp_path}/late; }}
    settle_disks
    echo "$asked"
    """
    assert boel(late).stdout.split() == ["10"]
