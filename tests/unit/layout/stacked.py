"""Facts of a machine with layers, as its tools say them: written by hand after mdadm 4.2, lvm 2.03,
cryptsetup 2.6 and btrfs-progs 6.2."""

from __future__ import annotations

import dataclasses
from typing import Any

from si.client.layer_facts import LayerFacts
from si.client.record import BootFacts, Facts, Kernel, NetworkFacts

GIB = 1024**3
MIB = 1024**2
RAID_TYPE = "A19D880F-05FC-4D3B-A006-743F0F84911E"
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
LINUX_TYPE = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"

Node = dict[str, Any]


def node(path: str, kind: str, size: int, fstype: str | None = None, **more: Any) -> Node:
    """One device of lsblk."""
    name = path.rpartition("/")[2]
    return {"name": name, "kname": name, "path": path, "type": kind, "size": size} | {
        "fstype": fstype,
        "log-sec": 512,
        **more,
    }


def disk(path: str, *parts: tuple[int, str, Node]) -> tuple[Node, Node]:
    """A disk of 8 GiB for lsblk and for sfdisk; each partition with MiB, type and its node."""
    start, table = 2048, []
    for mib, type_id, part in parts:
        sectors = mib * 2048
        table.append({"node": part["path"], "start": start, "size": sectors, "type": type_id})
        start += sectors
    label = {"label": "gpt", "device": path, "unit": "sectors", "sectorsize": 512}
    children = [part for _mib, _type, part in parts]
    lsblk = node(path, "disk", 8 * GIB) | {"children": children}
    return lsblk, {"partitiontable": {**label, "partitions": table}}


def machine(
    disks: list[tuple[Node, Node]], mounts: list[Node], fstab: str, layers: LayerFacts
) -> Facts:
    """Facts of a machine with these disks, booted by UEFI."""
    return Facts(
        recorded="2026-11-21T12:00:00Z",
        hostname="golden",
        arch="x86_64",
        firmware="uefi",
        os_release={"ID": "debian"},
        kernel=Kernel("6.1.0", "root=/dev/x ro"),
        lsblk={"blockdevices": [lsblk for lsblk, _table in disks]},
        sfdisk={lsblk["path"]: table for lsblk, table in disks},
        findmnt={"filesystems": mounts},
        fstab=fstab,
        swaps=(),
        blkid="",
        boot=BootFacts("grub", (), ""),
        network=NetworkFacts("ifupdown", []),
        tools={},
        used_bytes=GIB,
        inodes=1000,
        layers=layers,
    )


def mount(target: str, source: str, fstype: str, fsroot: str = "/", **more: Any) -> Node:
    """One line of findmnt."""
    inside = f"[{fsroot}]" if fsroot != "/" else ""
    return {"target": target, "source": source + inside, "fstype": fstype, "fsroot": fsroot, **more}


def mirrored() -> Facts:
    """An ESP on each of two disks, /boot on md0, and root and swap on LVM on md1."""
    disks = []
    for letter in "ab":
        root = node("/dev/mapper/vg--sys-root", "lvm", 2 * GIB, "xfs", uuid="r-uuid")
        swap = node("/dev/mapper/vg--sys-swap", "lvm", GIB, "swap", uuid="s-uuid", kname="dm-1")
        boot = node("/dev/md0", "raid1", 500 * MIB, "ext4", label="boot", uuid="b-uuid")
        group = node("/dev/md1", "raid1", 7 * GIB, "LVM2_member", children=[root, swap])
        first = node(
            f"/dev/vd{letter}1", "part", 128 * MIB, "vfat", fsver="FAT32", uuid=f"E{letter}"
        )
        second = node(f"/dev/vd{letter}2", "part", 512 * MIB, "linux_raid_member", label="g:0")
        third = node(f"/dev/vd{letter}3", "part", 7 * GIB, "linux_raid_member", label="g:1")
        second["children"], third["children"] = [boot], [group]
        parts = ((128, ESP_TYPE, first), (512, RAID_TYPE, second), (7000, RAID_TYPE, third))
        disks.append(disk(f"/dev/vd{letter}", *parts))
    facts = machine(
        disks,
        [
            mount("/", "/dev/mapper/vg--sys-root", "xfs"),
            mount("/boot", "/dev/md0", "ext4"),
            mount("/boot/efi", "/dev/vda1", "vfat"),
        ],
        "/dev/mapper/vg--sys-root / xfs defaults 0 1\nUUID=b-uuid /boot ext4 defaults 0 2\n"
        "UUID=Ea /boot/efi vfat umask=0077 0 1\n/dev/vg-sys/swap none swap sw 0 0\n",
        LayerFacts(
            pvs=[{"pv_name": "/dev/md1", "vg_name": "vg-sys", "pv_size": "7330594816"}],
            vgs=[
                {
                    "vg_name": "vg-sys",
                    "vg_extent_size": "4194304",
                    "vg_size": str(3 * GIB),
                    "vg_free": "0",
                }
            ],
            lvs=[
                _lv("root", 2 * GIB),
                _lv("swap", GIB),
            ],
            mdadm={"/dev/md0": _md("1.0", "2"), "/dev/md1": _md("1.2", "3")},
        ),
    )
    return dataclasses.replace(facts)


def _lv(name: str, size: int) -> dict[str, str]:
    return {"vg_name": "vg-sys", "lv_name": name, "lv_size": str(size), "segtype": "linear"}


def _md(metadata: str, number: str) -> str:
    lines = ["MD_LEVEL=raid1", "MD_DEVICES=2", f"MD_METADATA={metadata}", "MD_UUID=1:2:3:4"]
    # Not in the order of the names, as after a disk was replaced.
    for letter, role in (("a", 1), ("b", 0)):
        lines += [
            f"MD_DEVICE_dev_vd{letter}{number}_ROLE={role}",
            f"MD_DEVICE_dev_vd{letter}{number}_DEV=/dev/vd{letter}{number}",
        ]
    return "\n".join(lines) + "\n"


def encrypted() -> Facts:
    """/boot beside a LUKS2 container that holds the root, which is btrfs with subvolumes."""
    inner = node("/dev/mapper/secret", "crypt", 6 * GIB, "btrfs", label="sys", uuid="r-uuid")
    parts = (
        (128, ESP_TYPE, node("/dev/vda1", "part", 128 * MIB, "vfat", uuid="E")),
        (512, LINUX_TYPE, node("/dev/vda2", "part", 512 * MIB, "ext4", uuid="b-uuid")),
        (7000, LINUX_TYPE, node("/dev/vda3", "part", 7 * GIB, "crypto_LUKS", uuid="l-uuid")),
    )
    parts[2][2]["children"] = [inner]
    return machine(
        [disk("/dev/vda", *parts)],
        [
            mount("/", "/dev/mapper/secret", "btrfs", "/@", uuid="r-uuid"),
            mount("/home", "/dev/mapper/secret", "btrfs", "/@home", uuid="r-uuid"),
            mount("/mnt", "/dev/mapper/secret", "btrfs", "/@/srv", uuid="r-uuid"),
            mount("/boot", "/dev/vda2", "ext4"),
            mount("/boot/efi", "/dev/vda1", "vfat"),
        ],
        "UUID=r-uuid /home btrfs subvol=/@home,noatime 0 0\n"
        "UUID=r-uuid / btrfs defaults,subvol=@,subvolid=256 0 0\n"
        "UUID=b-uuid /boot ext4 defaults 0 2\nUUID=E /boot/efi vfat umask=0077 0 1\n",
        LayerFacts(
            luks={
                "/dev/vda3": {
                    "type": "LUKS2",
                    "kdf": "argon2id",
                    "iterations": 4,
                    "memory_kib": 65536,
                }
            },
            crypttab="# name device key options\nsecret UUID=l-uuid none luks,discard\n",
            btrfs={
                "/": "ID 256 gen 10 top level 5 path @\nID 257 gen 10 top level 5 path @home\n"
                "ID 258 gen 10 top level 256 path @/var/lib/machines\n"
            },
        ),
    )
