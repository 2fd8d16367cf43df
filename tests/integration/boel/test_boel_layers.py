"""Arrays, volume groups, containers and subvolumes, made by BOEL in one guest with four disks.

Each layout goes over what the one before it left, the first one over itself as well, with its
arrays and volumes still running; lsblk and blkid of the guest say what came of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from si.boot.flavor import Flavor, build_flavor
from si.config import default_settings
from si.layout.document import load_layout
from si.layout.model import Layout
from si.script.filesystems import mount_steps
from si.script.header import identifier_value
from si.script.identifiers import identifiers
from si.script.layers import storage_files
from si.script.plan import plan_disks
from si.script.render import render_steps
from tests.integration.boel.machine import Machine
from tests.integration.boel.server import TOKEN, Server, make_bundle, serving
from tests.integration.boel.test_boel_boot import START

EXAMPLES = Path(__file__).parents[3] / "schemas/examples"
ORDER = ("raid1-lvm", "raid1-lvm", "luks2-lvm", "btrfs", "thin-pool", "raid-levels", "raid1-lvm")
DISKS = (12 << 30,) * 4
DEVICES = ("/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd")
DEADLINE_S = 900.0


def load(name: str) -> Layout:
    text = (EXAMPLES / f"{name}.xml").read_text().replace("/dev/sd", "/dev/vd")
    return load_layout(text.encode(), name)


def values(layout: Layout) -> dict[str, str]:
    return {
        wanted.variable: identifier_value(wanted, client="web1", image="web")
        for wanted in identifiers(layout)
    }


def part(number: int, name: str, *, stops: bool) -> str:
    """One layout of the master script. Other disks may hold parts of the arrays that its disks
    hold: it is refused until they are wiped."""
    layout = load(name)
    mine = [disk.device for disk in layout.disks]
    disks, others = " ".join(mine), [device for device in DEVICES if device not in mine]
    lines = [f"echo BEFORE{number}", f"(check_layers {disks}) || clear_disks {' '.join(others)}"]
    lines += [f"{variable}='{value}'" for variable, value in values(layout).items()]
    lines += [f"check_disk {disk.device} 1" for disk in layout.disks]
    lines += ["check_layers " + disks, "mkdir -p /run/boel/keys"]
    lines += [f"printf geheim >/run/boel/keys/{crypt.name}" for crypt in layout.crypts]
    lines += [render_steps([*plan_disks(layout), *mount_steps(layout)])]
    lines += [f"echo BEGIN{number}", "lsblk --json -o PATH,TYPE,MOUNTPOINTS", "echo TAGS"]
    lines += ["blkid -c /dev/null -o export", f"echo END{number}"]
    lines += ["needed_programs $(mounted_device /a) | sed 's/^/needs /'"]
    lines += [sabotage(layout), f"echo AFTER{number}"]
    lines += ["unmount_all /a" if stops else "(stop_layers() { :; }; unmount_all /a)"]
    return "\n".join(lines) + "\n"


def sabotage(layout: Layout) -> str:
    """crypttab and mdadm.conf under the boot check: right, then one line too few or too many."""
    right = ["rm -f /run/boel/arrays /run/boel/crypttab; mkdir -p /a/etc"]
    right += [render_steps(storage_files(layout)), "configure_storage /a"]
    arrays = "ARRAY /dev/md9 metadata=1.2 UUID=0a0b0c0d:0:0:0"
    wrong = [f"[ ! -e /a/etc/crypttab ] || : >/a/etc/crypttab; echo '{arrays}' >>/a/etc/mdadm.conf"]
    asked = [": >/run/boel/unresolved; list_tags; check_crypttab /a; check_arrays /a"]
    asked += ["sed 's/^/unresolved: /' /run/boel/unresolved"]
    return "\n".join([*right, "echo RIGHT", *asked, *wrong, "echo WRONG", *asked])


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What the guest said."""
    folder = tmp_path_factory.mktemp("layers")
    site = default_settings(folder)
    flavor: Flavor = build_flavor(site, flavor="virtio")
    last = len(ORDER) - 1
    # Another layout than before needs other disks free: what runs is then stopped altogether.
    stops = [n == last or ORDER[n + 1] != name for n, name in enumerate(ORDER)]
    parts = [part(n, name, stops=stops[n]) for n, name in enumerate(ORDER)]
    server = Server(make_bundle(site, f"{START}{''.join(parts)}phase written\nfinish poweroff\n"))
    with serving(server):
        address = f"si.server=http://10.0.2.2:{server.port} si.client=web1 si.token={TOKEN}"
        machine = Machine(folder, flavor, address, DISKS)
        try:
            machine.wait_for(
                lambda: machine.process.poll() is not None or "failed" in server.phases,
                "end",
                DEADLINE_S,
            )
            assert server.phases[-1] == "written", machine.text[-6000:]
            yield machine.text
        finally:
            machine.stop()


def read(console: str, number: int) -> tuple[list[dict[str, Any]], dict[str, dict[str, str]]]:
    """lsblk's devices in a row, and blkid's tags by device."""
    found = re.search(rf"^BEGIN{number}\n(.*?)\nTAGS\n(.*?)\nEND{number}$", console, re.M | re.S)
    assert found, console[-3000:]
    # Whatever the kernel says meanwhile begins with its time.
    texts = [re.sub(r"^\[ *\d+\.\d+\].*\n", "", text, flags=re.M) for text in found.groups()]
    tags = {}
    for block in texts[1].split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.strip().splitlines())
        tags[pairs["DEVNAME"]] = pairs
    return flat(json.loads(texts[0])["blockdevices"]), tags


def flat(devices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for device in devices for one in (device, *flat(device.get("children", [])))]


def points(devices: list[dict[str, Any]]) -> set[str]:
    return {point for device in devices for point in device["mountpoints"] if point}


@pytest.mark.parametrize("number", range(len(ORDER)))
def test_what_was_asked_for_is_there(console: str, number: int) -> None:
    layout = load(ORDER[number])
    devices, tags = read(console, number)
    places = {f.mount_point for f in layout.filesystems} - {"swap"}
    places |= {s.mount_point for f in layout.filesystems for s in f.subvolumes if s.mount_point}
    assert {f"/a{place}".rstrip("/") for place in places} <= points(devices)
    kinds = {device["type"] for device in devices}
    assert {f"raid{raid.level}" for raid in layout.raids} <= kinds
    assert ("crypt" in kinds) == bool(layout.crypts)
    assert ("lvm" in kinds) == bool(layout.volume_groups)
    # Every identifier that the server chose is one of a device.
    named = (pair for pairs in tags.values() for pair in pairs.items())
    uuids = {value.lower() for key, value in named if "UUID" in key}
    chosen = {v.lower() for k, v in values(layout).items() if not k.startswith("DISK_")}
    assert chosen <= uuids


def test_the_first_again_is_the_first(console: str) -> None:
    again = [number for number, name in enumerate(ORDER) if name == ORDER[0]]
    first, *others = [read(console, number) for number in again]
    disks = {disk.device for disk in load(ORDER[0]).disks}

    def seen(found: tuple[list[dict[str, Any]], dict[str, dict[str, str]]]) -> Any:
        devices, tags = found
        mine = {path: pairs for path, pairs in tags.items() if path[:8] in disks}
        for pairs in mine.values():
            # LVM and mdadm name their members by chance; nothing refers to these.
            pairs.pop({"LVM2_member": "UUID"}.get(pairs.get("TYPE", ""), "UUID_SUB"), None)
        return [points(devices), mine]

    for other in others:
        assert seen(other) == seen(first)


def test_an_array_that_lies_on_other_disks_too_is_refused(console: str) -> None:
    """luks2-lvm wants one of the two disks that raid1-lvm was on."""
    said = [console.split(f"BEFORE{number}\n")[1].split("BEGIN")[0] for number in (1, 2)]
    uuid = values(load(ORDER[1]))["MD_UUID_md0"]
    assert "error: " not in said[0]
    assert f"the array {uuid} is on disks of the layout and on /dev/vdb2" in said[1]


def test_what_an_initramfs_needs_is_known(console: str) -> None:
    after = console.split("END2\n", 1)[1].split("BEGIN3", 1)[0]
    assert "needs cryptsetup\nneeds lvm\n" in after


@pytest.mark.parametrize("number", range(len(ORDER)))
def test_a_line_too_few_and_one_too_many_are_named(console: str, number: int) -> None:
    said = console.split(f"END{number}\n", 1)[1].split(f"AFTER{number}\n", 1)[0]
    right, wrong = said.split("RIGHT\n", 1)[1].split("WRONG\n", 1)
    assert "unresolved" not in right
    assert "no array of this machine has the UUID 0a0b0c0d:0:0:0" in wrong
    for crypt in load(ORDER[number]).crypts:
        text = f"/etc/crypttab has no line for {crypt.name}, which the system lies in"
        assert f"unresolved: {text}\n" in wrong
    assert wrong.count("unresolved: ") == 1 + len(load(ORDER[number]).crypts)
