"""A document that was left on a golden client, against what that machine says of itself."""

from __future__ import annotations

import dataclasses

import pytest

from si.errors import DocumentInvalid, LayoutContradictsFacts, LayoutNotFound
from si.layout.choose import choose_layout
from si.layout.contradict import contradictions, with_capacities
from si.layout.document import dump_layout, load_layout
from si.layout.infer import infer_layout
from si.layout.model import Disk, Filesystem, FilesystemType, LabelType, Layout, Partition, Rest
from tests.unit.layout.stacked import mirrored
from tests.unit.layout.test_infer import machine

DOCUMENT = """<config>
  <!-- by hand -->
  <disk dev="/dev/vda" label_type="msdos" unit_of_measurement="MB">
    <part num="1" size="300" p_type="primary" flags="boot"/>
    <part num="2" size="3300" p_type="primary"/>
    <part num="3" size="900" p_type="primary"/>
  </disk>
  <fsinfo line="10" real_dev="/dev/vda2" mp="/" fs="ext4"/>
  <fsinfo line="20" real_dev="/dev/vda1" mp="/boot" fs="ext4"/>
  <fsinfo line="30" real_dev="/dev/vda3" mp="swap" fs="swap"/>
  <boel devstyle="udev"/>
</config>"""


def denied(text: str) -> tuple[str, ...]:
    return contradictions(load_layout(text, "f"), machine("debian-virtio-bios"))


@pytest.mark.parametrize(
    "name", ["debian-virtio-bios", "sata-logical-bios", "nvme-gpt-bios", "nvme-gpt-uefi"]
)
def test_what_was_inferred_contradicts_nothing(name: str) -> None:
    facts = machine(name)
    assert contradictions(infer_layout(facts), facts) == ()


def test_other_sizes_are_no_contradiction() -> None:
    assert denied(DOCUMENT) == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("msdos", "gpt", "/dev/vda: label_type is gpt, the golden client's is dos"),
        (
            '<part num="3" size="900" p_type="primary"/>',
            '<part num="4" size="900" p_type="primary"/>',
            "/dev/vda4: the golden client has no such partition",
        ),
        (
            'real_dev="/dev/vda1" mp="/boot" fs="ext4"',
            'real_dev="/dev/vda1" mp="/boot" fs="ext3"',
            "/dev/vda1: fs is ext3, the golden client's is ext4",
        ),
        ('mp="/boot"', 'mp="/efi"', "/dev/vda1: mp is /efi, the golden client has it at /boot"),
        (
            'size="900"',
            'size="1900"',
            "/dev/vda: the partitions need 5249 MiB, the golden client's disk has 4GiB",
        ),
    ],
)
def test_a_contradiction_is_told(old: str, new: str, expected: str) -> None:
    text = DOCUMENT.replace(old, new)
    if "vda4" in expected:
        text = text.replace("/dev/vda3", "/dev/vda4")
    if "gpt" in expected:
        text = text.replace('flags="boot"', 'flags="bios_grub"').replace("/dev/vda1", "/dev/vda3")
        text = text.replace('<fsinfo line="30" real_dev="/dev/vda3" mp="swap" fs="swap"/>', "")
    found = denied(text)
    assert expected in found
    if "vda4" in expected:
        assert "/dev/vda3: the golden client has it, the document has not" in found


def test_another_disk() -> None:
    assert denied(DOCUMENT.replace("/dev/vda", "/dev/sda"))[:2] == (
        "/dev/sda: the golden client has no such disk",
        "/dev/vda: the golden client uses it (/boot, /, swap), the document has no such disk",
    )


def test_partitions_of_another_table_are_not_compared() -> None:
    disk = Disk("/dev/vda", LabelType.GPT, (Partition(9, Rest()),))
    assert contradictions(Layout((disk,), ()), machine("debian-virtio-bios")) == (
        "/dev/vda: label_type is gpt, the golden client's is dos",
    )


def test_a_disk_that_is_left_out() -> None:
    facts = mirrored()
    layout = infer_layout(facts)
    first = dataclasses.replace(layout, disks=layout.disks[:1])
    assert contradictions(first, facts) == (
        "/dev/vdb: the golden client uses it (volumes), the document has no such disk",
    )


def test_every_file_system_is_compared() -> None:
    facts = machine("debian-virtio-bios")
    new = Filesystem(10, "/dev/vdz1", "/new", FilesystemType.EXT4)
    other = Filesystem(20, "/dev/vda1", "/boot", FilesystemType.XFS)
    layout = dataclasses.replace(infer_layout(facts), entries=(new, other))
    assert contradictions(layout, facts) == ("/dev/vda1: fs is xfs, the golden client's is ext4",)


def test_capacity_is_filled_in_where_it_fits() -> None:
    facts = machine("debian-virtio-bios")
    layout = with_capacities(load_layout(DOCUMENT, "f"), facts)
    assert layout.disks[0].capacity == 4 * 1024**3
    large = load_layout(DOCUMENT.replace('size="900"', 'size="1900"'), "f")
    assert with_capacities(large, facts).disks[0].capacity is None
    own = load_layout(
        DOCUMENT.replace('label_type="msdos"', 'label_type="msdos" capacity="9GiB"'), "f"
    )
    assert with_capacities(own, facts).disks[0].capacity == 9 * 1024**3


def test_the_document_wins_and_is_kept_as_it_is() -> None:
    facts = machine("debian-virtio-bios")
    chosen = choose_layout(facts, ("x.conf", DOCUMENT.encode()), accept_contradictions=False)
    assert chosen.text == DOCUMENT.encode()
    assert chosen.layout == load_layout(DOCUMENT, "x")
    assert chosen.contradicts == ()
    assert "x.conf" in chosen.source


def test_one_that_contradicts_is_taken_only_when_wanted() -> None:
    facts = machine("debian-virtio-bios")
    text = DOCUMENT.replace("/dev/vda", "/dev/sda").encode()
    with pytest.raises(LayoutContradictsFacts, match="no such disk") as caught:
        choose_layout(facts, ("x.conf", text), accept_contradictions=False)
    assert caught.value.hint is not None
    assert "--yes" in caught.value.hint
    chosen = choose_layout(facts, ("x.conf", text), accept_contradictions=True)
    assert chosen.layout.disks[0].device == "/dev/sda"
    assert chosen.contradicts


def test_without_a_document_the_facts_speak() -> None:
    facts = machine("debian-virtio-bios")
    chosen = choose_layout(facts, None, accept_contradictions=False)
    assert chosen.layout == infer_layout(facts)
    assert chosen.text == dump_layout(chosen.layout).encode()
    assert load_layout(chosen.text, "f") == chosen.layout


def test_without_both() -> None:
    with pytest.raises(LayoutNotFound) as caught:
        choose_layout(None, None, accept_contradictions=False)
    assert "si-layout(5)" in str(caught.value.hint)
    assert choose_layout(None, ("x", DOCUMENT.encode()), accept_contradictions=False).layout


def test_a_broken_document_is_told_even_when_contradictions_are_accepted() -> None:
    facts = dataclasses.replace(machine("debian-virtio-bios"))
    with pytest.raises(DocumentInvalid):
        choose_layout(facts, ("x", b"<config/>"), accept_contradictions=True)
