"""What BOEL writes for the installed system's storage and firmware; efibootmgr is a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.boel.files import Run, age, attributes, put

ARRAY = "ARRAY /dev/md0 metadata=1.0 UUID=149e4a62-1b14-5b0d-bdbd-d0840c4233fc\n"


def test_arrays_and_containers_of_the_image_make_way(boel: Run, tmp_path: Path) -> None:
    config = put(
        tmp_path / "a/etc/mdadm/mdadm.conf", "MAILADDR root\nARRAY /dev/md9 UUID=1:2:3:4\n"
    )
    table = put(tmp_path / "a/etc/crypttab", "# a comment\nold UUID=1 none luks\n")
    put(tmp_path / "state/arrays", ARRAY)
    put(tmp_path / "state/crypttab", "new UUID=2 none luks\n")
    age(config.parent, table.parent)
    before = attributes(config.parent, table.parent)
    done = boel(f"configure_storage {tmp_path}/a")
    assert done.returncode == 0, done.stderr
    assert config.read_text() == f"MAILADDR root\n{ARRAY}"
    assert table.read_text() == "# a comment\nnew UUID=2 none luks\n"
    assert attributes(config.parent, table.parent) == before


def test_without_arrays_those_of_the_image_go(boel: Run, tmp_path: Path) -> None:
    config = put(tmp_path / "a/etc/mdadm/mdadm.conf", f"MAILADDR root\n{ARRAY}")
    assert boel(f"configure_storage {tmp_path}/a").returncode == 0
    assert config.read_text() == "MAILADDR root\n"
    assert not (tmp_path / "a/etc/crypttab").exists()


def test_what_names_nothing_is_not_touched(boel: Run, tmp_path: Path) -> None:
    config = put(tmp_path / "a/etc/mdadm/mdadm.conf", "MAILADDR root\n")
    age(config)
    before = attributes(config)
    assert boel(f"configure_storage {tmp_path}/a").returncode == 0
    assert attributes(config) == before


def test_passphrase_of_the_server_has_no_end_of_line(boel: Run, tmp_path: Path) -> None:
    put(tmp_path / "state/bundle/keys/office", "with blank \n")
    done = boel("get_passphrase root office")
    assert done.returncode == 0, done.stderr
    key = tmp_path / "state/keys/root"
    assert key.read_text() == "with blank "
    assert key.stat().st_mode & 0o777 == 0o600
    assert "no passphrase file other for root" in boel("get_passphrase root other").stderr
    assert "no fit name: ../x" in boel("get_passphrase root ../x").stderr


@pytest.mark.parametrize("shim", [True, False])
def test_removable_path(boel: Run, tmp_path: Path, shim: bool) -> None:
    efi = tmp_path / "EFI"
    for name in ("grubx64.efi", *(("shimx64.efi", "mmx64.efi") if shim else ())):
        put(efi / "debian" / name, name)
    put(efi / "BOOT/fbx64.efi", "of the image")
    done = boel(f"copy_to_removable_path {efi} debian")
    assert done.returncode == 0, done.stderr
    first = "shimx64.efi" if shim else "grubx64.efi"
    assert (efi / "BOOT/BOOTX64.EFI").read_text() == first
    assert (efi / "BOOT/mmx64.efi").exists() == shim
    assert (efi / "BOOT/fbx64.efi").exists() != shim


@pytest.mark.parametrize(
    ("current", "order", "wanted"),
    [
        ("0003", "0003,0001,0002", "0003,0007,0001,0002"),  # the network was first and stays so
        ("0003", "0001,0003,0002", "0007,0001,0003,0002"),  # chosen by hand, for once
        ("0003", "0003,0009", "0003,0007"),  # 0009 was ours and is gone
    ],
)
def test_order_of_boot_entries(
    boel: Run, tmp_path: Path, current: str, order: str, wanted: str
) -> None:
    entries = "".join(f"Boot{number}* x\\n" for number in ("0001", "0002", "0003", "0007"))
    put(tmp_path / "state/efi", entries.replace("\\n", "\n"))
    done = boel(
        'efibootmgr() { echo "$@"; }\n'
        f"old_order={order} current={current} made=0007\norder_boot_entries"
    )
    assert done.stdout == f"--quiet --bootorder {wanted}\n", done.stderr


def test_entries_of_an_earlier_install_are_removed(boel: Run, tmp_path: Path) -> None:
    names = {"0001": "debian", "0002": "debian on vdb1", "0003": "debianish", "0004": "UEFI PXE"}
    lines = (f"Boot{n}* {name}\tHD(1,GPT)/File(x)\n" for n, name in names.items())
    put(tmp_path / "state/efi", "".join(lines))
    done = boel('efibootmgr() { echo "$3"; }\nentry_name=debian\nremove_boot_entries')
    assert done.stdout.split() == ["0001", "0002"]


def test_name_of_the_system(boel: Run, tmp_path: Path) -> None:
    file = put(tmp_path / "a/etc/os-release", 'NAME="Debian"\nVERSION_ID="12"\nID=debian\n')
    assert boel(f"os_name {tmp_path}/a").stdout == "debian\n"
    file.write_text('ID="rocky"\n')
    assert boel(f"os_name {tmp_path}/a").stdout == "rocky\n"
    file.unlink()
    assert boel(f"os_name {tmp_path}/a").stdout == "linux\n"
