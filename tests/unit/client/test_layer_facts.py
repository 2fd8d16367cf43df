"""What is recorded of arrays, volume groups and encryption, and what of it is believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from si.client.layer_facts import LayerFacts, plain_luks
from si.client.record import dump_facts, parse_facts
from si.errors import FactsInvalid
from tests.unit.layout.stacked import encrypted, mirrored

KEYSLOT = {
    "type": "luks2",
    "key_size": 64,
    "kdf": {"type": "argon2id", "time": 4, "memory": 65536, "cpus": 2, "salt": "c2FsdA=="},
}


def test_facts_of_older_versions_still_parse() -> None:
    data = json.loads(dump_facts(mirrored()))
    assert data.pop("layers")
    assert parse_facts(json.dumps(data), "f").layers == LayerFacts()


def test_a_machine_without_layers_writes_none() -> None:
    data = json.loads(dump_facts(encrypted()))
    assert set(data["layers"]) == {"luks", "btrfs", "crypttab"}


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ([], "layers. is not a JSON object"),
        ({"pvs": {}}, "layers.pvs is not a list of objects"),
        ({"pvs": [{"pv_name": 1}]}, "layers.pvs[0].pv_name is not a text"),
        ({"vgs": [{"vg_name": "g"}]}, "layers.vgs[0].vg_extent_size is missing"),
        ({"mdadm": {"/dev/md0": None}}, "layers.mdadm is not an object of texts"),
        ({"luks": []}, "layers.luks is not an object"),
        ({"luks": {"/dev/vda3": {"salt": "x"}}}, "layers.luks['/dev/vda3'] is not what is"),
        ({"luks": {"/dev/vda3": {"iterations": "4"}}}, "layers.luks['/dev/vda3'] is not what"),
        ({"btrfs": "x"}, "layers.btrfs is not an object of texts"),
        ({"efi": 1}, "layers.efi is not a text"),
        ({"other": 1}, "unknown field layers.'other'"),
    ],
)
def test_what_no_version_wrote_is_refused(layers: Any, says: str) -> None:
    data = json.loads(dump_facts(mirrored())) | {"layers": layers}
    with pytest.raises(FactsInvalid) as caught:
        parse_facts(json.dumps(data), "f")
    assert says.replace("layers. ", "layers ") in caught.value.message


def test_no_salt_and_no_digest_is_recorded() -> None:
    metadata = {"keyslots": {"0": KEYSLOT}, "digests": {"0": {"digest": "ZGlnZXN0"}}}
    assert plain_luks(metadata) == {
        "type": "LUKS2",
        "kdf": "argon2id",
        "iterations": 4,
        "memory_kib": 65536,
    }


def test_pbkdf2_has_iterations_and_no_memory() -> None:
    slot = {"kdf": {"type": "pbkdf2", "hash": "sha256", "iterations": 1000, "salt": "x"}}
    assert plain_luks({"keyslots": {"1": slot}}) == {
        "type": "LUKS2",
        "kdf": "pbkdf2",
        "iterations": 1000,
    }


@pytest.mark.parametrize("metadata", [{}, {"keyslots": []}, {"keyslots": {"0": {"kdf": 1}}}])
def test_metadata_of_an_unknown_shape(metadata: dict[str, Any]) -> None:
    assert plain_luks(metadata) == {"type": "LUKS2"}
