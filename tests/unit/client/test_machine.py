"""What is read of a machine: mounts, ports, boot, network, doubts. Files in, values out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from si.client.detect import detect_firmware, detect_loader, detect_network
from si.client.doubts import find_doubts
from si.client.facts import read_os_release
from si.client.mounts import Mount, parse_mountinfo, parse_swap_files, top_mounts
from si.client.ports import find_listeners, is_in_use, is_taken, parse_sockets
from si.client.record import BootFacts, NetworkFacts, Swap
from si.client.surroundings import find_mounts, find_swap_files, running_databases
from tests.unit.client.test_record import FACTS

MOUNTINFO = rb"""22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda2 rw
23 22 0:5 / /dev rw,nosuid shared:2 - devtmpfs udev rw,size=1k
24 22 254:3 / /srv/a\040b rw - ext4 /dev/vdb rw
25 22 0:44 / /srv/a\040b rw master:1 - tmpfs tmpfs rw
26 22 0:45 / /srv/new\012line rw - nfs4 server:/x\040y rw
"""


def put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_mountinfo() -> None:
    mounts = parse_mountinfo(MOUNTINFO + b"garbage\n")
    assert len(mounts) == 5
    assert mounts[0] == Mount(b"/", "ext4", b"/dev/vda2")
    assert mounts[4] == Mount(b"/srv/new\nline", "nfs4", b"server:/x y")
    assert top_mounts(mounts)[b"/srv/a b"].type == "tmpfs", "the later mount covers"


def test_mounts_are_seen_from_the_tree(tmp_path: Path) -> None:
    file = tmp_path / "mountinfo"
    file.write_bytes(MOUNTINFO)
    assert set(find_mounts(Path("/"), file)) == {"/dev", "/srv/a b", "/srv/new\nline"}
    assert set(find_mounts(Path("/srv"), file)) == {"/a b", "/new\nline"}


def test_swap_files(tmp_path: Path) -> None:
    text = b"Filename Type Size Used Priority\n/dev/vda3 partition 1 0 -2\n"
    text += b"/srv/swap\\040file file 1 0 -3\n"
    assert parse_swap_files(text) == (b"/srv/swap file",)
    (tmp_path / "swaps").write_bytes(text)
    assert find_swap_files(Path("/srv"), tmp_path / "swaps") == ["/swap file"]
    assert find_swap_files(Path("/other"), tmp_path / "swaps") == []
    assert find_swap_files(Path("/"), tmp_path / "none") == []


TCP = """  sl  local_address rem_address   st tx_queue rx_queue ... inode
   0: 00000000:0369 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
   1: 0100007F:0369 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4712 1
   2: 0100007F:D431 0100007F:0369 01 00000000:00000000 00:00000000 00000000     0        0 4713 1
"""


def test_who_listens(tmp_path: Path) -> None:
    assert [socket.port for socket in parse_sockets(TCP)] == [873, 873, 54321]
    put(tmp_path / "self/net/tcp", TCP)
    put(tmp_path / "17/comm", "rsync\n")
    (tmp_path / "17/fd").mkdir()
    (tmp_path / "17/fd/4").symlink_to("socket:[4711]")
    put(tmp_path / "18/comm", "other\n")
    (tmp_path / "18/fd").mkdir()
    (tmp_path / "18/fd/1").symlink_to("/dev/null")
    (listener,) = find_listeners(873, tmp_path)
    assert (listener.pid, listener.name) == (17, "rsync")
    assert find_listeners(54321, tmp_path) == ()
    assert is_taken(873, tmp_path)
    assert not is_taken(54321, tmp_path)
    assert is_in_use(54321, tmp_path)
    assert not is_in_use(22, tmp_path)


def test_firmware(tmp_path: Path) -> None:
    assert detect_firmware(tmp_path) == "bios"
    (tmp_path / "sys/firmware/efi").mkdir(parents=True)
    assert detect_firmware(tmp_path) == "uefi"


def test_loader_of_bios_disks(tmp_path: Path) -> None:
    grub = b"\xeb\x63\x90" + b"GRUB \x00Geom\x00Hard Disk" + b"\x55\xaa"
    sectors = [("/dev/vda", grub), ("/dev/vdb", b"\0" * 512), ("/dev/vdc", grub)]
    assert detect_loader(tmp_path, sectors) == ("grub", ("/dev/vda", "/dev/vdc"))
    assert detect_loader(tmp_path, [("/dev/vda", b"\0" * 512)]) == ("none", ())
    assert detect_loader(tmp_path, [("/dev/vda", b"...LILO...")]) == ("lilo", ())


def test_loader_of_uefi(tmp_path: Path) -> None:
    (tmp_path / "sys/firmware/efi").mkdir(parents=True)
    put(tmp_path / "boot/efi/loader/loader.conf", "")
    assert detect_loader(tmp_path, []) == ("systemd-boot", ())
    put(tmp_path / "boot/grub/grub.cfg", "")
    assert detect_loader(tmp_path, []) == ("grub", ())


@pytest.mark.parametrize(
    ("told", "loader"),
    [("systemd-boot 252.38-1~deb12u1", "systemd-boot"), ("GRUB 2.12", "grub"), ("", "grub")],
)
def test_the_loader_that_started_the_system_counts(tmp_path: Path, told: str, loader: str) -> None:
    """Not one that was there before it, of which a menu and a first sector are left."""
    variable = tmp_path / "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
    put(tmp_path / "boot/grub/grub.cfg", "")
    put(variable, "")
    variable.write_bytes(b"\6\0\0\0" + f"{told}\0".encode("utf-16-le"))
    assert detect_loader(tmp_path, [("/dev/vda", b"GRUB ")])[0] == loader


def enable(root: Path, unit: str) -> None:
    link = root / "etc/systemd/system/multi-user.target.wants" / unit
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"/lib/systemd/system/{unit}")


def test_network_backends(tmp_path: Path) -> None:
    assert detect_network(tmp_path) == "unknown"
    put(tmp_path / "etc/network/interfaces", "auto lo\niface lo inet loopback\n")
    enable(tmp_path, "networking.service")
    assert detect_network(tmp_path) == "unknown", "loopback alone is no network"
    enable(tmp_path, "NetworkManager.service")
    assert detect_network(tmp_path) == "networkmanager"
    put(tmp_path / "etc/systemd/network/10.network", "[Match]\n")
    assert detect_network(tmp_path) == "networkmanager", "networkd is not enabled"
    enable(tmp_path, "systemd-networkd.service")
    assert detect_network(tmp_path) == "networkd"
    put(tmp_path / "etc/network/interfaces.d/eth", "# iface x\niface ens3 inet dhcp\n")
    assert detect_network(tmp_path) == "ifupdown"


def test_os_release(tmp_path: Path) -> None:
    put(
        tmp_path / "etc/os-release",
        "# c\nID=debian\nNAME=\"A 'b' c\"\nBAD=\"\n\nID_LIKE='x y'\n",
    )
    assert read_os_release(tmp_path) == {
        "ID": "debian",
        "NAME": "A 'b' c",
        "BAD": '"',
        "ID_LIKE": "x y",
    }
    assert read_os_release(tmp_path / "none") == {}


def test_running_databases(tmp_path: Path) -> None:
    put(tmp_path / "1/comm", "systemd\n")
    put(tmp_path / "20/comm", "postgres\n")
    assert list(running_databases(tmp_path)) == ["postgres"]


def test_a_plain_machine_raises_no_doubts() -> None:
    assert find_doubts(FACTS, []) == ()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"boot": BootFacts("none", (), "")}, "boot loader none"),
        ({"tools": {"rsync": "3.2.7"}}, "grub-install is not installed"),
        ({"network": NetworkFacts("unknown", [])}, "none of ifupdown"),
        ({"swaps": (Swap("/swapfile", "file", 1, 0, -2),)}, "swap file /swapfile"),
        (
            {"lsblk": {"blockdevices": [{"name": "mpatha", "type": "mpath"}]}},
            "multipath disks (mpatha)",
        ),
        (
            {"findmnt": {"filesystems": [{"target": "/net", "fstype": "nfs4", "source": "s:/x"}]}},
            "/net (nfs4 from s:/x) is not captured",
        ),
        (
            {
                "lsblk": {"blockdevices": [{"name": "vdb", "type": "disk", "path": "/dev/vdb"}]},
                "findmnt": {
                    "filesystems": [{"target": "/z", "fstype": "ntfs3", "source": "/dev/vdb"}]
                },
            },
            "/z (ntfs3) is not captured",
        ),
    ],
)
def test_doubts(fields: dict[str, object], says: str) -> None:
    (doubt,) = find_doubts(dataclasses.replace(FACTS, **fields), [])  # type: ignore[arg-type]
    assert says in doubt


def test_a_running_database_is_a_doubt() -> None:
    (doubt,) = find_doubts(FACTS, ["mysqld"])
    assert "mysqld is running" in doubt
