from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.client.fields import clean_text
from si.client.record import (
    BACKENDS,
    FIRMWARE,
    MAX_BYTES,
    BootFacts,
    Facts,
    Kernel,
    NetworkFacts,
    Swap,
    dump_facts,
    parse_facts,
)
from si.errors import FactsInvalid

FACTS = Facts(
    recorded="2026-11-21T12:00:00Z",
    hostname="golden",
    arch="x86_64",
    firmware="bios",
    os_release={"ID": "debian"},
    kernel=Kernel("6.1.0-56-amd64", "root=/dev/vda2 ro"),
    lsblk={"blockdevices": [{"name": "vda", "type": "disk", "children": []}]},
    sfdisk={"/dev/vda": {"partitiontable": {"label": "dos", "partitions": []}}},
    findmnt={"filesystems": [{"target": "/", "fstype": "ext4", "source": "/dev/vda2"}]},
    fstab="/dev/vda2 / ext4\n",
    swaps=(Swap("/dev/vda3", "partition", 1 << 30, 0, -2),),
    blkid="",
    boot=BootFacts("grub", ("/dev/vda",), ""),
    network=NetworkFacts("ifupdown", [{"ifname": "lo"}]),
    tools={"rsync": "3.2.7", "grub-install": "2.06"},
    used_bytes=1,
    inodes=2,
)

texts = st.text(max_size=20).map(clean_text)
sizes = st.integers(0, 2**63 - 1)


@st.composite
def any_facts(draw: st.DrawFn) -> Facts:
    return dataclasses.replace(
        FACTS,
        hostname=draw(texts),
        firmware=draw(st.sampled_from(FIRMWARE)),
        os_release=draw(st.dictionaries(texts, texts, max_size=3)),
        fstab=draw(texts),
        swaps=tuple(
            draw(
                st.lists(
                    st.builds(Swap, texts, texts, sizes, sizes, st.integers(-2, 32767)), max_size=3
                )
            )
        ),
        boot=BootFacts(draw(texts), tuple(draw(st.lists(texts, max_size=3))), draw(texts)),
        network=NetworkFacts(draw(st.sampled_from(BACKENDS)), [{"ifname": draw(texts)}]),
        used_bytes=draw(sizes),
    )


@given(any_facts())
def test_what_is_dumped_is_parsed(facts: Facts) -> None:
    assert parse_facts(dump_facts(facts), "facts.json") == facts


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_whatever_comes_it_is_facts_or_one_error(text: bytes | str) -> None:
    with pytest.raises(FactsInvalid):
        parse_facts(text, "facts.json")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.sampled_from(sorted(json.loads(dump_facts(FACTS)))), json_values)
def test_any_value_in_any_field_is_taken_or_refused(field: str, value: Any) -> None:
    data = json.loads(dump_facts(FACTS))
    data[field] = value
    try:
        facts = parse_facts(json.dumps(data), "facts.json")
    except FactsInvalid as error:
        assert "\n" not in error.message
    else:
        dump_facts(facts).encode()


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(dump_facts(FACTS)), **fields})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "the whole is not a JSON object"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("9" * 5000, "no JSON"),
        (b"\xff\xfe\xfa", "no JSON"),
        (" " * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
        (changed(format=2), "facts of format 2, this version reads 1"),
        (changed(format="1"), "format is not a whole number"),
        (changed(format=True), "format is not a whole number"),
        (changed(recorded="yesterday"), "recorded is not a time"),
        (changed(firmware="coreboot"), "firmware is not one of bios, uefi"),
        (changed(used_bytes=-1), "used_bytes is not between 0"),
        (changed(used_bytes=2**64), "used_bytes is not between 0"),
        (changed(used_bytes=float("nan")), "NaN is not a number"),
        (changed(hostname="a\x1b[2Jb"), "control characters"),
        (changed(hostname="\ud800"), "control characters"),
        (changed(os_release={"ID": 1}), "os_release is not an object of texts"),
        (changed(kernel={"release": "6"}), "kernel.cmdline is missing"),
        (changed(swaps=[{"name": 1}]), "swaps[0].name is not a text"),
        (changed(swaps={}), "swaps is not a list of objects"),
        (changed(lsblk={"blockdevices": [{"name": "vda"}]}), "lsblk is not what lsblk --json"),
        (changed(lsblk={"blockdevices": [{"name": "a", "type": "disk", "children": 1}]}), "lsblk"),
        (changed(findmnt={}), "findmnt is not what findmnt --json says"),
        (changed(sfdisk={"/dev/vda": {"partitiontable": {"partitions": [{}]}}}), "sfdisk['/dev/vd"),
        (changed(network={"backend": "wicked", "ip": []}), "network.backend is not one of"),
        (changed(extra=1), "unknown field 'extra'"),
    ],
)
def test_faults_are_named(text: str | bytes, says: str) -> None:
    with pytest.raises(FactsInvalid) as caught:
        parse_facts(text, "facts.json")
    assert says in caught.value.message
    assert caught.value.message.startswith("facts.json: ")


@given(st.text())
def test_clean_text_is_what_facts_may_hold(text: str) -> None:
    facts = dataclasses.replace(FACTS, fstab=clean_text(text))
    assert parse_facts(dump_facts(facts), "f").fstab == clean_text(text)
