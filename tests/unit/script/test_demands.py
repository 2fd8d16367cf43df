"""What a script needs of the server is what its own layout says, be it the image's or another."""

from __future__ import annotations

from pathlib import Path

import pytest

from si.layout.document import load_layout
from si.script.demands import Demands, read_demands
from si.script.identifiers import Identifier, IdentifierKind, identifiers
from si.script.master import make_master

EXAMPLES = sorted((Path(__file__).parents[3] / "schemas/examples").glob("*.xml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_made_script_says_what_its_layout_says(path: Path) -> None:
    layout = load_layout(path.read_bytes(), path.name)
    demands = read_demands(make_master(layout, image="web", layout_name=path.name))
    assert demands.identifiers == identifiers(layout)
    rules = {disk.device: str(disk.rule) for disk in layout.disks if disk.rule is not None}
    assert demands.disks == tuple(rules.get(device, device) for device in layout.written)
    files = (crypt.key.removeprefix("file:") for crypt in layout.crypts if crypt.key != "prompt")
    assert demands.keys == tuple(files)


def test_passphrase_files() -> None:
    script = "get_passphrase a office\nget_passphrase b\nget_passphrase c ../shadow\n"
    script += "get_passphrase d 'office'\nget_passphrase e 'x\n"
    assert read_demands(script).keys == ("office",)


def test_a_line_that_was_cut_off() -> None:
    demands = read_demands("check_disk \nget_passphrase \ncheck_disk 'a\ncheck_disk /dev/vda\n")
    assert demands == Demands((), (), ("/dev/vda",))


def test_what_is_asked_for_twice_is_named_once() -> None:
    script = "check_disk /dev/vda 1\ncheck_disk /dev/vda 1\n"
    script += "get_passphrase a office\nget_passphrase b office\n"
    assert read_demands(script) == Demands((), ("office",), ("/dev/vda",))


def test_the_kind_of_an_identifier() -> None:
    script = (
        ': "${DISK_ID_vda:?}"\n: "${UUID_a:?}"\n: "${UUID_b:?}"\nmkfs.vfat -i "${UUID_b%-*}x"\n'
    )
    assert read_demands(script).identifiers == (
        Identifier("DISK_ID_vda", IdentifierKind.MBR_ID),
        Identifier("UUID_a", IdentifierKind.UUID),
        Identifier("UUID_b", IdentifierKind.VFAT_ID),
    )


def test_a_text_that_is_no_script() -> None:
    assert read_demands("\x00 nothing\n") == Demands((), (), ())
