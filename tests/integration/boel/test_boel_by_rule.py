"""Disks by rule, in one guest with five: which is taken, what is refused, an install onto them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from si.boot.flavor import build_flavor
from si.config import default_settings
from si.layout.document import load_layout
from si.script.header import identifier_value
from si.script.identifiers import identifiers
from si.script.plan import plan
from si.script.render import render_steps
from si.script.steps import Call, Phase, PhaseName
from tests.integration.boel.machine import Machine
from tests.integration.boel.server import TOKEN, Server, make_bundle, serving
from tests.integration.boel.test_boel_boot import START

EXAMPLE = Path(__file__).parents[3] / "schemas/examples/by-rule.xml"
GIB = 1 << 30
SIZES = (3 * GIB, 6 * GIB, 8 * GIB, GIB, GIB)
LAYOUT = load_layout(EXAMPLE.read_bytes(), EXAMPLE.name)
# vda and vdb are SSDs, the others turn; vdd is what a machine may start from now.
SCENE = """
for name in vda vdb vdc vdd vde; do echo 1 >/sys/block/$name/queue/rotational; done
for name in vda vdb; do echo 0 >/sys/block/$name/queue/rotational; done
printf 'label: dos\\nsize=100MiB\\ntype=83, bootable\\n' | sfdisk --quiet /dev/vdd
"""
RULES = {
    "smallest rotational=no": "/dev/vda",
    "largest rotational=no": "/dev/vdb",
    "largest": "/dev/vdc",
    "largest except=/dev/vdc except=/dev/vdb": "/dev/vda",
    "rotational=yes min_bytes=2000000000": "/dev/vdc",
    f"min_bytes={8 * GIB}": "/dev/vdc",
    "first": "/dev/vda",
    "first rotational=yes": "/dev/vdc",
    "holds=boot": "/dev/vdd",
    "holds=boot largest": "/dev/vdd",
    f"min_bytes={8 * GIB + 1}": "no disk fits",
    "holds=boot rotational=no": "no disk fits",
    "smallest": "several disks fit /dev/si/x (smallest), which names one: /dev/vdd /dev/vde",
    "rotational=no": "several disks fit /dev/si/x (rotational=no), which names one: /dev/vda "
    "/dev/vdb",
    "largest colour=red": "says colour=red, which BOEL does not know",
}


def asked() -> str:
    lines = [
        f"echo 'RULE {rule}'; (settle_disks() {{ :; }}; choose_disk /dev/si/x {rule}) || :"
        for rule in RULES
    ]
    return "\n".join([SCENE, *lines, "echo RULES"]) + "\n"


def install() -> str:
    """The script as far as its file systems are mounted, but for the phases that need a server."""
    steps = takewhile(lambda step: step != Phase(PhaseName.IMAGE), plan(LAYOUT))
    scripts = Call("run_scripts", ("pre-install",))
    text = render_steps(step for step in steps if step != scripts)
    header = "".join(
        f"{wanted.variable}={identifier_value(wanted, client='web1', image='web')}\n"
        for wanted in identifiers(LAYOUT)
    )
    look = "echo BEGIN; ls -l /dev/si; lsblk -nlo PATH,MOUNTPOINTS; blkid; echo END\n"
    return header + text + look


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("by-rule")
    site = default_settings(folder)
    flavor = build_flavor(site, flavor="virtio")
    holding = "echo 'RULE then'; (choose_disk /dev/si/x holds=boot rotational=no) || :\n"
    end = f"{holding}unmount_all /a\nphase written\nfinish poweroff\n"
    server = Server(make_bundle(site, f"{START}{asked()}{install()}{end}"))
    with serving(server):
        address = f"si.server=http://10.0.2.2:{server.port} si.client=web1 si.token={TOKEN}"
        machine = Machine(folder, flavor, address, SIZES)
        try:
            machine.wait_for(
                lambda: machine.process.poll() is not None or "failed" in server.phases, "end", 300
            )
            assert server.phases[-1] == "written", machine.text[-6000:]
            yield machine.text
        finally:
            machine.stop()


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_takes_one_disk_or_is_refused_by_name(console: str, rule: str) -> None:
    said = console.split(f"RULE {rule}\n", 1)[1].split("RULE", 1)[0]
    if RULES[rule].startswith("/dev/"):
        assert f"/dev/si/x is {RULES[rule]} ({rule})" in said
        assert "error" not in said
    else:
        assert re.search(r"error: .*" + re.escape(RULES[rule]), said)


def test_the_layout_is_on_the_disks_that_were_chosen(console: str) -> None:
    said = console.split("BEGIN\n", 1)[1].split("END\n", 1)[0]
    for link, device in (("system", "vda"), ("system-part3", "vda3"), ("data-part1", "vdc1")):
        assert f"{link} -> /dev/{device}\n" in said
    assert re.search(r"^/dev/vda3 +/a$", said, re.M)
    assert re.search(r"^/dev/vda2 +\[SWAP\]$", said, re.M)
    assert re.search(r"^/dev/mapper/data-srv +/a/srv$", said, re.M)
    for wanted in identifiers(LAYOUT):
        if wanted.variable.startswith("UUID_"):
            assert identifier_value(wanted, client="web1", image="web") in said
    # Nothing was written to the others.
    assert not re.search(r"^/dev/vd[be]\d", said, re.M)


def test_what_was_installed_holds_the_boot_partition_from_then(console: str) -> None:
    assert "/dev/si/x is /dev/vda (holds=boot rotational=no)" in console.split("RULE then\n")[1]
